drop table notices;
alter table rule_stats_minutes drop column over_budget, drop column failed;

alter table rule_versions disable trigger rule_versions_immutable;
update rule_versions set state = 'off' where state = 'quarantined';
alter table rule_versions enable trigger rule_versions_immutable;
update rules set state = 'off' where state = 'quarantined';
alter table rules
  drop constraint rules_state,
  add constraint rules_state check (state in ('active', 'shadow', 'off'));
alter table rule_versions
  drop constraint rule_versions_state,
  add constraint rule_versions_state check (state in ('active', 'shadow', 'off'));
