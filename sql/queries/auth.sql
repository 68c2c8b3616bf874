-- name: key_by_hash^
-- left_s: until the key ends by itself; null: it does not.
select id, tenant_id, name, role, scopes, networks::text[] as networks, expires_at,
  extract(epoch from expires_at - now()) as left_s
from api_keys
where key_hash = :key_hash
  and revoked_at is null
  and (expires_at is null or expires_at > now());

-- name: open_tenant^
-- The tenant of the transaction, unless it is suspended.
select effective_settings(t) as tenant_settings from tenants t where id = scope_tenant() and suspended_at is null;

-- name: user_by_email^
select id, email, name, password_hash, disabled_at
from users
where email = :email;

-- name: insert_user!
insert into users (id, email, name, password_hash)
values (:id, :email, :name, :password_hash);

-- name: upsert_membership!
-- By hand: from then on no provider changes or ends it.
insert into memberships (tenant_id, user_id, role, expires_at)
values (:tenant_id, :user_id, :role, :expires_at)
on conflict on constraint memberships_pkey
do update set role = excluded.role, expires_at = excluded.expires_at, issuer = null;

-- name: memberships_of_user
select m.tenant_id, m.role
from memberships m
join tenants t on t.id = m.tenant_id
where m.user_id = :user_id and (m.expires_at is null or m.expires_at > now())
  and t.suspended_at is null
order by m.created_at, m.tenant_id;

-- name: member
-- The person and their tenants by name, the tenant of the session first; none if they have left it.
select u.email, u.name, m.tenant_id, m.role, coalesce(t.display_name, t.name) as tenant_name,
  effective_settings(t) as tenant_settings
from users u
join memberships m on m.user_id = u.id
join tenants t on t.id = m.tenant_id
where u.id = :user_id and u.disabled_at is null and t.suspended_at is null
  and (m.expires_at is null or m.expires_at > now())
order by m.tenant_id <> :tenant_id, lower(coalesce(t.display_name, t.name)), t.id
limit :limit;
