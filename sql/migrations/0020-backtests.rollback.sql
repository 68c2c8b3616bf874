drop table backtest_results;
drop table backtest_counts;
drop table backtest_parts;
drop trigger backtests_announced on backtests;
drop function announce_backtest();
drop table backtests;
