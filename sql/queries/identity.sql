-- name: identity$
select user_id from identities where issuer = scope_issuer() and subject = scope_subject();

-- name: insert_identity!
insert into identities (issuer, subject, user_id) values (scope_issuer(), scope_subject(), :user_id);

-- name: of_user
select issuer, created_at from identities where user_id = scope_user() order by issuer;

-- name: drop_identity!
delete from identities where user_id = scope_user() and issuer = :issuer;

-- name: granted
-- What claims grant, one row for each grant that fits.
select tenant_id, role from granted(:kind, :organisations, :names);

-- name: holder^
-- Who holds an access token, and what that may open; a transaction by itself.
select kind, user_id, email, active, granted_tenants, granted_roles,
  member_tenants, member_roles, member_issuers
from holder_at_hand(:issuer, :subject, :client, :organisations, :groups);

-- name: user^
select email, name, disabled_at, password_hash <> '' as has_password
from users where id = scope_user();

-- name: memberships
-- Of the person, those that have not ended. issuer: null for one given by hand.
select tenant_id, role, issuer
from memberships
where user_id = scope_user() and (expires_at is null or expires_at > now())
order by created_at, tenant_id;

-- name: any_membership
-- Those that have ended as well.
select tenant_id, role, issuer from memberships where user_id = scope_user();

-- name: put_membership!
-- A membership by claims; one given by hand stays as it is.
insert into memberships (tenant_id, user_id, role, issuer)
values (:tenant_id, scope_user(), :role, scope_issuer())
on conflict on constraint memberships_pkey
do update set role = excluded.role
  where memberships.issuer = excluded.issuer and memberships.role <> excluded.role;

-- name: drop_membership!
delete from memberships
where tenant_id = :tenant_id and user_id = scope_user() and issuer = scope_issuer();

-- name: put_grant!
insert into provider_grants (tenant_id, issuer, organisation, kind, value, role, created_by)
values (scope_tenant(), :issuer, :organisation, :kind, :value, :role, :created_by)
on conflict on constraint provider_grants_pkey do update set role = excluded.role;

-- name: drop_grant!
delete from provider_grants
where tenant_id = scope_tenant() and issuer = :issuer and organisation = :organisation
  and kind = :kind and value = :value;

-- name: grants
select issuer, organisation, kind, value, role
from provider_grants
where tenant_id = scope_tenant()
order by issuer, organisation, kind, value;

-- name: place_of_role^
-- The organisation and group of the provider that give a role in the tenant.
select organisation, value as group_name
from provider_grants
where tenant_id = scope_tenant() and issuer = :issuer and role = :role
  and kind = 'group' and value <> '*' and organisation <> ''
order by organisation, value
limit 1;
