drop table rules_outbox;
drop table predicate_numbers;
drop table rule_versions;
drop table rules;
