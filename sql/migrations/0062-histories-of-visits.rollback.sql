alter table signal_history drop column acting;
alter table rule_versions drop column acting;
drop function scope_acting();
