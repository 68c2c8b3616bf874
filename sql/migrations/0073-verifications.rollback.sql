drop policy notices_of_app on notices;
revoke update (acknowledged_at, acknowledged_by) on notices from betrace_worker;
create policy notices_of_quota on notices for insert to betrace_app
  with check (tenant_id = scope_tenant() and kind = 'quota');
alter table notices no force row level security;
delete from notices where kind in ('quiet_control', 'failing_target');
alter table notices force row level security;
drop index notices_newest;
create index notices_newest on notices (tenant_id, acted_at desc, id desc)
  where quarantined_version is not null or kind = 'quota';
alter table notices
  drop constraint notices_about,
  drop constraint notices_kind,
  add constraint notices_kind check (kind in ('over_budget', 'quota')),
  add constraint notices_about check (
    case kind when 'quota' then subject is not null and rule_id is null and acted_at is not null
    else subject is null and rule_id is not null and rule_version is not null end
  );
drop table evidence_verified;
drop table evidence_verifications;
