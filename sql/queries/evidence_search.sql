-- Finding evidence. Each statement runs in a transaction of a tenant. Times are Unix milliseconds;
-- from and to may be null, and so may every filter.

-- name: newest
-- Records, newest first: by_controls and by_service have other ways in and give the same.
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.controls, r.outcome, r.rule_id,
       r.rule_version, r.trace_id, r.has_payload, r.leaf, r.line
from evidence_records r
where r.tenant_id = scope_tenant()
  and (:rule_id::text is null or r.rule_id = :rule_id)
  and (:kinds::text[] is null or r.kind = any (:kinds))
  and (:outcomes::text[] is null or r.outcome = any (:outcomes))
  and (:controls::text[] is null or r.controls && :controls)
  and (:from_ms::bigint is null or r.time_ms >= :from_ms)
  and (:to_ms::bigint is null or r.time_ms < :to_ms)
  and (:before_ms::bigint is null or (r.time_ms, r.seq) < (:before_ms, :before_seq::bigint))
order by r.time_ms desc, r.seq desc
limit :limit;

-- name: one^
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.controls, r.outcome, r.rule_id,
       r.rule_version, r.trace_id, r.has_payload, r.leaf, r.line
from evidence_records r
where r.tenant_id = scope_tenant() and r.seq = :seq;

-- name: by_controls
-- The newest of each control, and of these the newest.
with page as (
  select distinct f.time_ms, f.seq
  from unnest(:controls::text[]) as asked (control)
  cross join lateral (
    select c.time_ms, c.seq
    from evidence_controls c
    where c.tenant_id = scope_tenant() and c.control = asked.control
      and (:kinds::text[] is null or c.kind = any (:kinds))
      and (:outcomes::text[] is null or c.outcome = any (:outcomes))
      and (:from_ms::bigint is null or c.time_ms >= :from_ms)
      and (:to_ms::bigint is null or c.time_ms < :to_ms)
      and (:before_ms::bigint is null or (c.time_ms, c.seq) < (:before_ms, :before_seq::bigint))
    order by c.time_ms desc, c.seq desc
    limit :limit
  ) f
  order by f.time_ms desc, f.seq desc
  limit :limit
)
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.controls, r.outcome, r.rule_id,
       r.rule_version, r.trace_id, r.has_payload, r.leaf, r.line
from page p
join evidence_records r on r.tenant_id = scope_tenant() and r.seq = p.seq
order by r.time_ms desc, r.seq desc;

-- name: by_service
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.controls, r.outcome, r.rule_id,
       r.rule_version, r.trace_id, r.has_payload, r.leaf, r.line
from evidence_services s
join evidence_records r on r.tenant_id = s.tenant_id and r.seq = s.seq
where s.tenant_id = scope_tenant() and s.service = :service
  and (:rule_id::text is null or r.rule_id = :rule_id)
  and (:kinds::text[] is null or r.kind = any (:kinds))
  and (:outcomes::text[] is null or r.outcome = any (:outcomes))
  and (:controls::text[] is null or r.controls && :controls)
  and (:from_ms::bigint is null or s.time_ms >= :from_ms)
  and (:to_ms::bigint is null or s.time_ms < :to_ms)
  and (:before_ms::bigint is null or (s.time_ms, s.seq) < (:before_ms, :before_seq::bigint))
order by s.time_ms desc, s.seq desc
limit :limit;

-- name: by_text
-- Of what says the words, the newest of each combination, and of these the newest.
with wanted as materialized (
  select t.id
  from evidence_texts t
  where t.tenant_id = scope_tenant() and t.words @@ evidence_wanted(:text)
    and (:rule_id::text is null or t.rule_id = :rule_id)
    and (:service::text is null or t.service = :service)
    and (:kinds::text[] is null or t.kind = any (:kinds))
    and (:outcomes::text[] is null or t.outcome = any (:outcomes))
    and (:controls::text[] is null or t.controls && :controls)
    and (:from_ms::bigint is null or t.last_ms >= :from_ms)
    and (:to_ms::bigint is null or t.first_ms < :to_ms)
    and (:before_ms::bigint is null or t.first_ms <= :before_ms)
),
page as (
  select f.time_ms, f.seq
  from wanted w
  cross join lateral (
    select s.time_ms, s.seq
    from evidence_text_records s
    where s.tenant_id = scope_tenant() and s.text_id = w.id
      and (:from_ms::bigint is null or s.time_ms >= :from_ms)
      and (:to_ms::bigint is null or s.time_ms < :to_ms)
      and (:before_ms::bigint is null or (s.time_ms, s.seq) < (:before_ms, :before_seq::bigint))
    order by s.time_ms desc, s.seq desc
    limit :limit
  ) f
  order by f.time_ms desc, f.seq desc
  limit :limit
)
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.controls, r.outcome, r.rule_id,
       r.rule_version, r.trace_id, r.has_payload, r.leaf, r.line
