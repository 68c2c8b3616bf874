-- Backtests of rules over many traces: what partitions hand on is judged by one last part, when all
-- others are done.

-- gathers: the last part; it reads none of the log. first_at: when the first record of a partition
-- came, since nothing is expected of the time before.
alter table backtest_parts
  add column gathers boolean not null default false,
  add column first_at timestamptz;

-- What is said to rules over many traces (udfs/backtest/handed.py), in order, until it is judged.
create table backtest_handed (
  tenant_id uuid not null,
  backtest_id uuid not null,
  partition integer not null,
  side text not null,
  number integer not null,
  item_count integer not null,
  packed bytea not null,
  constraint backtest_handed_pkey primary key (tenant_id, backtest_id, partition, side, number),
  constraint backtest_handed_part foreign key (tenant_id, backtest_id, partition)
    references backtest_parts (tenant_id, backtest_id, partition) on delete cascade,
  constraint backtest_handed_side check (side in ('now', 'was'))
);
-- It is compressed already.
alter table backtest_handed alter column packed set storage external;

alter table backtest_handed enable row level security;
alter table backtest_handed force row level security;
create policy backtest_handed_of_tenant on backtest_handed using (tenant_id = scope_tenant());
create policy backtest_handed_of_worker on backtest_handed to betrace_worker
  using (true) with check (true);
grant select, insert, delete on backtest_handed to betrace_worker;

-- Of rules over many traces: {key, was, now}, where a side that raises a signal says what was seen
-- (api/worker/many.py). trace_id is then no trace but tells the row from others.
alter table backtest_results add column seen jsonb;
