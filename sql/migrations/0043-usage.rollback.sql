drop policy notices_of_quota on notices;
revoke insert on notices from betrace_app;
alter table notices no force row level security;
delete from notices where kind = 'quota';
alter table notices force row level security;
drop index notices_newest;
create index notices_newest on notices (tenant_id, acted_at desc, id desc)
  where quarantined_version is not null;
alter table notices
  drop constraint notices_subject_once,
  drop constraint notices_about,
  drop constraint notices_kind,
  add constraint notices_kind check (kind in ('over_budget')),
  alter column rule_version set not null,
  alter column rule_id set not null,
  drop column subject;
drop table usage_days;
