drop table rule_snoozes;
