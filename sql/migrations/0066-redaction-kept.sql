-- What redaction does is counted for each tenant, rules and their exceptions follow its key.

-- judged_exceptions: the exceptions of the version, those that are asked otherwise with `judged`,
-- their `where` with the literals as redaction leaves them in spans; null: as they were written.
alter table rule_versions
  add column judged_exceptions jsonb,
  add constraint rule_versions_judged_exceptions check (jsonb_typeof(judged_exceptions) = 'array');

create or replace function exceptions_at(tenant uuid, rule text, at timestamptz) returns jsonb
language sql stable as $$
  select coalesce(v.judged_exceptions, v.object -> 'exceptions', '[]')
  from rule_versions v
  where v.tenant_id = tenant and v.rule_id = rule and v.created_at + interval '5 seconds' <= at
  order by v.version desc
  limit 1
$$;

-- Tenants that got another redaction key, and whose rules are to be judged by it. Whoever makes
-- such a key, the row comes with it in one transaction.
create table redaction_rekeyings (
  tenant_id uuid not null,
  key_id uuid not null,
  noted_at timestamptz not null default clock_timestamp(),
  constraint redaction_rekeyings_pkey primary key (tenant_id),
  constraint redaction_rekeyings_tenant foreign key (tenant_id) references tenants (id)
    on delete cascade
);
alter table redaction_rekeyings enable row level security;
alter table redaction_rekeyings force row level security;
create policy redaction_rekeyings_of_tenant on redaction_rekeyings
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy redaction_rekeyings_of_all on redaction_rekeyings for select
  using (scope_purpose() = 'housekeeping');
grant select, insert, update, delete on redaction_rekeyings to betrace_app;
grant select, insert, update on redaction_rekeyings to betrace_worker;

create function note_redaction_key() returns trigger
language plpgsql as $$
begin
  insert into redaction_rekeyings (tenant_id, key_id) values (new.tenant_id, new.id)
  on conflict on constraint redaction_rekeyings_pkey
  do update set key_id = excluded.key_id, noted_at = excluded.noted_at;
  return null;
end
$$;
create trigger tenant_keys_note_redaction after insert on tenant_keys
  for each row when (new.purpose = 'redaction') execute function note_redaction_key();

-- What `ingest` took out of spans, by day in UTC and version of the policy. what: a kind of what
-- was found (count: values), or spans (changed), failures (values removed because their strategy
-- failed), unreadable (spans dropped that do not decode), unknown_fields (spans with fields dropped
-- that no schema names).
create table redaction_counts (
  tenant_id uuid not null,
  day date not null,
  policy_version integer not null,
  what text not null,
  count bigint not null,
  constraint redaction_counts_pkey primary key (tenant_id, day, policy_version, what),
  constraint redaction_counts_tenant foreign key (tenant_id) references tenants (id)
    on delete cascade,
  constraint redaction_counts_bounds check (
    policy_version >= 0 and count >= 0 and length(what) between 1 and 100
  )
);
alter table redaction_counts enable row level security;
alter table redaction_counts force row level security;
create policy redaction_counts_of_tenant on redaction_counts
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
grant select, insert, update (count) on redaction_counts to betrace_app;
-- For retention: they are kept as long as what a tenant uses by day.
create policy redaction_counts_of_worker on redaction_counts to betrace_worker using (true);
grant select, delete on redaction_counts to betrace_worker;
