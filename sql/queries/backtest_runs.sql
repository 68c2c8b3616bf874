-- What workers do with backtests.

-- name: run-claim-plan(runner, lease_s)
-- The oldest request that nobody plans.
update backtests b set
  runner = :runner,
  lease_until = now() + :lease_s * interval '1 second',
  attempts = b.attempts + 1
from (
  select q.tenant_id, q.id
  from backtests q
  where q.state = 'queued' and (q.lease_until is null or q.lease_until < now())
  order by q.created_at
  limit 1
  for update skip locked
) n
where b.tenant_id = n.tenant_id and b.id = n.id
returning b.tenant_id, b.id, b.from_at, b.to_at, b.rules, b.now_records, b.was_records, b.attempts;

-- name: run-begin(log_end_at, tenant_id, id)!
-- Only while it is still wanted: it may have been cancelled meanwhile.
update backtests set
  state = 'running', started_at = now(), log_end_at = :log_end_at, runner = null, lease_until = null
where tenant_id = :tenant_id and id = :id and state = 'queued';

-- name: run-insert-part(tenant_id, id, partition, first_offset, end_offset, gathers)!
insert into backtest_parts (tenant_id, backtest_id, partition, first_offset, end_offset, gathers)
values (:tenant_id, :id, :partition, :first_offset, :end_offset, :gathers);

-- name: run-claim-part(runner, lease_s)
-- By partition before backtest, so that tenants take turns. The part that gathers comes when all
-- others of its backtest are done.
update backtest_parts p set
  runner = :runner,
  lease_until = now() + :lease_s * interval '1 second',
  attempts = p.attempts + 1,
  records_read = 0, span_count = 0, trace_count = 0
from (
  select w.tenant_id, w.backtest_id, w.partition
  from backtest_parts w
  join backtests b on b.tenant_id = w.tenant_id and b.id = w.backtest_id
  where b.state = 'running' and w.done_at is null
    and (w.lease_until is null or w.lease_until < now())
    and not (w.gathers and exists (
      select from backtest_parts o
      where o.tenant_id = w.tenant_id and o.backtest_id = w.backtest_id
        and not o.gathers and o.done_at is null
    ))
  order by w.partition, b.started_at, b.id
  limit 1
  for update of w skip locked
) n
join backtests b on b.tenant_id = n.tenant_id and b.id = n.backtest_id
where p.tenant_id = n.tenant_id and p.backtest_id = n.backtest_id and p.partition = n.partition
returning p.tenant_id, p.backtest_id as id, p.partition, p.first_offset, p.end_offset, p.attempts,
  p.gathers, b.from_at, b.to_at, b.log_end_at, b.rules, b.now_records, b.was_records;

-- name: run-progress(records_read, span_count, trace_count, lease_s, tenant_id, id, partition, runner)
-- No row: somebody else has the part. state: of the backtest.
update backtest_parts p set
  records_read = :records_read, span_count = :span_count, trace_count = :trace_count,
  lease_until = now() + :lease_s * interval '1 second'
from backtests b
where p.tenant_id = :tenant_id and p.backtest_id = :id and p.partition = :partition
  and p.runner = :runner and p.done_at is null
  and b.tenant_id = p.tenant_id and b.id = p.backtest_id
returning b.state;

-- name: run-finish-part(records_read, span_count, trace_count, open_count, first_ms, tenant_id, id, partition, runner)!
update backtest_parts set
  records_read = :records_read, span_count = :span_count, trace_count = :trace_count,
  open_count = :open_count,
  first_at = timestamptz 'epoch' + :first_ms::float8 * interval '1 millisecond', done_at = now(), runner = null, lease_until = null
where tenant_id = :tenant_id and backtest_id = :id and partition = :partition
  and runner = :runner and done_at is null;

-- name: run-insert-count(tenant_id, id, partition, rule_id, was, now, trace_count)!
insert into backtest_counts (tenant_id, backtest_id, partition, rule_id, was, now, trace_count)
values (:tenant_id, :id, :partition, :rule_id, :was, :now, :trace_count);

