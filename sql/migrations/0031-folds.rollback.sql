drop table signal_folds;
