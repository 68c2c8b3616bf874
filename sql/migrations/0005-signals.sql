-- Signals. The engine's columns are written by the worker, of several records with one id the one
-- with the highest revision. People's columns (status and after) are written by the application,
-- and by the worker only where late evidence withdraws or renews a signal.

create table signals (
  tenant_id uuid not null,
  id bytea not null,
  revision bigint not null,
  rule_id text not null,
  rule_version integer not null,
  rule_name text not null,
  severity text not null,
  controls text[] not null default '{}',
  tags text[] not null default '{}',
  shadow boolean not null default false,
  verdict text not null,
  broken_clause text not null default '',
  incomplete boolean not null default false,
  -- violated once, inconclusive now
  doubtful boolean not null default false,
  reasons text[] not null default '{}',
  trace_id bytea not null,
  root_name text not null default '',
  root_service text not null default '',
  witness_span_ids bytea[] not null default '{}',
  span_count integer not null default 0,
  -- event times: the broker's clock
  first_span_at timestamptz not null,
  last_span_at timestamptz not null,
  closed_at timestamptz,
  judged_at timestamptz not null,
  -- where in the topic of spans the trace lies
  log_partition integer not null,
  log_first_offset bigint not null,
  log_last_offset bigint not null,
  replaces_revision bigint,
  replaces_verdict text,
  correction_reason text,
  -- from the copy of the trace
  services text[] not null default '{}',
  explanation jsonb,
  explain_mismatch boolean not null default false,
  -- set by trigger: event time of the first judgement stored, which never changes and so orders
  -- lists, and whether it was ever violated
  occurred_at timestamptz not null,
  raised boolean not null,
  -- people's
  status text not null default 'open',
  status_reason text,
  assignee_id uuid,
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  constraint signals_pkey primary key (tenant_id, id),
  constraint signals_rule_version foreign key (tenant_id, rule_id, rule_version)
    references rule_versions (tenant_id, rule_id, version) on delete cascade,
  constraint signals_assignee foreign key (tenant_id, assignee_id)
    references memberships (tenant_id, user_id) on delete set null (assignee_id),
  constraint signals_id_length check (length(id) = 16),
  constraint signals_trace_id_length check (length(trace_id) = 16),
  constraint signals_severity check (severity in ('critical', 'high', 'medium', 'low', 'info')),
  constraint signals_verdict check (verdict in ('violated', 'satisfied', 'not_applicable', 'inconclusive')),
  constraint signals_status check (status in ('open', 'investigating', 'resolved', 'false_positive')),
  constraint signals_closing_reason check (
    status in ('open', 'investigating') or coalesce(status_reason, '') <> ''
  )
);
create index signals_newest on signals (tenant_id, occurred_at desc, id desc) where raised;
create index signals_by_rule on signals (tenant_id, rule_id, occurred_at desc, id desc);
create index signals_by_trace on signals (tenant_id, trace_id);
create index signals_by_status on signals (tenant_id, status, occurred_at desc, id desc) where raised;
create index signals_by_service on signals (tenant_id, root_service, occurred_at desc, id desc);

alter table signals enable row level security;
alter table signals force row level security;
create policy signals_of_tenant on signals using (tenant_id = scope_tenant());
create policy signals_of_worker on signals to betrace_worker using (true) with check (true);
grant select, update (status, status_reason, assignee_id, version, updated_at) on signals to betrace_app;
grant select, insert, update, delete on signals to betrace_worker;

create function keep_signal_facts() returns trigger
language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.occurred_at := new.judged_at;
    new.raised := new.verdict = 'violated';
  else
    new.occurred_at := old.occurred_at;
    new.raised := old.raised or new.verdict = 'violated';
  end if;
  new.updated_at := now();
  return new;
end
$$;
create trigger signals_keep_facts before insert or update on signals
  for each row execute function keep_signal_facts();

