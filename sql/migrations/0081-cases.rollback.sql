drop table case_results;
drop table case_runs;
drop table rule_cases;
