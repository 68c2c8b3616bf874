"""What is submitted to Flink: settings, sources, sinks and topology."""
