-- Rules, their immutable versions, the dictionary of predicates, and the outbox to the rules log.

create table rules (
  tenant_id uuid not null,
  id text not null,
  state text not null,
  current_version integer not null,
  deleted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint rules_pkey primary key (tenant_id, id),
  constraint rules_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint rules_state check (state in ('active', 'shadow', 'off')),
  constraint rules_id_length check (length(id) between 1 and 255),
  constraint rules_deleted_is_off check (deleted_at is null or state = 'off')
);

alter table rules enable row level security;
alter table rules force row level security;
create policy rules_of_tenant on rules using (tenant_id = scope_tenant());
create policy rules_of_worker on rules for select to betrace_worker using (true);
grant select, insert, update (state, current_version, deleted_at, updated_at) on rules to betrace_app;
grant select on rules to betrace_worker;

create table rule_versions (
  tenant_id uuid not null,
  rule_id text not null,
  version integer not null,
  state text not null,
  object jsonb not null,
  text text not null,
  canonical text not null,
  language integer not null,
  deleted boolean not null,
  author text not null,
  created_at timestamptz not null default now(),
  constraint rule_versions_pkey primary key (tenant_id, rule_id, version),
  constraint rule_versions_rule foreign key (tenant_id, rule_id)
    references rules (tenant_id, id) on delete cascade,
  constraint rule_versions_state check (state in ('active', 'shadow', 'off')),
  constraint rule_versions_from_one check (version >= 1)
);
create trigger rule_versions_immutable before update on rule_versions
  for each row execute function refuse_change();

alter table rule_versions enable row level security;
alter table rule_versions force row level security;
create policy rule_versions_of_tenant on rule_versions using (tenant_id = scope_tenant());
create policy rule_versions_of_worker on rule_versions for select to betrace_worker using (true);
grant select, insert on rule_versions to betrace_app;
grant select on rule_versions to betrace_worker;

-- Append-only: a number once given means the same predicate for ever.
create table predicate_numbers (
  tenant_id uuid not null,
  number integer not null,
  hash bytea not null,
  canonical text not null,
  created_at timestamptz not null default now(),
  constraint predicate_numbers_pkey primary key (tenant_id, number),
  constraint predicate_numbers_hash_unique unique (tenant_id, hash),
  constraint predicate_numbers_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint predicate_numbers_from_zero check (number >= 0),
  constraint predicate_numbers_hash_length check (length(hash) = 8)
);
create trigger predicate_numbers_immutable before update on predicate_numbers
  for each row execute function refuse_change();

alter table predicate_numbers enable row level security;
alter table predicate_numbers force row level security;
create policy predicate_numbers_of_tenant on predicate_numbers using (tenant_id = scope_tenant());
create policy predicate_numbers_of_worker on predicate_numbers for select to betrace_worker using (true);
grant select, insert on predicate_numbers to betrace_app;
grant select on predicate_numbers to betrace_worker;

-- Records for the topic of rules (serialized RuleLogRecord), written with what they announce and
-- published in the order of id within a tenant. published_at is the broker's append time.
create table rules_outbox (
  id bigint generated always as identity,
  tenant_id uuid not null,
  rule_id text,
  rule_version integer,
  record bytea not null,
  created_at timestamptz not null default now(),
  published_at timestamptz,
  log_offset bigint,
  attempts integer not null default 0,
  last_error text,
  constraint rules_outbox_pkey primary key (id),
  constraint rules_outbox_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint rules_outbox_version foreign key (tenant_id, rule_id, rule_version)
    references rule_versions (tenant_id, rule_id, version) on delete cascade
);
create index rules_outbox_pending on rules_outbox (tenant_id, id) where published_at is null;
create unique index rules_outbox_by_version on rules_outbox (tenant_id, rule_id, rule_version);

alter table rules_outbox enable row level security;
alter table rules_outbox force row level security;
create policy rules_outbox_of_tenant on rules_outbox using (tenant_id = scope_tenant());
create policy rules_outbox_pending_of_all on rules_outbox for select
  using (scope_purpose() = 'housekeeping' and published_at is null);
grant select, insert, update (published_at, log_offset, attempts, last_error) on rules_outbox to betrace_app;
