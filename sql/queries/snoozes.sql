-- name: of_rule
-- The snoozes of a rule, newest first.
select id, rule_id, from_at, until_at, reason, actor, acting, ended_at, ended_by
from rule_snoozes
where tenant_id = scope_tenant() and rule_id = :rule_id
order by from_at desc, id
limit :limit;

-- name: running
-- Those that silence rules at this moment.
select id, rule_id, from_at, until_at, reason, actor, acting, ended_at, ended_by
from rule_snoozes
where tenant_id = scope_tenant() and ended_at is null and until_at > now()
order by rule_id;

-- name: lock_rule^
-- One snooze of a rule at a time: whoever changes them waits for the rule.
select id, deleted_at is not null as deleted, now() as at
from rules
where tenant_id = scope_tenant() and id = :rule_id
for no key update;

-- name: add!
insert into rule_snoozes (tenant_id, id, rule_id, until_at, reason, actor)
values (scope_tenant(), :id, :rule_id, :until_at, :reason, :actor);

-- name: end_running
-- End what silences a rule; one that ran out by itself is left as it was.
update rule_snoozes set ended_at = now(), ended_by = :actor
where tenant_id = scope_tenant() and rule_id = :rule_id and ended_at is null and until_at > now()
returning id;
