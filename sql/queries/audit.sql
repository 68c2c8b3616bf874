-- name: insert!
insert into audit_log (id, tenant_id, at, until_at, times, actor, action, target, outcome, reason,
                       method, route, address, user_agent, request_id, details)
values (:id, :tenant_id, :at, :until_at, :times, :actor, :action, :target, :outcome, :reason,
        :method, :route, :address, :user_agent, :request_id, :details)
on conflict do nothing;

-- name: page
-- Newest first, with the address or name of an actor who is a member or a key still.
with page as materialized (
  select id, tenant_id, at, until_at, times, actor, action, target, outcome, reason, method, route,
         address, user_agent, request_id, details,
         case when actor ~ '^(user|key):[0-9a-f-]{36}$'
              then split_part(actor, ':', 2)::uuid end as actor_id
  from audit_log
  where tenant_id = scope_tenant()
    and (:actor::text is null or actor = :actor or details ->> 'acting' = :actor
         or actor = (select 'user:' || u.id from users u where u.email = :actor))
    and (:action::text is null or action = :action or starts_with(action, :action || '.'))
    and (:target::text is null or target = :target)
    and (:outcome::text is null or outcome = :outcome)
    and (:from_at::timestamptz is null or at >= :from_at)
    and (:to_at::timestamptz is null or at < :to_at)
    and (:before_at::timestamptz is null or (at, id) < (:before_at, :before_id::uuid))
  order by at desc, id desc
  limit :limit
)
select p.*, coalesce(u.email, k.name, '') as actor_name
from page p
left join users u on u.id = p.actor_id and starts_with(p.actor, 'user:')
left join api_keys k on k.id = p.actor_id and starts_with(p.actor, 'key:')
order by p.at desc, p.id desc;

-- name: key_of_hash^
-- Whose a refused key is, and why it was refused.
select tenant_id, 'key:' || id as actor, '' as acting,
       case when revoked_at is not null then 'revoked'
            when expires_at <= now() then 'expired' else 'refused' end as reason
from api_keys
where key_hash = :hash;

-- name: session_of_hash^
select tenant_id, 'user:' || user_id as actor, acting from sessions where token_hash = :hash;

-- name: tenants_of_user
select tenant_id from memberships where user_id = :user_id;
