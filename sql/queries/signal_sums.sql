-- Counts of raised signals out of their sums (0078, 0083), if from_sums. all_days: no range of time; else
-- whole days from first_day to end_day (exclusive) out of the sums, and what is no whole day at the
-- beginning (head) and at the end (tail) out of the signals, or all of the range as head where sums do
-- not tell; null for none. Their bounds are values, not columns: so the planner knows how few signals
-- lie between them, and that there is nothing to look for where there are none. service: '' for any.

-- name: facets
-- How many signals each value of a filter would show, under all other filters. facet: severity,
-- status, rule, assignee, tag, and `total` for what all filters together show.
with counted as (
  select rule_id, severity, tags, status, assignee_id, signal_count as n
  from signal_counts
  where :from_sums and tenant_id = scope_tenant() and service = :service
    and case when :all_days then day = '-infinity'
      else day >= :first_day and day < :end_day end
    and case :shown when 'alerts' then alerts when 'shadow' then shadow
      when 'excepted' then excepted else true end
  union all
  select s.rule_id, s.severity, s.tags, s.status,
    coalesce(s.assignee_id, '00000000-0000-0000-0000-000000000000'), 1
  from signals s
  where s.tenant_id = scope_tenant() and s.raised
    and ((s.occurred_at >= :head_from::timestamptz and s.occurred_at < :head_to::timestamptz)
         or (s.occurred_at >= :tail_from::timestamptz and s.occurred_at < :tail_to::timestamptz))
    and case :shown when 'alerts' then s.alerts when 'shadow' then s.shadow
      when 'excepted' then s.exception is not null else true end
    and (:service = '' or s.root_service = :service or :service = any(s.services))
    and (not :of_groups or s.group_fingerprint = any(:group_ids)
         or (s.group_fingerprint is null and s.rule_id = any(:ungrouped_rules)))
),
cells as materialized (
  select rule_id, severity, tags, status, assignee_id, sum(n) as n,
    (:rule_ids::text[] is null or rule_id = any(:rule_ids)) as by_rule,
    (:severities::text[] is null or severity = any(:severities)) as by_severity,
    (:statuses::text[] is null or status = any(:statuses)) as by_status,
    (:assignee_ids::uuid[] is null or assignee_id = any(:assignee_ids)) as by_assignee,
    (:tags::text[] is null or tags && :tags) as by_tag
  from counted
  group by rule_id, severity, tags, status, assignee_id
  having sum(n) <> 0
)
select 'severity' as facet, severity as value, sum(n)::bigint as signal_count
from cells where by_rule and by_status and by_assignee and by_tag group by severity
union all
select 'status', status, sum(n)::bigint
from cells where by_rule and by_severity and by_assignee and by_tag group by status
union all
select 'rule', rule_id, sum(n)::bigint
from cells where by_severity and by_status and by_assignee and by_tag group by rule_id
union all
select 'assignee', coalesce(u.email, ''), sum(c.n)::bigint
from cells c left join users u on u.id = c.assignee_id
where c.by_rule and c.by_severity and c.by_status and c.by_tag group by coalesce(u.email, '')
union all
select 'tag', t.tag, sum(n)::bigint
from cells cross join unnest(tags) t (tag)
where by_rule and by_severity and by_status and by_assignee group by t.tag
union all
select 'total', '', coalesce(sum(n), 0)::bigint
from cells where by_rule and by_severity and by_status and by_assignee and by_tag;

-- name: services
-- The services that most signals involve, under all filters but that of the service.
select service as value, sum(n)::bigint as signal_count
from (
  select service, signal_count as n
  from signal_counts
  where :from_sums and tenant_id = scope_tenant() and service > ''
    and case when :all_days then day = '-infinity'
      else day >= :first_day and day < :end_day end
    and case :shown when 'alerts' then alerts when 'shadow' then shadow
      when 'excepted' then excepted else true end
    and (:rule_ids::text[] is null or rule_id = any(:rule_ids))
    and (:severities::text[] is null or severity = any(:severities))
    and (:statuses::text[] is null or status = any(:statuses))
    and (:assignee_ids::uuid[] is null or assignee_id = any(:assignee_ids))
    and (:tags::text[] is null or tags && :tags)
  union all
  select o.service, 1
  from signals s
  cross join lateral (
    select s.root_service as service union select unnest(s.services)
  ) o
  where s.tenant_id = scope_tenant() and s.raised and o.service <> ''
    and ((s.occurred_at >= :head_from::timestamptz and s.occurred_at < :head_to::timestamptz)
         or (s.occurred_at >= :tail_from::timestamptz and s.occurred_at < :tail_to::timestamptz))
    and case :shown when 'alerts' then s.alerts when 'shadow' then s.shadow
      when 'excepted' then s.exception is not null else true end
    and (not :of_groups or s.group_fingerprint = any(:group_ids)
         or (s.group_fingerprint is null and s.rule_id = any(:ungrouped_rules)))
    and (:rule_ids::text[] is null or s.rule_id = any(:rule_ids))
    and (:severities::text[] is null or s.severity = any(:severities))
    and (:statuses::text[] is null or s.status = any(:statuses))
    and (:assignee_ids::uuid[] is null or s.assignee_id = any(:assignee_ids)
         or (:nobody and s.assignee_id is null))
    and (:tags::text[] is null or s.tags && :tags)
) c
group by service
having sum(n) > 0
order by 2 desc, 1
limit :limit;