-- name: run-insert-result(tenant_id, id, partition, rule_id, trace_id, was, now, begin_ms, root_name, root_service, span_count, first_offset, last_offset, was_outcome, now_outcome, explanations, copied, seen)!
insert into backtest_results (
  tenant_id, backtest_id, partition, rule_id, trace_id, was, now, begin_at, root_name,
  root_service, span_count, log_first_offset, log_last_offset, was_outcome, now_outcome,
  explanations, copied, seen
) values (
  :tenant_id, :id, :partition, :rule_id, :trace_id, :was, :now,
  timestamptz 'epoch' + :begin_ms * interval '1 millisecond', :root_name, :root_service,
  :span_count, :first_offset, :last_offset, :was_outcome::jsonb, :now_outcome::jsonb,
  :explanations::jsonb, :copied, :seen::jsonb
)
on conflict do nothing;

-- name: run-insert-handed(tenant_id, id, partition, side, number, item_count, packed)!
insert into backtest_handed (
  tenant_id, backtest_id, partition, side, number, item_count, packed
) values (:tenant_id, :id, :partition, :side, :number, :item_count, :packed);

-- name: run-handed-count(tenant_id, id)
select coalesce(sum(item_count), 0)::bigint as item_count
from backtest_handed where tenant_id = :tenant_id and backtest_id = :id;

-- name: run-handed(tenant_id, id, side)
select partition, count(*)::integer as chunk_count
from backtest_handed
where tenant_id = :tenant_id and backtest_id = :id and side = :side
group by partition
order by partition;

-- name: run-handed-chunk(tenant_id, id, partition, side, number)
select packed
from backtest_handed
where tenant_id = :tenant_id and backtest_id = :id and partition = :partition and side = :side
  and number = :number;

-- name: run-parts-begun(tenant_id, id)
select partition, first_at
from backtest_parts
where tenant_id = :tenant_id and backtest_id = :id and not gathers;

-- name: run-forget-handed()!
-- What was handed on is of no use once a backtest is over, however it ended.
delete from backtest_handed h
using backtests b
where b.tenant_id = h.tenant_id and b.id = h.backtest_id and b.finished_at is not null;

-- name: run-release-part(tenant_id, id, partition, runner)!
-- Given back unfinished, at once and not only when the lease is over; it did not fail.
update backtest_parts set runner = null, lease_until = null, attempts = greatest(attempts - 1, 0)
where tenant_id = :tenant_id and backtest_id = :id and partition = :partition
  and runner = :runner and done_at is null;

-- name: run-settle()!
-- Ends what has nothing left to do.
update backtests b set
  state = case b.state when 'cancelling' then 'cancelled' else 'done' end, finished_at = now()
where (b.state = 'running' and not exists (
    select from backtest_parts p
    where p.tenant_id = b.tenant_id and p.backtest_id = b.id and p.done_at is null
  )) or (b.state = 'cancelling' and not exists (
    select from backtest_parts p
    where p.tenant_id = b.tenant_id and p.backtest_id = b.id and p.done_at is null
      and p.lease_until > now()
  ));

-- name: run-fail(problem, tenant_id, id)!
update backtests set state = 'failed', problem = :problem, finished_at = now(), lease_until = null
where tenant_id = :tenant_id and id = :id and state in ('queued', 'running', 'cancelling');

-- name: run-is-work()
-- Whether anything is to be done that nobody does.
select exists (
  select from backtests b
  where (b.state = 'queued' and (b.lease_until is null or b.lease_until < now()))
    or b.state = 'cancelling'
    or (b.state = 'running' and not exists (
      select from backtest_parts p
      where p.tenant_id = b.tenant_id and p.backtest_id = b.id and p.done_at is null
    ))
    or (b.state = 'running' and exists (
      select from backtest_parts p
      where p.tenant_id = b.tenant_id and p.backtest_id = b.id and p.done_at is null
        and (p.lease_until is null or p.lease_until < now())
        and not (p.gathers and exists (
          select from backtest_parts o
          where o.tenant_id = p.tenant_id and o.backtest_id = p.backtest_id
            and not o.gathers and o.done_at is null
        ))
    ))
) or exists (
  select from backtest_handed h
  join backtests b on b.tenant_id = h.tenant_id and b.id = h.backtest_id
  where b.finished_at is not null
) as is_work;
