-- Accounts: sessions that can be listed and ended one by one, second factors, and the two kinds of
-- ticket that stand between: for setting a forgotten password, for the second step of a sign-in.

alter table sessions
  add column id uuid not null default gen_random_uuid(),
  add column agent text not null default '',
  add column address text not null default '',
  add constraint sessions_id_unique unique (id),
  add constraint sessions_agent_length check (length(agent) <= 300),
  add constraint sessions_address_length check (length(address) <= 100);
create index sessions_by_user on sessions (user_id);
create policy sessions_of_user on sessions using (user_id = scope_user());
grant update (address) on sessions to betrace_app;

-- A person sees the names of all tenants they belong to, to choose one.
create policy tenants_of_member on tenants for select to betrace_app using (
  exists (
    select from memberships m
    where m.tenant_id = tenants.id and m.user_id = scope_user()
  )
);

-- An attempt to sign in is written down as failed before the password is looked at, and taken back
-- if it was right: of a thousand at a time no more get through than one after the other.
alter table sign_in_failures add column attempt uuid not null default gen_random_uuid();

-- The secret is sealed under a key derived from BETRACE_SECRET_KEY. last_step: the newest time step
-- whose code was taken; no code of it or of an older one is taken again.
create table second_factors (
  user_id uuid not null,
  sealed_secret bytea not null,
  last_step bigint not null default 0,
  created_at timestamptz not null default now(),
  confirmed_at timestamptz,
  constraint second_factors_pkey primary key (user_id),
  constraint second_factors_user foreign key (user_id) references users (id) on delete cascade
);
alter table second_factors enable row level security;
alter table second_factors force row level security;
create policy second_factors_of_user on second_factors using (user_id = scope_user());
grant select, insert, update, delete on second_factors to betrace_app;

create table recovery_codes (
  user_id uuid not null,
  code_hash bytea not null,
  constraint recovery_codes_pkey primary key (user_id, code_hash),
  constraint recovery_codes_factor foreign key (user_id)
    references second_factors (user_id) on delete cascade,
  constraint recovery_codes_hash_length check (length(code_hash) = 32)
);
alter table recovery_codes enable row level security;
alter table recovery_codes force row level security;
create policy recovery_codes_of_user on recovery_codes using (user_id = scope_user());
grant select, insert, delete on recovery_codes to betrace_app;

create table tickets (
  token_hash bytea not null,
  kind text not null,
  user_id uuid not null,
  expires_at timestamptz not null,
  constraint tickets_pkey primary key (token_hash),
  constraint tickets_user foreign key (user_id) references users (id) on delete cascade,
  constraint tickets_kind check (kind in ('reset', 'code')),
  constraint tickets_hash_length check (length(token_hash) = 32)
);
create index tickets_by_user on tickets (user_id, kind);
create index tickets_by_expiry on tickets (expires_at);
alter table tickets enable row level security;
alter table tickets force row level security;
create policy tickets_of_credential on tickets using (token_hash = scope_credential());
create policy tickets_of_user on tickets using (user_id = scope_user());
create policy tickets_expired on tickets for select
  using (scope_purpose() = 'housekeeping' and expires_at < now());
create policy tickets_expire on tickets for delete
  using (scope_purpose() = 'housekeeping' and expires_at < now());
grant select, insert, delete on tickets to betrace_app;