-- name: groups
-- Groups by what they are sorted by (place), largest first. place: microseconds of the last or first
-- signal, how many there are, or the severity and then the last.
with counted as (
  select rule_id, group_id, severity, status, signal_count as n, first_at, last_at
  from signal_group_counts
  where :from_sums and tenant_id = scope_tenant() and service = :service
    and case when :all_days then day = '-infinity'
      else day >= :first_day and day < :end_day end
    and case :shown when 'alerts' then alerts when 'shadow' then shadow
      when 'excepted' then excepted else true end
    and (not :of_groups or group_id = any(:group_ids)
         or (group_id = '' and rule_id = any(:ungrouped_rules)))
    and (:rule_ids::text[] is null or rule_id = any(:rule_ids))
    and (:severities::text[] is null or severity = any(:severities))
    and (:statuses::text[] is null or status = any(:statuses))
    and (:tags::text[] is null or tags && :tags)
  union all
  select s.rule_id, coalesce(s.group_fingerprint, ''), s.severity, s.status, 1, s.occurred_at,
    s.occurred_at
  from signals s
  where s.tenant_id = scope_tenant() and s.raised
    and ((s.occurred_at >= :head_from::timestamptz and s.occurred_at < :head_to::timestamptz)
         or (s.occurred_at >= :tail_from::timestamptz and s.occurred_at < :tail_to::timestamptz))
    and case :shown when 'alerts' then s.alerts when 'shadow' then s.shadow
      when 'excepted' then s.exception is not null else true end
    and (:service = '' or s.root_service = :service or :service = any(s.services))
    and (not :of_groups or s.group_fingerprint = any(:group_ids)
         or (s.group_fingerprint is null and s.rule_id = any(:ungrouped_rules)))
    and (:rule_ids::text[] is null or s.rule_id = any(:rule_ids))
    and (:severities::text[] is null or s.severity = any(:severities))
    and (:statuses::text[] is null or s.status = any(:statuses))
    and (:assignee_ids::uuid[] is null or s.assignee_id = any(:assignee_ids)
         or (:nobody and s.assignee_id is null))
    and (:tags::text[] is null or s.tags && :tags)
),
cells as (
  select rule_id, group_id, severity, status, sum(n) as n, min(first_at) as first_at,
    max(last_at) as last_at
  from counted
  group by rule_id, group_id, severity, status
  having sum(n) > 0
),
summed as materialized (
  select rule_id, group_id, sum(n)::bigint as signal_count,
    coalesce(sum(n) filter (where status = 'open'), 0)::bigint as open_count,
    coalesce(sum(n) filter (where status = 'investigating'), 0)::bigint as investigating_count,
    min(first_at) as first_at, max(last_at) as last_at,
    max(case severity when 'critical' then 5 when 'high' then 4 when 'medium' then 3
      when 'low' then 2 else 1 end) as rank
  from cells
  group by rule_id, group_id
),
placed as (
  select *, case :sort
    when 'count' then signal_count
    when 'first_seen' then (extract(epoch from first_at) * 1000000)::bigint
    when 'severity' then rank * 100000000000000000 + (extract(epoch from last_at) * 1000000)::bigint
    else (extract(epoch from last_at) * 1000000)::bigint
  end as place
  from summed
)
select rule_id, group_id, signal_count, open_count, investigating_count, first_at, last_at, rank,
  place, (select count(*) from summed) as group_count
from placed
where :before_place::bigint is null or place < :before_place
  or (place = :before_place and (rule_id, group_id) > (:before_rule, :before_group::bytea))
order by place desc, rule_id, group_id
limit :limit;

-- name: group_examples
-- The newest signal of each of some groups: what the group is called.
select k.rule_id, k.group_id, s.id, s.rule_name, s.root_name, s.root_service, s.many, s.group_values
from unnest(:rules::text[], :groups::bytea[]) k (rule_id, group_id)
cross join lateral (
  select id, rule_name, root_name, root_service, many, group_values, occurred_at
  from signals
  where tenant_id = scope_tenant() and raised and group_fingerprint = k.group_id
    and k.group_id <> ''
  order by occurred_at desc, id desc
  limit 1
) s
union all
select k.rule_id, k.group_id, s.id, s.rule_name, s.root_name, s.root_service, s.many, s.group_values
from unnest(:rules::text[], :groups::bytea[]) k (rule_id, group_id)
cross join lateral (
  select id, rule_name, root_name, root_service, many, group_values
  from signals
  where tenant_id = scope_tenant() and raised and group_fingerprint is null
    and rule_id = k.rule_id and k.group_id = ''
  order by occurred_at desc, id desc
  limit 1
) s;

