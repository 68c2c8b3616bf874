-- Finding stored traces. Each statement runs in a transaction of a tenant; `ask_for` tells it which
-- terms every trace must hold, and the policy of the table sees to that.

-- name: ask_for$
select set_config(
  'app.trace_terms',
  array_agg(trace_term(scope_tenant(), t.kind, t.key, t.value))::text,
  true
)
from unnest(:kinds::text[], :keys::text[], :values::text[]) as t (kind, key, value);

-- name: newest
-- Newest first. judged and unjudged ask for signals as well; what is not asked for is null.
select t.trace_id, t.started_at
from trace_search t
where t.tenant_id = scope_tenant()
  and (:min_ns::bigint is null or t.duration_ns >= :min_ns)
  and (:max_ns::bigint is null or t.duration_ns <= :max_ns)
  and (:from_at::timestamptz is null or t.started_at >= :from_at)
  and (:to_at::timestamptz is null or t.started_at < :to_at)
  and (
    :before_at::timestamptz is null or (t.started_at, t.trace_id) < (:before_at, :before_id::bytea)
  )
order by t.started_at desc, t.trace_id desc
limit :limit;

-- name: judged
-- Those that a rule, or any, said something of; with that verdict, or any.
select t.trace_id, t.started_at
from trace_search t
where t.tenant_id = scope_tenant()
  and exists (
    select from signals s
    where s.tenant_id = t.tenant_id and s.trace_id = t.trace_id
      and (:verdict::text is null or s.verdict = :verdict)
      and (:rule_id::text is null or s.rule_id = :rule_id)
  )
  and (:min_ns::bigint is null or t.duration_ns >= :min_ns)
  and (:max_ns::bigint is null or t.duration_ns <= :max_ns)
  and (:from_at::timestamptz is null or t.started_at >= :from_at)
  and (:to_at::timestamptz is null or t.started_at < :to_at)
  and (
    :before_at::timestamptz is null or (t.started_at, t.trace_id) < (:before_at, :before_id::bytea)
  )
order by t.started_at desc, t.trace_id desc
limit :limit;

-- name: unjudged
-- Those that no signal is about: a backtest stored them.
select t.trace_id, t.started_at
from trace_search t
where t.tenant_id = scope_tenant()
  and not exists (
    select from signals s where s.tenant_id = t.tenant_id and s.trace_id = t.trace_id
  )
  and (:min_ns::bigint is null or t.duration_ns >= :min_ns)
  and (:max_ns::bigint is null or t.duration_ns <= :max_ns)
  and (:from_at::timestamptz is null or t.started_at >= :from_at)
  and (:to_at::timestamptz is null or t.started_at < :to_at)
  and (
    :before_at::timestamptz is null or (t.started_at, t.trace_id) < (:before_at, :before_id::bytea)
  )
order by t.started_at desc, t.trace_id desc
limit :limit;

-- name: listed
-- What a list tells of traces, newest first.
select t.trace_id, t.started_at, t.duration_ns, t.error_count, c.root_name, c.root_service,
       c.services, c.span_count, c.whole
from trace_search t
join trace_copies c on c.tenant_id = t.tenant_id and c.trace_id = t.trace_id
where t.tenant_id = scope_tenant() and t.trace_id = any(:trace_ids)
order by t.started_at desc, t.trace_id desc;

-- name: signals_of
-- What rules said of traces, the latest first.
select trace_id, id, rule_id, rule_name, severity, verdict, status
from signals
where tenant_id = scope_tenant() and trace_id = any(:trace_ids)
order by occurred_at desc, id;

-- name: facets
-- In how many of some traces there is which service, and which operation; the most frequent ones.
with held (kind, name) as (
  select 'service', s.name
  from trace_search t cross join lateral unnest(t.services) as s (name)
  where t.tenant_id = scope_tenant() and t.trace_id = any(:trace_ids)
  union all
  select 'operation', o.name
  from trace_search t cross join lateral unnest(t.operations) as o (name)
  where t.tenant_id = scope_tenant() and t.trace_id = any(:trace_ids)
),
counted as (
  select kind, name, count(*) as trace_count,
    row_number() over (partition by kind order by count(*) desc, name) as place
  from held
  group by kind, name
)
select kind, name, trace_count from counted where place <= :most order by kind, place;
