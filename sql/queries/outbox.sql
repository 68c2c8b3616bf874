-- name: enqueue!
insert into rules_outbox (tenant_id, rule_id, rule_version, record)
values (scope_tenant(), :rule_id, :rule_version, :record);

-- name: take_turn$
-- One publisher at a time for a tenant, so that its records keep their order.
select pg_advisory_xact_lock(hashtext('rules_outbox'), hashtext(scope_tenant()::text));

-- name: pending
select id, record
from rules_outbox
where tenant_id = scope_tenant() and published_at is null
order by id
limit :limit;

-- name: published!
update rules_outbox
set published_at = :published_at, log_offset = :log_offset, attempts = attempts + 1, last_error = null
where id = :id;

-- name: failed!
update rules_outbox
set attempts = attempts + 1, last_error = :error
where id = :id;

-- name: tenants_with_pending
select tenant_id, min(created_at) as oldest_at, count(*) as pending_count
from rules_outbox
where published_at is null
group by tenant_id
order by oldest_at;

-- name: record_of$
select record
from rules_outbox
where tenant_id = scope_tenant() and rule_id = :rule_id and rule_version = :rule_version;
