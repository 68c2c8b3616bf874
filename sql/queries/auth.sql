-- name: key_at_hand^
-- A key in force of a tenant that is not suspended; a transaction by itself.
-- left_s: until the key ends by itself; null: it does not.
select id, tenant_id, name, role, scopes, networks, expires_at, left_s, tenant_settings,
  delete_after
from key_at_hand(:key_hash);

-- name: tenant_at_hand^
-- A tenant, unless it is suspended; a transaction by itself.
select tenant_settings, delete_after from tenant_at_hand(:tenant_id);

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
order by m.created_at, lower(coalesce(t.display_name, t.name)), m.tenant_id;

-- name: member
-- The person and their tenants by name, the tenant of the session first; none if they have left it.
-- From here on the transaction is that person's, in that tenant.
select email, name, tenant_id, role, tenant_name, tenant_settings, delete_after
from member_at_hand(:user_id, :tenant_id, :limit);
