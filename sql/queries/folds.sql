-- name: page
-- What was folded of versions of rules, minute by minute and over all lanes, newest first.
with minutes as (
  select f.rule_id, f.rule_version, f.minute, max(f.rule_name) as rule_name,
    max(f.severity) as severity, bool_or(f.shadow) as shadow, sum(f.raised)::bigint as raised,
    sum(f.renewed)::bigint as renewed, sum(f.withdrawn)::bigint as withdrawn,
    min(f.first_at) as first_at, max(f.last_at) as last_at
  from signal_folds f
  where f.tenant_id = scope_tenant()
    and (:rule_id::text is null or f.rule_id = :rule_id)
    and (:severities::text[] is null or f.severity = any(:severities))
    and (:from_at::timestamptz is null or f.minute >= :from_at)
    and (:to_at::timestamptz is null or f.minute < :to_at)
    and (
      :before_at::timestamptz is null
      or (f.minute, f.rule_id, f.rule_version) < (:before_at, :before_rule_id, :before_version)
    )
  group by f.minute, f.rule_id, f.rule_version
  order by f.minute desc, f.rule_id desc, f.rule_version desc
  limit :limit
)
select m.rule_id, m.rule_version, m.minute, m.rule_name, m.severity, m.shadow, m.raised, m.renewed,
  m.withdrawn, m.first_at, m.last_at,
  array(
    select x.trace_id
    from signal_folds f, unnest(f.example_trace_ids) with ordinality as x (trace_id, place)
    where f.tenant_id = scope_tenant() and f.rule_id = m.rule_id and f.minute = m.minute
      and f.rule_version = m.rule_version
    order by f.first_at, f.lane, x.place
    limit :examples
  ) as example_trace_ids
from minutes m
order by m.minute desc, m.rule_id desc, m.rule_version desc;

-- name: storms
-- Storms of rules, the latest first: minutes in which signals were folded, with at most :gap
-- between them. A withdrawal belongs to the storm before it. `total` is of all storms, also of
-- those beyond the limit. A row is in [from, to) by the last signal that it folded.
with minutes as (
  select f.rule_id, f.minute, max(f.rule_name) as rule_name, max(f.severity) as severity,
    sum(f.raised)::bigint as raised, sum(f.renewed)::bigint as renewed,
    sum(f.withdrawn)::bigint as withdrawn, min(f.first_at) as first_at, max(f.last_at) as last_at
  from signal_folds f
  where f.tenant_id = scope_tenant()
    and (:rule_id::text is null or f.rule_id = :rule_id)
    and (:severities::text[] is null or f.severity = any(:severities))
    and (
      :from_at::timestamptz is null
      or f.minute > :from_at - interval '1 minute' and coalesce(f.last_at, f.minute) >= :from_at
    )
    and (
      :to_at::timestamptz is null
      or f.minute < :to_at and coalesce(f.last_at, f.minute) < :to_at
    )
  group by f.rule_id, f.minute
),
placed as (
  select m.rule_id, m.minute, m.rule_name, m.severity, m.raised, m.renewed, m.withdrawn,
    m.first_at, m.last_at,
    max(m.minute) filter (where m.raised > 0) over (
      partition by m.rule_id order by m.minute
      rows between unbounded preceding and 1 preceding
    ) as raised_before
  from minutes m
),
numbered as (
  select p.rule_id, p.minute, p.rule_name, p.severity, p.raised, p.renewed, p.withdrawn,
    p.first_at, p.last_at,
    count(*) filter (
      where p.raised > 0
        and (p.raised_before is null or p.minute - p.raised_before > :gap::interval)
    ) over (partition by p.rule_id order by p.minute) as nth
  from placed p
),
storms as (
  select n.rule_id, n.nth, max(n.rule_name) as rule_name, max(n.severity) as severity,
    sum(n.raised)::bigint as raised, sum(n.renewed)::bigint as renewed,
    sum(n.withdrawn)::bigint as withdrawn, min(n.first_at) as first_at, max(n.last_at) as last_at,
    (sum(sum(n.raised)) over ())::bigint as total
  from numbered n
  where n.nth > 0
  group by n.rule_id, n.nth
  order by max(n.last_at) desc, n.rule_id
  limit :limit
)
select s.rule_id, s.rule_name, s.severity, s.raised, s.renewed, s.withdrawn, s.first_at, s.last_at,
  s.total,
  array(
    select x.trace_id
    from signal_folds f, unnest(f.example_trace_ids) with ordinality as x (trace_id, place)
    where f.tenant_id = scope_tenant() and f.rule_id = s.rule_id
      and f.minute > s.first_at - interval '1 minute' and f.minute <= s.last_at
    order by f.minute, f.first_at, f.lane, x.place
    limit :examples
  ) as example_trace_ids
from storms s
order by s.last_at desc, s.rule_id;
