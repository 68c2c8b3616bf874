-- name: key_by_hash^
select id, tenant_id, name, role
from api_keys
where key_hash = :key_hash
  and revoked_at is null
  and (expires_at is null or expires_at > now());

-- name: insert_key!
insert into api_keys (id, tenant_id, name, role, key_hash, shown, created_by, expires_at)
values (:id, :tenant_id, :name, :role, :key_hash, :shown, :created_by, :expires_at);

-- name: keys
select id, name, role, shown, created_by, created_at, expires_at, revoked_at
from api_keys
order by created_at, id;

-- name: revoke_key!
update api_keys set revoked_at = now()
where id = :id and revoked_at is null;

-- name: user_by_email^
select id, email, name, password_hash, disabled_at
from users
where email = :email;

-- name: insert_user!
insert into users (id, email, name, password_hash)
values (:id, :email, :name, :password_hash);

-- name: upsert_membership!
insert into memberships (tenant_id, user_id, role, expires_at)
values (:tenant_id, :user_id, :role, :expires_at)
on conflict on constraint memberships_pkey
do update set role = excluded.role, expires_at = excluded.expires_at;

-- name: memberships_of_user
select tenant_id, role
from memberships
where user_id = :user_id and (expires_at is null or expires_at > now())
order by created_at, tenant_id;

-- name: insert_session!
insert into sessions (token_hash, user_id, tenant_id, csrf_token, expires_at)
values (:token_hash, :user_id, :tenant_id, :csrf_token, now() + :lifetime);

-- name: session_by_hash^
select user_id, tenant_id, csrf_token, last_seen_at < now() - interval '1 minute' as seen_a_while_ago
from sessions
where token_hash = :token_hash
  and expires_at > now()
  and last_seen_at > now() - :idle_limit;

-- name: touch_session!
update sessions set last_seen_at = now() where token_hash = :token_hash;

-- name: delete_session!
delete from sessions where token_hash = :token_hash;

-- name: member^
select u.email, u.name, m.role
from users u
join memberships m on m.user_id = u.id
where u.id = :user_id and m.tenant_id = :tenant_id and u.disabled_at is null
  and (m.expires_at is null or m.expires_at > now());

-- name: members
select u.id, u.email, u.name, m.role
from users u
join memberships m on m.user_id = u.id
where m.tenant_id = scope_tenant()
order by u.email;

-- name: expire_sessions!
delete from sessions where expires_at < now();

-- name: failures_of
select subject, count(*) as failed_count, min(failed_at) as first_failed_at
from sign_in_failures
where subject = any(:subjects) and failed_at > now() - :window
group by subject;

-- name: insert_failures!
insert into sign_in_failures (subject) select unnest(:subjects::bytea[]);

-- name: forget_failures!
delete from sign_in_failures where subject = :subject;

-- name: expire_failures!
delete from sign_in_failures where failed_at < now() - :window;
