-- name: insert!
insert into sessions (
  token_hash, user_id, tenant_id, csrf_token, expires_at, agent, address, sealed_identity, acting
)
values (
  :token_hash, :user_id, :tenant_id, :csrf_token,
  coalesce(:expires_at::timestamptz, now() + :absolute), :agent, :address, :sealed_identity, :acting
);

-- name: at_hand
-- The person of a session and their tenants, that of the session first; a transaction by itself.
select user_id, csrf_token, acting, session_tenant_id, session_ends_at, email, name, tenant_id,
  role, tenant_name, tenant_settings, delete_after
from session_at_hand(:token_hash, :idle, :address, :limit);

-- name: by_hash^
select user_id, tenant_id, expires_at, acting
from sessions
where token_hash = :token_hash
  and expires_at > now()
  and last_seen_at > now() - :idle;

-- name: kept^
select user_id, sealed_identity from sessions
where token_hash = :token_hash and sealed_identity is not null;

-- name: of_user
select s.id, s.tenant_id, s.agent, s.address, s.created_at, s.last_seen_at, s.acting,
  s.token_hash = :token_hash as current
from sessions s
where s.user_id = scope_user()
  and s.expires_at > now()
  and s.last_seen_at > now() - :idle
order by current desc, s.last_seen_at desc, s.id;

-- name: end_by_hash!
delete from sessions where token_hash = :token_hash;

-- name: end_one!
delete from sessions where user_id = scope_user() and id = :id;

-- name: end_all!
delete from sessions where user_id = scope_user() and token_hash is distinct from :keep;

-- name: expire!
delete from sessions where expires_at < now();
