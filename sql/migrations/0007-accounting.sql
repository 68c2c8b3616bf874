-- Accounting as data: upserted by the worker, of several records of one row the one with the
-- highest revision. Minutes are event time.

create table stats_minutes (
  tenant_id uuid not null,
  minute timestamptz not null,
  lane integer not null,
  revision bigint not null,
  counts jsonb not null,
  constraint stats_minutes_pkey primary key (tenant_id, minute, lane),
  constraint stats_minutes_tenant foreign key (tenant_id) references tenants (id) on delete cascade
);

alter table stats_minutes enable row level security;
alter table stats_minutes force row level security;
create policy stats_minutes_of_tenant on stats_minutes using (tenant_id = scope_tenant());
create policy stats_minutes_of_worker on stats_minutes to betrace_worker using (true) with check (true);
grant select on stats_minutes to betrace_app;
grant select, insert, update, delete on stats_minutes to betrace_worker;

create table rule_stats_minutes (
  tenant_id uuid not null,
  rule_id text not null,
  rule_version integer not null,
  minute timestamptz not null,
  lane integer not null,
  revision bigint not null,
  violated bigint not null,
  satisfied bigint not null,
  not_applicable bigint not null,
  inconclusive bigint not null,
  constraint rule_stats_minutes_pkey primary key (tenant_id, rule_id, minute, rule_version, lane),
  constraint rule_stats_minutes_tenant foreign key (tenant_id) references tenants (id) on delete cascade
);

alter table rule_stats_minutes enable row level security;
alter table rule_stats_minutes force row level security;
create policy rule_stats_minutes_of_tenant on rule_stats_minutes using (tenant_id = scope_tenant());
create policy rule_stats_minutes_of_worker on rule_stats_minutes to betrace_worker
  using (true) with check (true);
grant select on rule_stats_minutes to betrace_app;
grant select, insert, update, delete on rule_stats_minutes to betrace_worker;

-- letter_*: where the dead letter itself lies, which makes storing it twice harmless.
-- tenant_id is null where the content did not tell: such rows no tenant sees.
create table dead_letters (
  letter_partition integer not null,
  letter_offset bigint not null,
  tenant_id uuid,
  source text not null,
  code text not null,
  detail text not null default '',
  topic text not null default '',
  log_partition integer not null,
  log_offset bigint not null,
  content bytea not null,
  at timestamptz not null,
  constraint dead_letters_pkey primary key (letter_partition, letter_offset),
  constraint dead_letters_tenant foreign key (tenant_id) references tenants (id) on delete cascade
);
create index dead_letters_newest on dead_letters (tenant_id, at desc);

alter table dead_letters enable row level security;
alter table dead_letters force row level security;
create policy dead_letters_of_tenant on dead_letters using (tenant_id = scope_tenant());
create policy dead_letters_of_worker on dead_letters to betrace_worker using (true) with check (true);
grant select on dead_letters to betrace_app;
grant select, insert, update, delete on dead_letters to betrace_worker;
