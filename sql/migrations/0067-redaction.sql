-- What tenants want taken out of their spans (udfs/redaction), and what tokens stand for.

-- Every version that there was; the highest holds. Without one the defaults hold, as version 0.
-- form: as udfs/redaction/policy_json.py reads it, without its version; json, not jsonb, as the first
-- of its keys that fits an attribute decides.
create table redaction_policies (
  tenant_id uuid not null,
  version integer not null,
  form json not null,
  author text not null,
  acting text not null default coalesce(current_setting('app.acting', true), ''),
  created_at timestamptz not null default clock_timestamp(),
  constraint redaction_policies_pkey primary key (tenant_id, version),
  constraint redaction_policies_tenant foreign key (tenant_id) references tenants (id),
  constraint redaction_policies_version check (version >= 1),
  constraint redaction_policies_lengths check (
    length(author) between 1 and 300 and length(acting) <= 320
    and octet_length(form::text) <= 1048576
  )
);

-- token: as it stands in spans. sealed: the value, encrypted with the redaction key that the token
-- names; worthless once that key is destroyed.
create table redaction_vault (
  tenant_id uuid not null,
  token text not null,
  sealed text not null,
  kept_at timestamptz not null default now(),
  constraint redaction_vault_pkey primary key (tenant_id, token),
  constraint redaction_vault_tenant foreign key (tenant_id) references tenants (id),
  constraint redaction_vault_forms check (token ~ '^tok:' and sealed ~ '^enc:'),
  constraint redaction_vault_lengths check (length(token) <= 200 and length(sealed) <= 2097152)
);

alter table redaction_policies enable row level security;
alter table redaction_policies force row level security;
create policy redaction_policies_of_tenant on redaction_policies
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
alter table redaction_vault enable row level security;
alter table redaction_vault force row level security;
create policy redaction_vault_of_tenant on redaction_vault
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());

-- Nobody changes or deletes what was wanted once, nor what a token stands for.
grant select, insert on redaction_policies to betrace_app;
grant select on redaction_policies to betrace_worker;
grant select, insert on redaction_vault to betrace_app, betrace_worker;

-- judged: the text with the literals that its author wrote as redaction leaves them in spans; null:
-- as it was written.
alter table rule_versions
  add column judged text,
  add constraint rule_versions_judged_length check (octet_length(judged) <= 262144);