-- Who changed what and when. Written by trigger, so that nobody can forget it.
create table signal_history (
  tenant_id uuid not null,
  signal_id bytea not null,
  version integer not null,
  revision bigint not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  change text not null,
  from_status text,
  to_status text,
  from_verdict text,
  to_verdict text,
  assignee_id uuid,
  reason text,
  seq bigint generated always as identity,
  constraint signal_history_pkey primary key (tenant_id, signal_id, seq),
  constraint signal_history_signal foreign key (tenant_id, signal_id)
    references signals (tenant_id, id) on delete cascade,
  constraint signal_history_change check (change in ('status', 'verdict', 'assignee'))
);
create trigger signal_history_immutable before update on signal_history
  for each row execute function refuse_change();

alter table signal_history enable row level security;
alter table signal_history force row level security;
create policy signal_history_of_tenant on signal_history using (tenant_id = scope_tenant());
create policy signal_history_of_worker on signal_history to betrace_worker using (true) with check (true);
grant select, insert on signal_history to betrace_app, betrace_worker;

-- What changed, for live pages. Ordered by (xact, seq) and read below the oldest running
-- transaction only, so that a reader who remembers its place misses nothing.
create table signal_feed (
  xact xid8 not null default pg_current_xact_id(),
  seq bigint generated always as identity,
  tenant_id uuid not null,
  signal_id bytea not null,
  change text not null,
  at timestamptz not null default now(),
  constraint signal_feed_pkey primary key (tenant_id, xact, seq),
  constraint signal_feed_change check (change in ('raised', 'changed'))
);
create index signal_feed_by_age on signal_feed (at);

alter table signal_feed enable row level security;
alter table signal_feed force row level security;
create policy signal_feed_of_tenant on signal_feed using (tenant_id = scope_tenant());
create policy signal_feed_of_worker on signal_feed to betrace_worker using (true) with check (true);
create policy signal_feed_old on signal_feed for select
  using (scope_purpose() = 'housekeeping' and at < now() - interval '1 day');
create policy signal_feed_forget on signal_feed for delete
  using (scope_purpose() = 'housekeeping' and at < now() - interval '1 day');
grant select, insert, delete on signal_feed to betrace_app;
grant select, insert on signal_feed to betrace_worker;

create function feed_raised_signals() returns trigger
language plpgsql as $$
begin
  insert into signal_feed (tenant_id, signal_id, change)
  select tenant_id, id, 'raised' from changed;
  perform pg_notify('signals', tenant_id::text) from (select distinct tenant_id from changed) t;
  return null;
end
$$;
create trigger signals_feed_raised after insert on signals
  referencing new table as changed
  for each statement execute function feed_raised_signals();

create function feed_changed_signals() returns trigger
language plpgsql as $$
declare
  who text := coalesce(nullif(current_setting('app.actor', true), ''), 'engine');
begin
  insert into signal_history (tenant_id, signal_id, version, revision, actor, change,
                              from_status, to_status, reason)
  select n.tenant_id, n.id, n.version, n.revision, who, 'status', o.status, n.status, n.status_reason
  from changed n join previous o on o.tenant_id = n.tenant_id and o.id = n.id
  where o.status <> n.status;

  insert into signal_history (tenant_id, signal_id, version, revision, actor, change,
                              from_verdict, to_verdict, reason)
  select n.tenant_id, n.id, n.version, n.revision, who, 'verdict', o.verdict, n.verdict, n.correction_reason
  from changed n join previous o on o.tenant_id = n.tenant_id and o.id = n.id
  where o.verdict <> n.verdict;

  insert into signal_history (tenant_id, signal_id, version, revision, actor, change, assignee_id)
  select n.tenant_id, n.id, n.version, n.revision, who, 'assignee', n.assignee_id
  from changed n join previous o on o.tenant_id = n.tenant_id and o.id = n.id
  where o.assignee_id is distinct from n.assignee_id;

  insert into signal_feed (tenant_id, signal_id, change)
  select tenant_id, id, 'changed' from changed;
  perform pg_notify('signals', tenant_id::text) from (select distinct tenant_id from changed) t;
  return null;
end
$$;
create trigger signals_feed_changed after update on signals
  referencing old table as previous new table as changed
  for each statement execute function feed_changed_signals();