from page p
join evidence_records r on r.tenant_id = scope_tenant() and r.seq = p.seq
order by r.time_ms desc, r.seq desc;

-- name: count_by_text$
-- Whole days (from_day, to_day: null for without an end) as sums, the hours beside them one by one.
with wanted as materialized (
  select t.id
  from evidence_texts t
  where t.tenant_id = scope_tenant() and t.words @@ evidence_wanted(:text)
    and (:rule_id::text is null or t.rule_id = :rule_id)
    and (:service::text is null or t.service = :service)
    and (:kinds::text[] is null or t.kind = any (:kinds))
    and (:outcomes::text[] is null or t.outcome = any (:outcomes))
    and (:controls::text[] is null or t.controls && :controls)
)
select (
  select coalesce(sum(d.record_count), 0)
  from wanted w
  join evidence_text_days d on d.tenant_id = scope_tenant() and d.text_id = w.id
  where :has_days
    and (:from_day::date is null or d.day >= :from_day)
    and (:to_day::date is null or d.day < :to_day)
)::bigint + (
  select count(*)
  from wanted w
  cross join unnest(:hours_from::bigint[], :hours_to::bigint[]) as h (from_ms, to_ms)
  join evidence_text_records s on s.tenant_id = scope_tenant() and s.text_id = w.id
    and s.time_ms >= h.from_ms and s.time_ms < h.to_ms
);

-- name: numbers_by_text
-- Where the records stand that say the words, up to a place of the log.
select s.seq
from evidence_texts t
join evidence_text_records s on s.tenant_id = t.tenant_id and s.text_id = t.id
where t.tenant_id = scope_tenant() and t.words @@ evidence_wanted(:text)
  and (:rule_id::text is null or t.rule_id = :rule_id)
  and (:service::text is null or t.service = :service)
  and (:kinds::text[] is null or t.kind = any (:kinds))
  and (:outcomes::text[] is null or t.outcome = any (:outcomes))
  and (:controls::text[] is null or t.controls && :controls)
  and (:from_ms::bigint is null or s.time_ms >= :from_ms)
  and (:to_ms::bigint is null or s.time_ms < :to_ms)
  and s.seq < :end
order by s.seq
limit :limit;

-- name: lines
-- By their places, in the order of the log.
select seq, line from evidence_records
where tenant_id = scope_tenant() and seq = any (:seqs::bigint[])
order by seq;

-- name: reach$
-- The day back to which one must look to find so many: of all records or those of a framework. A day
-- in which a page or the period ends in the middle is not counted (to_day: exclusive).
select min(day) from (
  select day, sum(record_count) as found, sum(sum(record_count)) over (order by day desc) as so_far
  from evidence_days
  where tenant_id = scope_tenant() and framework = :framework
    and (:rule_id::text is null or rule_id = :rule_id)
    and (:kinds::text[] is null or kind = any (:kinds))
    and (:outcomes::text[] is null or outcome = any (:outcomes))
    and (:to_day::date is null or day < :to_day)
  group by day
) d
where so_far - found < :limit;

-- name: reach_of_control$
-- As reach, of a control.
select min(day) from (
  select day, sum(record_count) as found, sum(sum(record_count)) over (order by day desc) as so_far
  from evidence_totals
  where tenant_id = scope_tenant() and control = :control
    and (:rule_id::text is null or rule_id = :rule_id)
    and (:kinds::text[] is null or kind = any (:kinds))
    and (:outcomes::text[] is null or outcome = any (:outcomes))
    and (:to_day::date is null or day < :to_day)
  group by day
) d
where so_far - found < :limit;

