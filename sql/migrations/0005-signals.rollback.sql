drop trigger signals_feed_changed on signals;
drop function feed_changed_signals();
drop trigger signals_feed_raised on signals;
drop function feed_raised_signals();
drop table signal_feed;
drop table signal_history;
drop trigger signals_keep_facts on signals;
drop function keep_signal_facts();
drop table signals;
