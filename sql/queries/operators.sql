-- name: insert_key!
insert into operator_keys (id, name, key_hash, networks, created_by, expires_at)
values (:id, :name, :key_hash, :networks, :created_by, :expires_at);

-- name: keys
select id, name, networks::text[] as networks, created_by, created_at, expires_at, revoked_at,
  last_used_at
from operator_keys order by name;

-- name: revoke!
update operator_keys set revoked_at = now() where name = :name and revoked_at is null;

-- name: by_key^
select id, name, networks::text[] as networks, '' as csrf_token
from operator_keys
where key_hash = :hash and revoked_at is null and expires_at > now();

-- name: used!
update operator_keys set last_used_at = now()
where key_hash = :hash and (last_used_at is null or last_used_at < now() - interval '1 minute');

-- name: by_session^
select k.id, k.name, k.networks::text[] as networks, s.csrf_token,
  s.last_seen_at < now() - interval '1 minute' as seen_a_while_ago
from operator_sessions s join operator_keys k on k.id = s.key_id
where s.token_hash = :hash and s.expires_at > now() and s.last_seen_at > now() - :idle
  and k.revoked_at is null and k.expires_at > now();

-- name: touch!
update operator_sessions set last_seen_at = now() where token_hash = :hash;

-- name: begin!
insert into operator_sessions (token_hash, key_id, csrf_token, expires_at)
values (:token_hash, :key_id, :csrf_token, now() + :absolute);

-- name: end!
delete from operator_sessions where token_hash = :hash;

-- name: expire!
delete from operator_sessions where expires_at < now();

-- name: overview
select * from tenants_overview(:only_id, :sought, :after, :most);