-- name: count_by_days$
-- Of whole days: all records, or those of a framework, each once.
select coalesce(sum(record_count), 0)::bigint
from evidence_days
where tenant_id = scope_tenant() and framework = :framework
  and (:rule_id::text is null or rule_id = :rule_id)
  and (:kinds::text[] is null or kind = any (:kinds))
  and (:outcomes::text[] is null or outcome = any (:outcomes))
  and (:from_day::date is null or day >= :from_day)
  and (:to_day::date is null or day < :to_day);

-- name: count_of_control_by_days$
select coalesce(sum(record_count), 0)::bigint
from evidence_totals
where tenant_id = scope_tenant() and control = :control
  and (:rule_id::text is null or rule_id = :rule_id)
  and (:kinds::text[] is null or kind = any (:kinds))
  and (:outcomes::text[] is null or outcome = any (:outcomes))
  and (:from_day::date is null or day >= :from_day)
  and (:to_day::date is null or day < :to_day);

-- name: count$
-- One by one: of the hours beside whole days.
select count(*)
from evidence_records r
where r.tenant_id = scope_tenant()
  and (:rule_id::text is null or r.rule_id = :rule_id)
  and (:kinds::text[] is null or r.kind = any (:kinds))
  and (:outcomes::text[] is null or r.outcome = any (:outcomes))
  and (:controls::text[] is null or r.controls && :controls)
  and r.time_ms >= :from_ms and r.time_ms < :to_ms;

-- name: count_of_service$
select count(*)
from evidence_services s
join evidence_records r on r.tenant_id = s.tenant_id and r.seq = s.seq
where s.tenant_id = scope_tenant() and s.service = :service
  and (:rule_id::text is null or r.rule_id = :rule_id)
  and (:kinds::text[] is null or r.kind = any (:kinds))
  and (:outcomes::text[] is null or r.outcome = any (:outcomes))
  and (:controls::text[] is null or r.controls && :controls)
  and (:from_ms::bigint is null or s.time_ms >= :from_ms)
  and (:to_ms::bigint is null or s.time_ms < :to_ms);

-- name: controls
-- Every control that has a record, found by going from one to the next.
with recursive found as (
  (
    select control from evidence_totals
    where tenant_id = scope_tenant() and control > '' order by control limit 1
  )
  union all
  select (
    select t.control from evidence_totals t
    where t.tenant_id = scope_tenant() and t.control > f.control order by t.control limit 1
  )
  from found f
  where f.control is not null
)
select control from found where control is not null;

-- name: last_evidence
-- When something of these controls was seen last, at whatever time. Coverage in which nothing was
-- judged (outcome none) says that somebody looked, and is no evidence.
select asked.control, last.last_ms, last.last_seq
from unnest(:controls::text[]) as asked (control)
cross join lateral (
  select max(t.last_ms) as last_ms, max(t.last_seq) as last_seq
  from evidence_totals t
  where t.tenant_id = scope_tenant() and t.control = asked.control and t.outcome <> 'none'
    and t.day = (
      select n.day from evidence_totals n
      where n.tenant_id = scope_tenant() and n.control = asked.control and n.outcome <> 'none'
      order by n.day desc limit 1
    )
) last
where last.last_ms is not null;

-- name: sums_of_records
-- By control: records of spans, verdicts and acts in days, and when the first and last were.
select control, kind, outcome, sum(record_count)::bigint as record_count,
       min(first_ms) as first_ms, max(last_ms) as last_ms
from evidence_totals
where tenant_id = scope_tenant() and control = any (:controls)
  and day >= :from_day and day < :to_day
group by control, kind, outcome;

-- name: sums_of_coverage
-- By control and rule: what was judged in days.
select control, rule_id, sum(interval_count)::bigint as interval_count,
       sum(judged)::bigint as judged, sum(satisfied)::bigint as satisfied,
       sum(violated)::bigint as violated, sum(inconclusive)::bigint as inconclusive,
       sum(late)::bigint as late, sum(dropped)::bigint as dropped,
       count(distinct day) filter (where judged > 0) as day_count, max(day) as last_day
