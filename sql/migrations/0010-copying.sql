-- What the worker needs to copy traces: a queue, a budget, and on the signal what came of it. The
-- queue stands apart from signals, because it changes several times for each signal and every
-- change of a signal is news to its readers.

alter table signals
  add column trace_state text not null default 'none',
  -- why the trace could not be had, or only in part
  add column trace_problem text not null default '',
  -- the revision that explanation and mismatch are about
  add column explained_revision bigint,
  add column group_values jsonb not null default '{}',
  add column group_fingerprint bytea,
  add constraint signals_trace_state check (
    trace_state in ('none', 'waiting', 'copied', 'lost', 'failed')
  ),
  add constraint signals_fingerprint_length check (length(group_fingerprint) = 16);

-- urgency: 0 asked for by a person, 1 within the budget of its rule, 2 when there is nothing else.
-- refreshed: how often a copy of a trace that was still open has been made again.
create table trace_tasks (
  tenant_id uuid not null,
  signal_id bytea not null,
  urgency smallint not null,
  due_at timestamptz not null default now(),
  attempts integer not null default 0,
  refreshed integer not null default 0,
  last_error text,
  constraint trace_tasks_pkey primary key (tenant_id, signal_id),
  constraint trace_tasks_signal foreign key (tenant_id, signal_id)
    references signals (tenant_id, id) on delete cascade,
  constraint trace_tasks_urgency check (urgency between 0 and 2)
);
create index trace_tasks_next on trace_tasks (urgency, due_at);

alter table trace_tasks enable row level security;
alter table trace_tasks force row level security;
create policy trace_tasks_of_tenant on trace_tasks using (tenant_id = scope_tenant());
create policy trace_tasks_of_worker on trace_tasks to betrace_worker using (true) with check (true);
grant select, insert, update (urgency, due_at) on trace_tasks to betrace_app;
grant select, insert, update, delete on trace_tasks to betrace_worker;

-- How many traces of a rule were copied at once in an hour of event time.
create table trace_budgets (
  tenant_id uuid not null,
  rule_id text not null,
  hour timestamptz not null,
  taken integer not null,
  constraint trace_budgets_pkey primary key (tenant_id, rule_id, hour),
  constraint trace_budgets_rule foreign key (tenant_id, rule_id)
    references rules (tenant_id, id) on delete cascade
);
create index trace_budgets_by_age on trace_budgets (hour);

alter table trace_budgets enable row level security;
alter table trace_budgets force row level security;
create policy trace_budgets_of_worker on trace_budgets to betrace_worker
  using (true) with check (true);
grant select, insert, update, delete on trace_budgets to betrace_worker;

-- The worker may hand over an earlier revision's facts: what was ever violated stays so, and the
-- first judgement is the earliest one known, whatever the order of arrival.
create or replace function keep_signal_facts() returns trigger
language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.occurred_at := least(new.occurred_at, new.judged_at);
    new.raised := coalesce(new.raised, false) or new.verdict = 'violated';
  else
    new.occurred_at := least(old.occurred_at, new.occurred_at);
    new.raised := old.raised or new.raised or new.verdict = 'violated';
  end if;
  new.updated_at := now();
  return new;
end
$$;

-- A dead letter is told apart by what it is about: the same record refused again after a restart
-- is the same letter.
create unique index dead_letters_subject
  on dead_letters (source, code, topic, log_partition, log_offset, md5(detail), md5(content))
  where topic <> '';
