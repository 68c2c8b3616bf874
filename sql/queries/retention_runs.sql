-- What the worker does to delete what is over. Each statement takes a bounded number of rows, the
-- oldest first, and leaves alone what somebody else is working on: the next turn comes.

-- name: retention-take-turn()$
-- One worker at a time, for as long as its connection lives.
select pg_try_advisory_lock(hashtext('retention'), 0) as is_ours;

-- name: retention-end-turn()$
select pg_advisory_unlock(hashtext('retention'), 0);

-- name: retention-tenants()
select id from tenants order by id;

-- name: retention-lock(tenant_id)
-- Whoever holds a tenant, or keeps its things for longer, waits for the batch in hand.
select pg_advisory_xact_lock(hashtext('retention'), hashtext(:tenant_id::text));

-- name: retention-terms(tenant_id)
-- None: the tenant is gone. kept_whole: nothing of it goes by its age.
select now() as now, is_kept_whole(t) as kept_whole, r.retention as tier,
  t.retention_bounds as bounds, t.retention as chosen
from tenants t join tiers r on r.name = t.tier
where t.id = :tenant_id;

-- name: retention-terms-of-nobody()
-- What belongs to no tenant is kept as in the first tier.
select now() as now, retention as tier from tiers order by position limit 1;

-- name: retention-closed-signals(tenant_id, before, after, most)
-- Those that nobody has to do with any more; the condition is that of the index signals_over.
-- One that was closed only lately stays for as long again.
with old as materialized (
  select s.id, s.occurred_at
  from signals s
  where s.tenant_id = :tenant_id and s.occurred_at >= :after and s.occurred_at < :before
    and not (s.raised and (s.status = 'investigating' or (s.status = 'open' and s.alerts)))
    and s.updated_at < :before
  order by s.occurred_at
  limit :most
  for update skip locked
),
gone as (
  delete from signals s using old o where s.tenant_id = :tenant_id and s.id = o.id returning s.id
)
select count(*) as row_count, count(*) as seen_count, (select max(occurred_at) from old) as last_at
from gone;

-- name: retention-open-signals(tenant_id, before, after, most)
with old as materialized (
  select s.id, s.occurred_at
  from signals s
  where s.tenant_id = :tenant_id and s.occurred_at >= :after and s.occurred_at < :before
    and s.raised and s.status in ('open', 'investigating')
    and (s.status = 'investigating' or s.alerts)
  order by s.occurred_at
  limit :most
  for update skip locked
),
gone as (
  delete from signals s using old o where s.tenant_id = :tenant_id and s.id = o.id returning s.id
)
select count(*) as row_count, count(*) as seen_count, (select max(occurred_at) from old) as last_at
from gone;

-- name: retention-folds(tenant_id, before, after, most)
with old as materialized (
  select f.rule_id, f.minute, f.rule_version, f.lane
  from signal_folds f
  where f.tenant_id = :tenant_id and f.minute >= :after and f.minute < :before
  order by f.minute
  limit :most
  for update skip locked
),
gone as (
  delete from signal_folds f using old o
  where f.tenant_id = :tenant_id and f.rule_id = o.rule_id and f.minute = o.minute
    and f.rule_version = o.rule_version and f.lane = o.lane
  returning f.minute
)
select count(*) as row_count, count(*) as seen_count, max(minute) as last_at from gone;

-- name: retention-copies(tenant_id, before, after, most)
-- A copy of a trace lives as long as a signal of the trace, or a backtest that shows it. Looked at
-- are so many, and the next ones by the next batch.
with looked_at as materialized (
  select c.trace_id, c.first_span_at
  from trace_copies c
  where c.tenant_id = :tenant_id and c.first_span_at >= :after and c.first_span_at < :before
  order by c.first_span_at
  limit :most
),
gone as (
  delete from trace_copies c using looked_at l
  where c.tenant_id = :tenant_id and c.trace_id = l.trace_id and c.copied_at < :before
    and not exists (
      select from signals s where s.tenant_id = :tenant_id and s.trace_id = l.trace_id
    )
    and not exists (
      select from backtest_results r
      where r.tenant_id = :tenant_id and r.trace_id = l.trace_id and r.copied
    )
  returning c.trace_id
)
select (select count(*) from gone) as row_count, count(*) as seen_count,
  max(first_span_at) as last_at
from looked_at;

-- name: retention-letters(tenant_id, before, after, most)
with old as materialized (
  select d.letter_partition, d.letter_offset, d.at
  from dead_letters d
  where d.tenant_id = :tenant_id and d.at >= :after and d.at < :before
  order by d.at
  limit :most
  for update skip locked
),
gone as (
  delete from dead_letters d using old o
  where d.letter_partition = o.letter_partition and d.letter_offset = o.letter_offset
  returning d.at
)
select count(*) as row_count, count(*) as seen_count, max(at) as last_at from gone;

