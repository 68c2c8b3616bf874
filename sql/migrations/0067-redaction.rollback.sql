alter table rule_versions drop column judged;
drop table redaction_vault;
drop table redaction_policies;
