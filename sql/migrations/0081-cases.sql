-- Cases that rules are held to, and what came of running them.

-- A rule, a sample and what the rule has to say of it. library_id: a sample of the library; else
-- sample_id: one of the tenant's own, which stays as long as a case uses it.
create table rule_cases (
  tenant_id uuid not null,
  id uuid not null,
  rule_id text not null,
  name text not null,
  library_id text,
  sample_id uuid,
  expect text not null,
  created_by text not null,
  acting text not null default scope_acting(),
  created_at timestamptz not null default clock_timestamp(),
  constraint rule_cases_pkey primary key (tenant_id, id),
  constraint rule_cases_rule foreign key (tenant_id, rule_id) references rules (tenant_id, id),
  constraint rule_cases_sample foreign key (tenant_id, sample_id)
    references trace_samples (tenant_id, id),
  constraint rule_cases_one_sample check (num_nonnulls(library_id, sample_id) = 1),
  constraint rule_cases_expect check (
    expect in ('violated', 'satisfied', 'not_applicable', 'inconclusive')
  ),
  constraint rule_cases_lengths check (length(name) between 1 and 255),
  constraint rule_cases_name unique (tenant_id, rule_id, name)
);
create index rule_cases_by_sample on rule_cases (tenant_id, sample_id) where sample_id is not null;

alter table rule_cases enable row level security;
alter table rule_cases force row level security;
create policy rule_cases_of_tenant on rule_cases
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
grant select, insert, delete on rule_cases to betrace_app;

-- A run of cases. rule_id: of all of them, null: of all rules. draft: of a text that was not saved.
-- digest: SHA-256 of the results as the API tells them; the audit log and the evidence tell it too.
create table case_runs (
  tenant_id uuid not null,
  id uuid not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  acting text not null default scope_acting(),
  rule_id text,
  draft boolean not null,
  case_count integer not null,
  passed_count integer not null,
  duration_ms integer not null,
  digest bytea not null,
  constraint case_runs_pkey primary key (tenant_id, id),
  constraint case_runs_tenant foreign key (tenant_id) references tenants (id),
  constraint case_runs_counts check (passed_count between 0 and case_count),
  constraint case_runs_digest_length check (length(digest) = 32)
);
create index case_runs_newest on case_runs (tenant_id, at desc, id desc);

-- rule_version: null for a draft. text_hash: SHA-256 of the text that was judged. verdict: 'rejected'
-- where it does not check, 'error' where it could not be judged. explanation: of a failure.
create table case_results (
  tenant_id uuid not null,
  run_id uuid not null,
  place integer not null,
  rule_id text not null,
  rule_version integer,
  text_hash bytea not null,
  case_id uuid not null,
  case_name text not null,
  sample text not null,
  expect text not null,
  verdict text not null,
  passed boolean not null,
  explanation jsonb,
  constraint case_results_pkey primary key (tenant_id, run_id, place),
  constraint case_results_run foreign key (tenant_id, run_id)
    references case_runs (tenant_id, id) on delete cascade,
  constraint case_results_text_hash_length check (length(text_hash) = 32)
);
create index case_results_by_case on case_results (tenant_id, rule_id, case_id);

-- What was run stays as it was.
create trigger case_runs_immutable before update on case_runs
  for each row execute function refuse_change();
create trigger case_results_immutable before update on case_results
  for each row execute function refuse_change();

alter table case_runs enable row level security;
alter table case_runs force row level security;
create policy case_runs_of_tenant on case_runs
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
alter table case_results enable row level security;
alter table case_results force row level security;
create policy case_results_of_tenant on case_results
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
grant select, insert on case_runs, case_results to betrace_app;
