-- name: first_spans_at^
-- The first minute in which the job received spans of the tenant; counted when the minute ticks.
select minute from stats_minutes
where tenant_id = scope_tenant() and (counts ->> 'received')::bigint > 0
order by minute
limit 1;

-- name: newest_signal^
select encode(id, 'hex') as id, rule_name, rule_id
from signals
where tenant_id = scope_tenant()
order by occurred_at desc, id desc
limit 1;
