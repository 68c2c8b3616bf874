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

-- name: copy^
select copied_at, span_count
from trace_copies
where tenant_id = scope_tenant() and trace_id = :trace_id;

-- name: columns^
-- All spans of a trace in one row, a value for each column: rows of their own cost a driver more
-- than they hold. Times are told from the earliest start on and cut to 64 bits.
with spans as (
  select ordinal, span_id, parent_span_id, name, service, status, start_ns,
    start_ns - min(start_ns) over () as after_ns, end_ns - start_ns as lasts_ns
  from trace_spans
  where tenant_id = scope_tenant() and trace_id = :trace_id
)
select
  min(start_ns) as start_ns,
  string_agg(span_id, '' order by ordinal) as span_ids,
  string_agg(coalesce(parent_span_id, '\x0000000000000000'), '' order by ordinal) as parent_ids,
  string_agg(
    int8send(least(after_ns, 9223372036854775807)::bigint), '' order by ordinal
  ) as starts_ns,
  string_agg(
    int8send(least(greatest(lasts_ns, -9223372036854775808), 9223372036854775807)::bigint), ''
    order by ordinal
  ) as durations_ns,
  json_agg(name order by ordinal) as names,
  json_agg(service order by ordinal) as services,
  string_agg(case status when 'error' then '\x01'::bytea else '\x00' end, '' order by ordinal)
    as errors
from spans;

-- name: span^
select span_id, parent_span_id, name, service, kind, status, status_message,
       start_ns, end_ns, attributes, resource, scope, events, links, dropped_attributes_count
from trace_spans
where tenant_id = scope_tenant() and trace_id = :trace_id and ordinal = :ordinal;

-- name: search
-- Spans with a text in name, service, status, an attribute's key or value, an event; any case.
select ordinal
from trace_spans
where tenant_id = scope_tenant() and trace_id = :trace_id
  and (
    position(:text in lower(name)) > 0
    or position(:text in lower(service)) > 0
    or position(:text in lower(status_message)) > 0
    or position(:text in lower(attributes::text)) > 0
    or position(:text in lower(events::text)) > 0
  )
order by ordinal
limit :limit;

-- name: recent
-- The newest copies that are not too large, as many of them as hold so many spans together.
select trace_id, root_name, root_service, span_count, whole, first_span_at
from (
  select *, sum(span_count) over (order by first_span_at desc, trace_id) as spans_so_far
  from (
    select trace_id, root_name, root_service, span_count, whole, first_span_at
    from trace_copies
    where tenant_id = scope_tenant() and span_count <= :spans_max
    order by first_span_at desc, trace_id
    limit :limit
  ) newest
) counted
where spans_so_far <= :spans_in_all
order by first_span_at desc, trace_id;

-- name: spans_of_many
select trace_id, span_id, parent_span_id, name, service, kind, status, status_message,
       start_ns, end_ns, attributes, resource, scope, events, links, dropped_attributes_count
from trace_spans
where tenant_id = scope_tenant() and trace_id = any(:trace_ids)
order by trace_id, ordinal;

-- name: names_of_many
select name, attributes, resource
from trace_spans
where tenant_id = scope_tenant() and trace_id = any(:trace_ids);
