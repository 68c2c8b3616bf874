drop table signal_bulk_changes;
drop table saved_views;
