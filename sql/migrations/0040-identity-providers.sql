-- People and programs of an OpenID provider: who they are here, and what their claims grant.

-- Settings of a transaction that works for somebody whom a provider has vouched for:
--   app.issuer   the provider: what its claims grant
--   app.subject  the person's id there: that one identity
create function scope_issuer() returns text
language sql stable parallel safe
return nullif(current_setting('app.issuer', true), '');

create function scope_subject() returns text
language sql stable parallel safe
return nullif(current_setting('app.subject', true), '');

-- A person is known by issuer and subject, never by the address of mail.
create table identities (
  issuer text not null,
  subject text not null,
  user_id uuid not null,
  created_at timestamptz not null default now(),
  constraint identities_pkey primary key (issuer, subject),
  constraint identities_one_of_user unique (user_id, issuer),
  constraint identities_user foreign key (user_id) references users (id) on delete cascade,
  constraint identities_lengths check (
    length(issuer) between 1 and 500 and length(subject) between 1 and 255
  )
);
alter table identities enable row level security;
alter table identities force row level security;
create policy identities_at_sign_in on identities for select
  using (issuer = scope_issuer() and subject = scope_subject());
create policy identities_of_user on identities using (user_id = scope_user());
grant select, insert, delete on identities to betrace_app;

-- What a provider's claims grant: people with the group (`*`: anybody of it), the program with the
-- client id, or whatever has the subject, have the role in the tenant. organisation: only with this
-- value of the claim that names tenants; empty: whatever it says.
create table provider_grants (
  tenant_id uuid not null,
  issuer text not null,
  organisation text not null default '',
  kind text not null,
  value text not null,
  role text not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  constraint provider_grants_pkey primary key (tenant_id, issuer, organisation, kind, value),
  constraint provider_grants_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint provider_grants_kind check (kind in ('group', 'client', 'subject')),
  constraint provider_grants_role check (
    role in ('admin', 'developer', 'sre', 'compliance-viewer', 'viewer')
    or (kind <> 'group' and role = 'api-client')
  ),
  constraint provider_grants_lengths check (
    length(issuer) between 1 and 500 and length(organisation) <= 500
    and length(value) between 1 and 500
  )
);
create index provider_grants_by_issuer on provider_grants (issuer, kind, value);
alter table provider_grants enable row level security;
alter table provider_grants force row level security;
create policy provider_grants_of_tenant on provider_grants using (tenant_id = scope_tenant());
create policy provider_grants_at_sign_in on provider_grants for select
  using (issuer = scope_issuer());
grant select, insert, update (role), delete on provider_grants to betrace_app;

-- issuer: the provider whose claims gave the membership, which each sign-in renews or ends;
-- null: somebody gave it by hand.
alter table memberships add column issuer text;
grant update (issuer) on memberships to betrace_app;

-- What signing out at the provider needs, sealed under a key derived from BETRACE_SECRET_KEY; null:
-- signed in with a password.
alter table sessions add column sealed_identity bytea;
