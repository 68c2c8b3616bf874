-- Invitations into a tenant, and the name that people see of one.

-- `name` is how operators address a tenant and unique; this is what its people call it.
alter table tenants
  add column display_name text,
  add constraint tenants_display_name_length check (length(display_name) between 1 and 100);
grant update (display_name) on tenants to betrace_app;

-- role, member_until: what somebody becomes by accepting. expires_at: of the invitation. token_hash:
-- of the newest link; null once there is nothing to accept any more. mailed_at: when a link was last
-- given to the mail server; null: somebody hands it over.
create table invitations (
  id uuid not null,
  tenant_id uuid not null,
  email text not null,
  role text not null,
  member_until timestamptz,
  token_hash bytea,
  expires_at timestamptz not null,
  invited_by text not null,
  created_at timestamptz not null default now(),
  mailed_at timestamptz,
  accepted_at timestamptz,
  cancelled_at timestamptz,
  constraint invitations_pkey primary key (id),
  constraint invitations_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint invitations_token_unique unique (token_hash),
  constraint invitations_token_length check (length(token_hash) = 32),
  constraint invitations_email_lower check (email = lower(email) and length(email) between 3 and 320),
  constraint invitations_role check (
    role in ('admin', 'developer', 'sre', 'compliance-viewer', 'auditor', 'viewer')
  ),
  constraint invitations_auditor_ends check (role <> 'auditor' or member_until is not null),
  constraint invitations_one_end check (accepted_at is null or cancelled_at is null),
  constraint invitations_token_while_open check (
    (token_hash is null) = (accepted_at is not null or cancelled_at is not null)
  )
);
create unique index invitations_open on invitations (tenant_id, email) where token_hash is not null;
create index invitations_by_time on invitations (tenant_id, created_at desc, id desc);

alter table invitations enable row level security;
alter table invitations force row level security;
create policy invitations_of_tenant on invitations using (tenant_id = scope_tenant());
create policy invitations_of_credential on invitations for select
  using (token_hash = scope_credential());
grant select, insert, update (token_hash, expires_at, mailed_at, accepted_at, cancelled_at)
  on invitations to betrace_app;
