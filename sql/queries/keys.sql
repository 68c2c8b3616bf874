-- name: insert!
insert into api_keys
  (id, tenant_id, name, role, scopes, key_hash, shown, networks, created_by, expires_at)
values
  (:id, :tenant_id, :name, :role, :scopes::text[], :key_hash, :shown,
   :networks::text[]::cidr[], :created_by, :expires_at);

-- name: free_name!
-- A key that has ended by itself gives its name back; its end stays what it was.
update api_keys set revoked_at = expires_at
where name = :name and revoked_at is null and replaced_by is null and expires_at <= now();

-- name: one^
select id, name, role, scopes, shown, networks::text[] as networks, created_by, created_at,
  expires_at, last_used_at, revoked_at, revoked_by, replaced_by, now() as asked_at
from api_keys
where id = :id;

-- name: page
select id, name, role, scopes, shown, networks::text[] as networks, created_by, created_at,
  expires_at, last_used_at, revoked_at, revoked_by, replaced_by, now() as asked_at
from api_keys
where (:ended or (revoked_at is null and (expires_at is null or expires_at > now())))
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: in_use_named^
select id
from api_keys
where name = :name and revoked_at is null and replaced_by is null
  and (expires_at is null or expires_at > now());

-- name: count_in_use$
-- with_replaced: count those as well that go on for a while beside their successors.
select count(*)
from api_keys
where revoked_at is null and (expires_at is null or expires_at > now())
  and (:with_replaced or replaced_by is null);

-- name: replace!
update api_keys
set replaced_by = :successor, expires_at = least(expires_at, now() + :overlap)
where id = :id;

-- name: revoke!
update api_keys set revoked_at = now(), revoked_by = :actor
where id = :id and revoked_at is null;

-- name: note_uses!
-- Rows are locked in one order, so that processes that write at once do not wait in a circle.
with used as (
  select k.id, u.at
  from api_keys k
  join unnest(:ids::uuid[], :times::timestamptz[]) as u (id, at) on u.id = k.id
  where k.last_used_at is null or k.last_used_at < u.at
  order by k.id
  for no key update of k
)
update api_keys k set last_used_at = used.at
from used
where k.id = used.id;