from evidence_coverage_days
where tenant_id = scope_tenant() and control = any (:controls)
  and day >= :from_day and day < :to_day
group by control, rule_id
order by control, rule_id;

-- name: days_with_evidence
-- By control: on how many days something was seen.
select control, count(distinct day) as day_count
from evidence_totals
where tenant_id = scope_tenant() and control = any (:controls)
  and day >= :from_day and day < :to_day and outcome <> 'none'
group by control;

-- name: newest_checkpoint^
-- The newest one that counts, as in evidence.sql.
select c.number, c.size, c.root, c.time_ms, c.key_id, c.note
from evidence_checkpoints c
where c.tenant_id = scope_tenant()
  and not exists (
    select from evidence_records r
    where r.tenant_id = c.tenant_id and r.kind = 'key'
      and r.id >= 'revoked:' and r.id < 'revoked;'
      and starts_with(r.id, 'revoked:' || c.key_id || ':')
      and c.size > substring(r.id from ':([0-9]{1,18})$')::bigint
  )
order by c.number desc
limit 1;

-- name: key_records
select line from evidence_records
where tenant_id = scope_tenant() and kind = 'key' and line is not null
order by seq;

-- name: log_head^
-- The log's name, and the newest checkpoint that counts: what is under it is exported.
select l.origin, c.size, c.time_ms, c.note
from evidence_logs l
left join lateral (
  select size, time_ms, note from evidence_checkpoints k
  where k.tenant_id = l.tenant_id
    and not exists (
      select from evidence_records r
      where r.tenant_id = k.tenant_id and r.kind = 'key'
        and r.id >= 'revoked:' and r.id < 'revoked;'
        and starts_with(r.id, 'revoked:' || k.key_id || ':')
        and k.size > substring(r.id from ':([0-9]{1,18})$')::bigint
    )
  order by k.number desc limit 1
) c on true
where l.tenant_id = scope_tenant();

-- name: tenant_name$
select name from tenants where id = scope_tenant();

-- name: export_page
-- In the order of the log, from one place on.
select r.seq, r.line
from evidence_records r
where r.tenant_id = scope_tenant() and r.seq > :after and r.seq < :end
  and (:rule_id::text is null or r.rule_id = :rule_id)
  and (:kinds::text[] is null or r.kind = any (:kinds))
  and (:outcomes::text[] is null or r.outcome = any (:outcomes))
  and (:controls::text[] is null or r.controls && :controls)
  and (:from_ms::bigint is null or r.time_ms >= :from_ms)
  and (:to_ms::bigint is null or r.time_ms < :to_ms)
  and (:service::text is null or exists (
    select from evidence_services s
    where s.tenant_id = r.tenant_id and s.service = :service and s.time_ms = r.time_ms
      and s.seq = r.seq
  ))
order by r.seq
limit :limit;

-- name: since_when
-- Of controls that have records: when something of them was seen last, null: never; and the first
-- day on which rules looked or something was seen.
select asked.control, last.last_ms, first.day as first_day
from unnest(:controls::text[]) as asked (control)
cross join lateral (
  select max(t.last_ms) as last_ms
  from evidence_totals t
  where t.tenant_id = scope_tenant() and t.control = asked.control and t.outcome <> 'none'
    and t.day = (
      select n.day from evidence_totals n
      where n.tenant_id = scope_tenant() and n.control = asked.control and n.outcome <> 'none'
      order by n.day desc limit 1
    )
) last
cross join lateral (
  select t.day from evidence_totals t
  where t.tenant_id = scope_tenant() and t.control = asked.control
  order by t.day limit 1
) first;

-- name: population
-- Records of a framework in days, each once, by kind and outcome.
select kind, outcome, sum(record_count)::bigint as record_count
from evidence_days
where tenant_id = scope_tenant() and framework = :framework
  and day >= :from_day and day < :to_day
group by kind, outcome
order by kind, outcome;

-- name: population_of_control
select kind, outcome, sum(record_count)::bigint as record_count
from evidence_totals
where tenant_id = scope_tenant() and control = :control
  and day >= :from_day and day < :to_day
group by kind, outcome
order by kind, outcome;
