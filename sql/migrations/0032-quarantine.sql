-- Rules that ran out of their budget again and again are put into quarantine, with a notice to
-- their tenant. The worker finds them, the application acts: only it writes rules.

alter table rules
  drop constraint rules_state,
  add constraint rules_state check (state in ('active', 'shadow', 'off', 'quarantined'));
alter table rule_versions
  drop constraint rule_versions_state,
  add constraint rule_versions_state check (state in ('active', 'shadow', 'off', 'quarantined'));

-- Of the inconclusive verdicts: those that ran out of steps or combinations, and those in which
-- the rule met an error of ours.
alter table rule_stats_minutes
  add column over_budget bigint not null default 0,
  add column failed bigint not null default 0;

-- rule_version: the one that misbehaved. figures: over_budget, judged, minutes, since, until.
-- acted_at: when the application looked at it; quarantined_version: the version that it wrote,
-- null if the rule had been changed or switched off in the meantime, and then nobody is told.
create table notices (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  kind text not null,
  rule_id text not null,
  rule_version integer not null,
  figures jsonb not null,
  found_at timestamptz not null default now(),
  acted_at timestamptz,
  quarantined_version integer,
  acknowledged_at timestamptz,
  acknowledged_by text,
  constraint notices_pkey primary key (tenant_id, id),
  constraint notices_rule_version foreign key (tenant_id, rule_id, rule_version)
    references rule_versions (tenant_id, rule_id, version) on delete cascade,
  constraint notices_once unique (tenant_id, kind, rule_id, rule_version),
  constraint notices_kind check (kind in ('over_budget')),
  constraint notices_acted check (quarantined_version is null or acted_at is not null),
  constraint notices_acknowledged check ((acknowledged_at is null) = (acknowledged_by is null))
);
create index notices_newest on notices (tenant_id, acted_at desc, id desc)
  where quarantined_version is not null;
create index notices_waiting on notices (tenant_id) where acted_at is null;

alter table notices enable row level security;
alter table notices force row level security;
create policy notices_of_tenant on notices using (tenant_id = scope_tenant());
create policy notices_waiting_of_all on notices for select
  using (scope_purpose() = 'housekeeping' and acted_at is null);
create policy notices_of_worker on notices to betrace_worker using (true) with check (true);
grant select, update (acted_at, quarantined_version, acknowledged_at, acknowledged_by)
  on notices to betrace_app;
grant select, insert on notices to betrace_worker;
