-- name: key_by_hash^
-- left_s: until the key ends by itself; null: it does not.
select id, tenant_id, name, role, scopes, networks::text[] as networks, expires_at,
  extract(epoch from expires_at - now()) as left_s
from api_keys
where key_hash = :key_hash
  and revoked_at is null
  and (expires_at is null or expires_at > now());

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
select tenant_id, role
from memberships
where user_id = :user_id and (expires_at is null or expires_at > now())
order by created_at, tenant_id;

-- name: member
-- The person and their tenants by name, the tenant of the session first; none if they have left it.
select u.email, u.name, m.tenant_id, m.role, t.name as tenant_name
from users u
join memberships m on m.user_id = u.id
join tenants t on t.id = m.tenant_id
where u.id = :user_id and u.disabled_at is null
  and (m.expires_at is null or m.expires_at > now())
order by m.tenant_id <> :tenant_id, lower(t.name), t.id
limit :limit;

-- name: members
select u.id, u.email, u.name, m.role
from users u
join memberships m on m.user_id = u.id
where m.tenant_id = scope_tenant()
order by u.email;