-- name: retention-letters-of-nobody(before, most)
-- Those that name no tenant.
with old as materialized (
  select d.letter_partition, d.letter_offset, d.at
  from dead_letters d
  where d.tenant_id is null and d.at < :before
  order by d.at
  limit :most
  for update skip locked
),
gone as (
  delete from dead_letters d using old o
  where d.letter_partition = o.letter_partition and d.letter_offset = o.letter_offset
  returning d.at
)
select count(*) as row_count, count(*) as seen_count from gone;

-- name: retention-backtests(tenant_id, before, after, most)
-- With what they found.
with old as materialized (
  select b.id, b.finished_at
  from backtests b
  where b.tenant_id = :tenant_id and b.finished_at >= :after and b.finished_at < :before
  order by b.finished_at
  limit :most
  for update skip locked
),
gone as (
  delete from backtests b using old o where b.tenant_id = :tenant_id and b.id = o.id
  returning b.finished_at
)
select count(*) as row_count, count(*) as seen_count, max(finished_at) as last_at from gone;

-- name: retention-accounts(tenant_id, before, after, most)
with old as materialized (
  select m.minute, m.lane
  from stats_minutes m
  where m.tenant_id = :tenant_id and m.minute >= :after and m.minute < :before
  order by m.minute, m.lane
  limit :most
  for update skip locked
),
gone as (
  delete from stats_minutes m using old o
  where m.tenant_id = :tenant_id and m.minute = o.minute and m.lane = o.lane
  returning m.minute
)
select count(*) as row_count, count(*) as seen_count, max(minute) as last_at from gone;

-- name: retention-rule-accounts(tenant_id, before, after, most)
-- Rule by rule, as the rows are ordered: an index by minute would cost more than it saves.
with old as materialized (
  select o.rule_id, o.minute, o.rule_version, o.lane
  from rules r
  cross join lateral (
    select s.rule_id, s.minute, s.rule_version, s.lane
    from rule_stats_minutes s
    where s.tenant_id = r.tenant_id and s.rule_id = r.id and s.minute < :before
    order by s.minute
    limit :most
  ) o
  where r.tenant_id = :tenant_id
  limit :most
),
gone as (
  delete from rule_stats_minutes s using old o
  where s.tenant_id = :tenant_id and s.rule_id = o.rule_id and s.minute = o.minute
    and s.rule_version = o.rule_version and s.lane = o.lane
  returning s.minute
)
select count(*) as row_count, count(*) as seen_count, :after::timestamptz as last_at from gone;

-- name: retention-usage(tenant_id, before, after, most)
with old as materialized (
  select u.day
  from usage_days u
  where u.tenant_id = :tenant_id and u.day < (:before at time zone 'UTC')::date
  order by u.day
  limit :most
),
gone as (
  delete from usage_days u using old o where u.tenant_id = :tenant_id and u.day = o.day
  returning u.day
)
select count(*) as row_count, count(*) as seen_count, :after::timestamptz as last_at from gone;

-- name: retention-redactions(tenant_id, before, after, most)
with old as materialized (
  select r.day, r.policy_version, r.what
  from redaction_counts r
  where r.tenant_id = :tenant_id and r.day < (:before at time zone 'UTC')::date
  order by r.day, r.policy_version, r.what
  limit :most
),
gone as (
  delete from redaction_counts r using old o
  where r.tenant_id = :tenant_id and r.day = o.day and r.policy_version = o.policy_version
    and r.what = o.what
  returning r.day
)
select count(*) as row_count, count(*) as seen_count, :after::timestamptz as last_at from gone;

-- name: retention-audit(tenant_id, days, after, most)
select n as row_count, n as seen_count, :after::timestamptz as last_at
from forget_audit(:tenant_id, :days, :most) n;

-- name: retention-audit-of-nobody(days, most)
select n as row_count, n as seen_count from forget_audit_of_nobody(:days, :most) n;

-- name: retention-note(tenant_id, what, days, row_count)!
insert into retention_ledger as l (tenant_id, day, what, days, row_count)
values (:tenant_id, (now() at time zone 'UTC')::date, :what, :days, :row_count)
on conflict on constraint retention_ledger_pkey do update set
  days = excluded.days,
  row_count = l.row_count + excluded.row_count;

-- name: retention-tell(tenant_id)
-- Put on the audit log what was deleted since it was told last, once.
with untold as (
  select l.day, l.what, l.days, l.row_count - l.told_count as row_count
  from retention_ledger l
  where l.tenant_id = :tenant_id and l.told_count < l.row_count
  for update
),
told as (
  update retention_ledger l set told_count = l.row_count
  from untold u
  where l.tenant_id = :tenant_id and l.day = u.day and l.what = u.what
)
select note_forgotten(:tenant_id, u.what, u.row_count, u.days) from untold u order by u.day, u.what;

-- name: retention-forget-ledger(tenant_id, days)!
delete from retention_ledger l
using tenants t
where l.tenant_id = :tenant_id and t.id = l.tenant_id and not is_kept_whole(t)
  and l.told_count = l.row_count and l.day < (now() at time zone 'UTC')::date - :days::integer;
