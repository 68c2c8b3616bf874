-- What the job folded of storms of signals: of a version of a rule, a lane and a minute of event
-- time the totals, of several records of one row the one with the highest revision.
-- first_at, last_at: judgements of those raised; null if none was.

create table signal_folds (
  tenant_id uuid not null,
  rule_id text not null,
  rule_version integer not null,
  minute timestamptz not null,
  lane integer not null,
  revision bigint not null,
  rule_name text not null,
  severity text not null,
  shadow boolean not null default false,
  raised bigint not null,
  renewed bigint not null,
  withdrawn bigint not null,
  first_at timestamptz,
  last_at timestamptz,
  example_trace_ids bytea[] not null default '{}',
  constraint signal_folds_pkey primary key (tenant_id, rule_id, minute, rule_version, lane),
  constraint signal_folds_rule_version foreign key (tenant_id, rule_id, rule_version)
    references rule_versions (tenant_id, rule_id, version) on delete cascade,
  constraint signal_folds_severity check (severity in ('critical', 'high', 'medium', 'low', 'info'))
);
create index signal_folds_newest on signal_folds (tenant_id, minute desc);

alter table signal_folds enable row level security;
alter table signal_folds force row level security;
create policy signal_folds_of_tenant on signal_folds using (tenant_id = scope_tenant());
create policy signal_folds_of_worker on signal_folds to betrace_worker using (true) with check (true);
grant select on signal_folds to betrace_app;
grant select, insert, update, delete on signal_folds to betrace_worker;
