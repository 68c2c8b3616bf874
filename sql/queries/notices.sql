-- name: page
-- What people were told, newest first.
select n.id, n.kind, n.rule_id, n.rule_version, n.quarantined_version, n.figures, n.acted_at as at,
       n.acknowledged_at, n.acknowledged_by, v.object ->> 'name' as rule_name,
       v.object ->> 'owner' as owner
from notices n
left join rule_versions v
  on v.tenant_id = n.tenant_id and v.rule_id = n.rule_id and v.version = n.rule_version
where n.tenant_id = scope_tenant()
  and (n.quarantined_version is not null or n.kind <> 'over_budget')
  and n.kind = any (:kinds)
  and (:acknowledged::boolean is null or (n.acknowledged_at is not null) = :acknowledged)
  and (:rule_id::text is null or n.rule_id = :rule_id)
  and (:before_at::timestamptz is null or (n.acted_at, n.id) < (:before_at, :before_id::uuid))
order by n.acted_at desc, n.id desc
limit :limit;

-- name: one^
select n.id, n.kind, n.rule_id, n.rule_version, n.quarantined_version, n.figures, n.acted_at as at,
       n.acknowledged_at, n.acknowledged_by, v.object ->> 'name' as rule_name,
       v.object ->> 'owner' as owner
from notices n
left join rule_versions v
  on v.tenant_id = n.tenant_id and v.rule_id = n.rule_id and v.version = n.rule_version
where n.tenant_id = scope_tenant() and n.id = :id
  and (n.quarantined_version is not null or n.kind <> 'over_budget');

-- name: count_new$
select count(*)
from notices
where tenant_id = scope_tenant() and (quarantined_version is not null or kind <> 'over_budget')
  and kind = any (:kinds) and acknowledged_at is null;

-- name: acknowledge!
update notices
set acknowledged_at = now(), acknowledged_by = :actor
where tenant_id = scope_tenant() and id = :id and acknowledged_at is null;

-- name: acknowledge_of_rule!
update notices
set acknowledged_at = now(), acknowledged_by = :actor
where tenant_id = scope_tenant() and rule_id = :rule_id and acknowledged_at is null
  and quarantined_version is not null;

-- name: tenants_waiting
select distinct tenant_id from notices where acted_at is null;

-- name: waiting
-- Found by the worker, and not acted upon.
select id, rule_id, rule_version
from notices
where tenant_id = scope_tenant() and acted_at is null
order by found_at, id;

-- name: acted!
update notices
set acted_at = now(), quarantined_version = :quarantined_version
where tenant_id = scope_tenant() and id = :id;

-- name: tell_quiet!
insert into notices (tenant_id, kind, subject, figures, acted_at)
values (scope_tenant(), 'quiet_control', :subject, :figures, now())
on conflict on constraint notices_subject_once do nothing;

-- name: settle_quiet!
-- What was seen of since is told no more. subjects: of every control as it is now.
update notices
set acknowledged_at = now(), acknowledged_by = :actor
where tenant_id = scope_tenant() and kind = 'quiet_control' and acknowledged_at is null
  and subject <> all (:subjects);
