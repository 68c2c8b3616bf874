-- Backtests: what rules would have said of a stretch of the log. A request is written by the
-- application and worked off by workers, partition by partition; each part is done once, in one
-- transaction with its results.

create table backtests (
  tenant_id uuid not null,
  id uuid not null,
  state text not null default 'queued',
  requested_by text not null,
  created_at timestamptz not null default now(),
  from_at timestamptz not null,
  to_at timestamptz not null,
  -- what is compared, in order: [{id, name, severity, now: {version, text}, was: the same or null}];
  -- a version of null is a draft
  rules jsonb not null,
  -- serialized RuleLogRecords of both sides
  now_records bytea[] not null,
  was_records bytea[] not null,
  started_at timestamptz,
  finished_at timestamptz,
  -- event time at which the log ended
  log_end_at timestamptz,
  -- why it failed
  problem text not null default '',
  -- who plans it, while it is queued
  runner text,
  lease_until timestamptz,
  attempts integer not null default 0,
  constraint backtests_pkey primary key (tenant_id, id),
  constraint backtests_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint backtests_state check (
    state in ('queued', 'running', 'cancelling', 'cancelled', 'done', 'failed')
  ),
  constraint backtests_range check (from_at < to_at),
  constraint backtests_finished check (
    (finished_at is not null) = (state in ('cancelled', 'done', 'failed'))
  )
);
create unique index backtests_one_at_a_time on backtests (tenant_id)
  where state in ('queued', 'running', 'cancelling');
create index backtests_newest on backtests (tenant_id, created_at desc, id desc);
create index backtests_in_hand on backtests (created_at)
  where state in ('queued', 'running', 'cancelling');

alter table backtests enable row level security;
alter table backtests force row level security;
create policy backtests_of_tenant on backtests using (tenant_id = scope_tenant());
create policy backtests_of_worker on backtests to betrace_worker using (true) with check (true);
grant select, insert, update (state, finished_at), delete on backtests to betrace_app;
grant select, update on backtests to betrace_worker;

create function announce_backtest() returns trigger
language plpgsql as $$
begin
  perform pg_notify('backtests', '');
  return null;
end
$$;
create trigger backtests_announced after insert or update of state on backtests
  for each statement execute function announce_backtest();

-- One partition of the log. Who has taken it says so again and again; a part whose runner is
-- silent for longer than its lease is taken by another.
create table backtest_parts (
  tenant_id uuid not null,
  backtest_id uuid not null,
  partition integer not null,
  first_offset bigint not null,
  end_offset bigint not null,
  runner text,
  lease_until timestamptz,
  attempts integer not null default 0,
  done_at timestamptz,
  records_read bigint not null default 0,
  span_count bigint not null default 0,
  trace_count bigint not null default 0,
  open_count bigint not null default 0,
  constraint backtest_parts_pkey primary key (tenant_id, backtest_id, partition),
  constraint backtest_parts_backtest foreign key (tenant_id, backtest_id)
    references backtests (tenant_id, id) on delete cascade
);
create index backtest_parts_to_do on backtest_parts (partition) where done_at is null;

alter table backtest_parts enable row level security;
alter table backtest_parts force row level security;
create policy backtest_parts_of_tenant on backtest_parts using (tenant_id = scope_tenant());
create policy backtest_parts_of_worker on backtest_parts to betrace_worker
  using (true) with check (true);
grant select on backtest_parts to betrace_app;
grant select, insert, update, delete on backtest_parts to betrace_worker;

-- How many traces of a partition got which verdicts; was is empty where nothing is compared.
create table backtest_counts (
  tenant_id uuid not null,
  backtest_id uuid not null,
  partition integer not null,
  rule_id text not null,
  was text not null,
  now text not null,
  trace_count bigint not null,
  constraint backtest_counts_pkey primary key (tenant_id, backtest_id, partition, rule_id, was, now),
  constraint backtest_counts_part foreign key (tenant_id, backtest_id, partition)
    references backtest_parts (tenant_id, backtest_id, partition) on delete cascade
);

alter table backtest_counts enable row level security;
alter table backtest_counts force row level security;
create policy backtest_counts_of_tenant on backtest_counts using (tenant_id = scope_tenant());
create policy backtest_counts_of_worker on backtest_counts to betrace_worker
  using (true) with check (true);
grant select on backtest_counts to betrace_app;
grant select, insert on backtest_counts to betrace_worker;

-- Single traces: those whose verdict differs, and those that would signal; the first of each kind.
create table backtest_results (
  tenant_id uuid not null,
  backtest_id uuid not null,
  partition integer not null,
  rule_id text not null,
  trace_id bytea not null,
  was text not null,
  now text not null,
  begin_at timestamptz not null,
  root_name text not null,
  root_service text not null,
  span_count integer not null,
  log_first_offset bigint not null,
  log_last_offset bigint not null,
  -- {broken, reasons, incomplete, judged_ms, signal_id, revision} of each side
  was_outcome jsonb,
  now_outcome jsonb not null,
  -- {was, now} as the evaluator explains them, of traces that were copied
  explanations jsonb,
  copied boolean not null default false,
  constraint backtest_results_pkey primary key (tenant_id, backtest_id, rule_id, trace_id),
  constraint backtest_results_part foreign key (tenant_id, backtest_id, partition)
    references backtest_parts (tenant_id, backtest_id, partition) on delete cascade,
  constraint backtest_results_trace_id_length check (length(trace_id) = 16)
);
create index backtest_results_in_order
  on backtest_results (tenant_id, backtest_id, begin_at, trace_id, rule_id);

alter table backtest_results enable row level security;
alter table backtest_results force row level security;
create policy backtest_results_of_tenant on backtest_results using (tenant_id = scope_tenant());
create policy backtest_results_of_worker on backtest_results to betrace_worker
  using (true) with check (true);
grant select on backtest_results to betrace_app;
grant select, insert on backtest_results to betrace_worker;
