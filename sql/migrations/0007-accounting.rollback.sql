drop table dead_letters;
drop table rule_stats_minutes;
drop table stats_minutes;
