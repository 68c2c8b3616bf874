alter table rule_versions drop column restored, drop column reason;
