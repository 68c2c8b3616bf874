-- name: asked^
-- Whether the deletion of the tenant was asked for; nulls if not. asker: their address, if it was
-- somebody who is a member still.
select t.name, coalesce(t.display_name, t.name) as title, t.deletion_asked_at,
  t.deletion_asked_by, t.delete_after, t.paused_rules, t.purge_began_at, t.held_by,
  u.email as asker
from tenants t
left join users u on 'user:' || u.id = t.deletion_asked_by
where t.id = scope_tenant();

-- name: ask!
update tenants
set deletion_asked_at = now(), deletion_asked_by = :asked_by, delete_after = now() + :grace,
  paused_rules = :paused_rules
where id = scope_tenant();

-- name: keep!
update tenants
set deletion_asked_at = null, deletion_asked_by = null, delete_after = null, paused_rules = null
where id = scope_tenant();

-- name: judging_rules
select id from rules
where tenant_id = scope_tenant() and deleted_at is null and state in ('active', 'shadow')
order by id;

-- name: admins
select u.email
from memberships m
join users u on u.id = m.user_id
where m.tenant_id = scope_tenant() and m.role = 'admin' and u.disabled_at is null
  and (m.expires_at is null or m.expires_at > now())
order by u.email;

-- name: due
-- Those that have begun as well; one that is held waits.
select id from tenants where delete_after <= now() and held_at is null order by delete_after, id;

-- name: turn^
select coalesce(delete_after <= now(), false) and held_at is null as due,
  purge_began_at is not null as began
from tenants
where id = scope_tenant()
for no key update;

-- name: begin_purge$
select begin_purge();

-- name: audit_log
-- In the order in which a reader below the oldest running transaction finds them.
select id, tenant_id, at, until_at, times, actor, action, target, outcome, reason, method, route,
  address, user_agent, request_id, details
from audit_log
where tenant_id = scope_tenant()
order by xact, seq;

-- name: end_audit$
select end_audit(:what);

-- name: purge_some$
select purge_some(:most);

-- name: proofs
-- Newest first, or that of one tenant.
select tenant_id, name, asked_by, asked_at, due_at, began_at, completed_at, deleted, audit_end
from deletion_proofs
where :tenant_id::uuid is null or tenant_id = :tenant_id
order by completed_at desc, tenant_id;
