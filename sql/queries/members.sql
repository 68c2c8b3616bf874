-- name: page
-- By address. last_seen_at: of sessions that are not over, null without one.
select u.id as user_id, u.email, u.name, m.role, m.created_at as joined_at, m.expires_at,
  coalesce(m.expires_at <= now(), false) as ended,
  (select max(s.last_seen_at) from sessions s
   where s.tenant_id = m.tenant_id and s.user_id = m.user_id and s.expires_at > now()
  ) as last_seen_at
from memberships m
join users u on u.id = m.user_id
where m.tenant_id = scope_tenant() and (:after::text is null or u.email > :after)
order by u.email
limit :limit;

-- name: one^
select u.id as user_id, u.email, u.name, m.role, m.created_at as joined_at, m.expires_at,
  coalesce(m.expires_at <= now(), false) as ended,
  (select max(s.last_seen_at) from sessions s
   where s.tenant_id = m.tenant_id and s.user_id = m.user_id and s.expires_at > now()
  ) as last_seen_at
from memberships m
join users u on u.id = m.user_id
where m.tenant_id = scope_tenant() and m.user_id = :user_id;

-- name: is_member$
select exists (
  select from memberships m
  join users u on u.id = m.user_id
  where m.tenant_id = scope_tenant() and u.email = :email
    and (m.expires_at is null or m.expires_at > now())
);

-- name: count$
select count(*) from memberships
where tenant_id = scope_tenant() and (expires_at is null or expires_at > now());

-- name: count_admins$
-- Those who stay: an admin for a time leaves the tenant without one some day.
select count(*)
from memberships m
join users u on u.id = m.user_id
where m.tenant_id = scope_tenant() and m.role = 'admin' and m.expires_at is null
  and u.disabled_at is null;

-- name: change!
-- By hand: the claims of a provider say no more what the role is.
update memberships set role = :role, expires_at = :expires_at, issuer = null
where tenant_id = scope_tenant() and user_id = :user_id;

-- name: join!
-- A membership that has ended is begun anew; one that goes on stays as it is, and no row is written.
insert into memberships (tenant_id, user_id, role, expires_at)
values (scope_tenant(), :user_id, :role, :expires_at)
on conflict on constraint memberships_pkey
do update set role = excluded.role, expires_at = excluded.expires_at, issuer = null
where memberships.expires_at <= now();

-- name: remove!
delete from memberships where tenant_id = scope_tenant() and user_id = :user_id;

-- name: end_sessions!
delete from sessions where tenant_id = scope_tenant() and user_id = :user_id;

-- name: keys_made_by$
select count(*) from api_keys
where created_by = :email and revoked_at is null and (expires_at is null or expires_at > now());
