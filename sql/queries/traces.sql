-- name: trace^
select trace_id, root_name, root_service, services, span_count, whole, first_span_at,
       last_span_at, copied_at
from trace_copies
where tenant_id = scope_tenant() and trace_id = :trace_id;

-- name: spans
select span_id, parent_span_id, name, service, kind, status, status_message,
       start_ns, end_ns, attributes, resource, scope, events, links, dropped_attributes_count
from trace_spans
where tenant_id = scope_tenant() and trace_id = :trace_id
order by ordinal;

-- name: signals_of
select id, rule_id, rule_name, severity, verdict, status
from signals
where tenant_id = scope_tenant() and trace_id = :trace_id and raised
order by occurred_at, id;

-- name: copied
select trace_id from trace_copies where tenant_id = scope_tenant() and trace_id = any(:trace_ids);
