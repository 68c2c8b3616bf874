-- name: insert!
insert into audit_log (id, tenant_id, at, until_at, times, actor, action, target, outcome, reason,
                       method, route, address, user_agent, request_id, details)
values (:id, :tenant_id, :at, :until_at, :times, :actor, :action, :target, :outcome, :reason,
        :method, :route, :address, :user_agent, :request_id, :details)
on conflict do nothing;

-- name: page
-- Newest first, with the address of an actor who is a member still.
select a.id, a.tenant_id, a.at, a.until_at, a.times, a.actor, a.action, a.target, a.outcome,
       a.reason, a.method, a.route, a.address, a.user_agent, a.request_id, a.details,
       coalesce(u.email, k.name, '') as actor_name
from audit_log a
left join users u on 'user:' || u.id = a.actor
left join api_keys k on k.tenant_id = a.tenant_id and 'key:' || k.id = a.actor
where a.tenant_id = scope_tenant()
  and (:actor::text is null or a.actor = :actor or u.email = :actor)
  and (:action::text is null or a.action = :action
       or starts_with(a.action, :action || '.'))
  and (:target::text is null or a.target = :target)
  and (:outcome::text is null or a.outcome = :outcome)
  and (:from_at::timestamptz is null or a.at >= :from_at)
  and (:to_at::timestamptz is null or a.at < :to_at)
  and (:before_at::timestamptz is null or (a.at, a.id) < (:before_at, :before_id::uuid))
order by a.at desc, a.id desc
limit :limit;

-- name: key_of_hash^
-- Whose a refused key is, and why it was refused.
select tenant_id, 'key:' || id as actor,
       case when revoked_at is not null then 'revoked'
            when expires_at <= now() then 'expired' else 'refused' end as reason
from api_keys
where key_hash = :hash;

-- name: session_of_hash^
select tenant_id, 'user:' || user_id as actor from sessions where token_hash = :hash;

-- name: tenants_of_user
select tenant_id from memberships where user_id = :user_id;

-- name: forget$
select forget_audit(:days);
