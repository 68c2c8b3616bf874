-- name: insert!
insert into backtests (tenant_id, id, requested_by, from_at, to_at, rules, now_records, was_records)
values (scope_tenant(), :id, :requested_by, :from_at, :to_at, :rules, :now_records, :was_records);

-- name: in_hand$
select id from backtests
where tenant_id = scope_tenant() and state in ('queued', 'running', 'cancelling');

-- name: page
select b.id, b.state, b.requested_by, b.created_at, b.from_at, b.to_at, b.rules, b.started_at,
       b.finished_at, b.log_end_at, b.problem,
       coalesce(p.records_read, 0) as records_read, coalesce(p.records_total, 0) as records_total,
       coalesce(p.span_count, 0) as span_count, coalesce(p.trace_count, 0) as trace_count,
       coalesce(p.open_count, 0) as open_count,
       coalesce(p.parts_done, 0) as parts_done, coalesce(p.parts_total, 0) as parts_total,
       coalesce(p.to_gather, false) as to_gather
from backtests b
cross join lateral (
  select sum(w.records_read)::bigint as records_read,
         sum(w.end_offset - w.first_offset)::bigint as records_total,
         sum(w.span_count)::bigint as span_count,
         sum(w.trace_count)::bigint as trace_count,
         sum(w.open_count)::bigint as open_count,
         count(w.done_at) filter (where not w.gathers) as parts_done,
         count(*) filter (where not w.gathers) as parts_total,
         bool_or(w.gathers and w.done_at is null) as to_gather
  from backtest_parts w
  where w.tenant_id = b.tenant_id and w.backtest_id = b.id
) p
where b.tenant_id = scope_tenant()
  and (:id::uuid is null or b.id = :id)
  and (:rule_id::text is null
       or b.rules @> jsonb_build_array(jsonb_build_object('id', :rule_id::text)))
  and (:before_at::timestamptz is null or (b.created_at, b.id) < (:before_at, :before_id::uuid))
order by b.created_at desc, b.id desc
limit :limit;

-- name: counts
select backtest_id, rule_id, was, now, sum(trace_count)::bigint as trace_count
from backtest_counts
where tenant_id = scope_tenant() and backtest_id = any(:ids)
group by backtest_id, rule_id, was, now;

-- name: cancel!
-- At once if nobody works on it; else whoever does gives up within a second, and it ends then.
update backtests b set
  state = case when busy.yes then 'cancelling' else 'cancelled' end,
  finished_at = case when busy.yes then null else now() end
from (
  select exists (
    select from backtest_parts p
    where p.tenant_id = scope_tenant() and p.backtest_id = :id and p.done_at is null
      and p.lease_until > now()
  ) as yes
) busy
where b.tenant_id = scope_tenant() and b.id = :id and b.state in ('queued', 'running');

-- name: results
select rule_id, trace_id, was, now, begin_at, root_name, root_service, span_count,
       was_outcome, now_outcome, case when :explained then explanations end as explanations, copied,
       seen
from backtest_results
where tenant_id = scope_tenant() and backtest_id = :id
  and (:rule_id::text is null or rule_id = :rule_id)
  and (:was::text is null or was = :was)
  and (:now::text is null or now = :now)
  and (:changed::boolean is null or (was <> '' and was <> now) = :changed)
  and (:after_at::timestamptz is null
       or (begin_at, trace_id, rule_id) > (:after_at, :after_trace::bytea, :after_rule::text))
order by begin_at, trace_id, rule_id
limit :limit;
