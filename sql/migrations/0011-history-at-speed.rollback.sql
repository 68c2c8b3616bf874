alter function feed_changed_signals() reset enable_nestloop;