-- name: group_days
-- How many signals some groups had on each day, whatever became of them.
select g.rule_id, g.group_id, g.day, sum(g.signal_count)::bigint as signal_count
from unnest(:rules::text[], :groups::bytea[]) k (rule_id, group_id)
join signal_group_counts g
  on g.tenant_id = scope_tenant() and g.rule_id = k.rule_id and g.group_id = k.group_id
  and g.service = '' and g.day >= :first_day
where case :shown when 'alerts' then g.alerts when 'shadow' then g.shadow
  when 'excepted' then g.excepted else true end
group by g.rule_id, g.group_id, g.day
having sum(g.signal_count) > 0;

-- name: figures^
-- What waits for people, of what alerts.
select coalesce(sum(signal_count) filter (where status = 'open'), 0)::bigint as open,
  coalesce(sum(signal_count) filter (where status = 'investigating'), 0)::bigint as investigating,
  coalesce(sum(signal_count) filter (
    where severity = 'critical' and status in ('open', 'investigating')), 0)::bigint as critical
from signal_counts
where tenant_id = scope_tenant() and service = '' and day = '-infinity' and alerts;

-- name: raised_between$
select count(*) from signals
where tenant_id = scope_tenant() and raised and alerts
  and occurred_at >= :from_at and occurred_at < :to_at;

-- name: folded_between$
select coalesce(sum(raised), 0)::bigint from signal_folds
where tenant_id = scope_tenant() and not shadow and minute >= :from_at and minute < :to_at;

-- name: resolution^
-- How long it took to resolve the last ones, at most :most of them, in seconds.
select count(*) as resolved,
  percentile_cont(0.5) within group (order by seconds) as median_s,
  percentile_cont(0.9) within group (order by seconds) as p90_s
from (
  select extract(epoch from resolved_at - occurred_at)::double precision as seconds
  from signals
  where tenant_id = scope_tenant() and status = 'resolved' and raised and alerts
    and resolved_at >= :since
  order by resolved_at desc
  limit :most
) last;

-- name: rules_by_day_back
-- How many signals each rule raised in a stretch of time, and in the same stretch of the days before.
-- back: days back, 0 is the stretch itself. Each stretch is counted by itself: joined with all of them,
-- the planner takes them for most of the table and reads it whole.
select c.subject, c.name, b.back, c.signal_count
from generate_series(0, :days) b (back)
cross join lateral (
  select s.rule_id as subject, max(s.rule_name) as name, count(*) as signal_count
  from signals s
  where s.tenant_id = scope_tenant() and s.raised and s.alerts
    and s.occurred_at >= :from_at - make_interval(days => b.back)
    and s.occurred_at < :to_at - make_interval(days => b.back)
  group by s.rule_id
) c;

-- name: services_by_day_back
-- As rules_by_day_back, by the services that the signals involve.
select c.subject, c.subject as name, b.back, c.signal_count
from generate_series(0, :days) b (back)
cross join lateral (
  select o.service as subject, count(*) as signal_count
  from signals s
  cross join lateral (select s.root_service as service union select unnest(s.services)) o
  where s.tenant_id = scope_tenant() and s.raised and s.alerts and o.service <> ''
    and s.occurred_at >= :from_at - make_interval(days => b.back)
    and s.occurred_at < :to_at - make_interval(days => b.back)
  group by o.service
) c;

-- name: troubles^
-- What the database knows of parts that do not work. Ages in seconds, null where nothing is wrong or
-- nothing is known.
select
  (select array_length(alarms, 1) from part_reports where part = 'job') as job_alarms,
  (select extract(epoch from now() - reported_at)::double precision from part_reports
   where part = 'job') as job_report_age_s,
  (select extract(epoch from now() - min(at))::double precision from evidence_inbox
   where tenant_id = scope_tenant()) as unsealed_age_s,
  (select cause from evidence_outages
   where tenant_id = scope_tenant() and ended_ms is null) as sealing_outage,
  (select count(*) from dead_letters
   where tenant_id = scope_tenant() and source = 'ingest'
     and at > now() - interval '15 minutes') as refused_requests;

-- name: unresolved
-- The newest signals that wait for people, with what may join them: trace, services, and which
-- versions of services the first spans of the trace come from.
select s.id, s.rule_id, s.rule_name, s.severity, s.trace_id, s.root_service, s.services,
  s.occurred_at, coalesce(v.versions, '{}') as versions
from (
  select id, rule_id, rule_name, severity, trace_id, root_service, services, occurred_at
  from signals
  where tenant_id = scope_tenant() and raised and alerts
    and status in ('open', 'investigating') and occurred_at >= :since
  order by occurred_at desc, id desc
  limit :limit
) s
left join lateral (
  select array_agg(distinct t.service || ' ' || (t.resource ->> 'service.version')) as versions
  from trace_spans t
  where t.tenant_id = scope_tenant() and t.trace_id = s.trace_id and t.ordinal < :spans
    and t.resource ->> 'service.version' is not null
) v on true
order by s.occurred_at desc, s.id desc;
