-- Tenants, people, their sessions and API keys.

create table tenants (
  id uuid not null,
  name text not null,
  settings jsonb not null,
  created_at timestamptz not null default now(),
  constraint tenants_pkey primary key (id),
  constraint tenants_name_unique unique (name),
  constraint tenants_name_length check (length(name) between 1 and 255)
);

alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenants_of_scope on tenants using (id = scope_tenant());
create policy tenants_of_operator on tenants for select using (scope_purpose() = 'operator');
create policy tenants_of_worker on tenants for select to betrace_worker using (true);
grant select, insert, update (name, settings) on tenants to betrace_app;
grant select on tenants to betrace_worker;

create table users (
  id uuid not null,
  email text not null,
  name text not null,
  password_hash text not null,
  created_at timestamptz not null default now(),
  disabled_at timestamptz,
  constraint users_pkey primary key (id),
  constraint users_email_unique unique (email),
  constraint users_email_lower check (email = lower(email) and length(email) between 3 and 320)
);

create table memberships (
  tenant_id uuid not null,
  user_id uuid not null,
  role text not null,
  created_at timestamptz not null default now(),
  constraint memberships_pkey primary key (tenant_id, user_id),
  constraint memberships_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint memberships_user foreign key (user_id) references users (id) on delete cascade,
  constraint memberships_role check (role in ('admin', 'developer', 'sre', 'compliance-viewer', 'viewer'))
);
create index memberships_by_user on memberships (user_id);

alter table memberships enable row level security;
alter table memberships force row level security;
create policy memberships_of_tenant on memberships using (tenant_id = scope_tenant());
create policy memberships_of_user on memberships for select using (user_id = scope_user());
grant select, insert, update (role), delete on memberships to betrace_app;

alter table users enable row level security;
alter table users force row level security;
create policy users_at_sign_in on users for select using (email = scope_email());
create policy users_self on users using (id = scope_user());
create policy users_of_tenant on users for select using (
  exists (
    select from memberships m
    where m.user_id = users.id and m.tenant_id = scope_tenant()
  )
);
grant select, insert, update (name, password_hash, disabled_at) on users to betrace_app;

create table sessions (
  token_hash bytea not null,
  user_id uuid not null,
  tenant_id uuid not null,
  csrf_token text not null,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint sessions_pkey primary key (token_hash),
  constraint sessions_membership foreign key (tenant_id, user_id)
    references memberships (tenant_id, user_id) on delete cascade,
  constraint sessions_token_hash_length check (length(token_hash) = 32)
);
create index sessions_by_member on sessions (tenant_id, user_id);
create index sessions_by_expiry on sessions (expires_at);

alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_of_credential on sessions using (token_hash = scope_credential());
create policy sessions_of_tenant on sessions using (tenant_id = scope_tenant());
create policy sessions_expired on sessions for select
  using (scope_purpose() = 'housekeeping' and expires_at < now());
create policy sessions_expire on sessions for delete
  using (scope_purpose() = 'housekeeping' and expires_at < now());
grant select, insert, update (last_seen_at), delete on sessions to betrace_app;

create table api_keys (
  id uuid not null,
  tenant_id uuid not null,
  name text not null,
  role text not null,
  key_hash bytea not null,
  shown text not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint api_keys_pkey primary key (id),
  constraint api_keys_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint api_keys_hash_unique unique (key_hash),
  constraint api_keys_hash_length check (length(key_hash) = 32),
  constraint api_keys_name_length check (length(name) between 1 and 255),
  constraint api_keys_role check (role in ('admin', 'developer', 'sre', 'compliance-viewer', 'viewer', 'api-client'))
);
create unique index api_keys_name_in_use on api_keys (tenant_id, name) where revoked_at is null;

alter table api_keys enable row level security;
alter table api_keys force row level security;
create policy api_keys_of_credential on api_keys for select using (key_hash = scope_credential());
create policy api_keys_of_tenant on api_keys using (tenant_id = scope_tenant());
grant select, insert, update (revoked_at) on api_keys to betrace_app;

-- Failed sign-ins, by hash of what was tried (address, client). Holds no tenant's data.
create table sign_in_failures (
  subject bytea not null,
  failed_at timestamptz not null default now(),
  constraint sign_in_failures_subject_length check (length(subject) = 32)
);
create index sign_in_failures_by_subject on sign_in_failures (subject, failed_at);
grant select, insert, delete on sign_in_failures to betrace_app;
