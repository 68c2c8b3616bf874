-- What people find out about signals: how one ended, whether it opens again when its like comes,
-- notes, and links between two of them.

-- disposition: how a closed signal ended. resolved_at: when it was closed last, by whoever.
-- until_regression: it opens again when another of its group is raised after that. regressed_by:
-- the signal that opened it again.
alter table signals
  add column disposition text,
  add column resolved_at timestamptz,
  add column until_regression boolean not null default false,
  add column regressed_by bytea,
  add constraint signals_disposition check (disposition in (
    'fixed', 'wont_fix', 'expected', 'duplicate', 'rule_too_broad', 'test_traffic', 'bad_data'
  )),
  add constraint signals_regressed_by_length check (length(regressed_by) = 16);
grant update (disposition, until_regression, regressed_by) on signals to betrace_app;

create index signals_by_group on signals (tenant_id, group_fingerprint, occurred_at desc, id desc)
  where raised and group_fingerprint is not null;
create index signals_watched on signals (tenant_id, group_fingerprint) where until_regression;

-- Whoever opens a signal again takes back how it ended; the history has it.
create or replace function keep_signal_facts() returns trigger
language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.occurred_at := least(new.occurred_at, new.judged_at);
    new.raised := coalesce(new.raised, false) or new.verdict = 'violated';
  else
    new.occurred_at := least(old.occurred_at, new.occurred_at);
    new.raised := old.raised or new.raised or new.verdict = 'violated';
    if new.status in ('open', 'investigating') then
      new.disposition := null;
      new.until_regression := false;
      new.resolved_at := null;
    elsif old.status in ('open', 'investigating') then
      new.resolved_at := now();
      new.regressed_by := null;
    end if;
  end if;
  new.updated_at := now();
  return new;
end
$$;

alter table signal_history
  add column disposition text,
  add column until_regression boolean not null default false,
  -- the signal that was linked, or that opened this one again
  add column other_id bytea,
  drop constraint signal_history_change,
  add constraint signal_history_change check (
    change in ('status', 'verdict', 'assignee', 'linked', 'unlinked')
  );

create or replace function feed_changed_signals() returns trigger
language plpgsql set enable_nestloop = off as $$
declare
  who text := coalesce(nullif(current_setting('app.actor', true), ''), 'engine');
begin
  insert into signal_history (tenant_id, signal_id, version, revision, actor, change,
                              from_status, to_status, reason, disposition, until_regression, other_id)
  select n.tenant_id, n.id, n.version, n.revision,
    case when n.status_reason = 'regressed' and n.regressed_by is not null then 'engine' else who end,
    'status', o.status, n.status, n.status_reason,
    n.disposition, n.until_regression,
    case when n.status = 'open' and n.status_reason = 'regressed' then n.regressed_by end
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
  select n.tenant_id, n.id, case when n.alerts and not o.alerts then 'raised' else 'changed' end
  from changed n join previous o on o.tenant_id = n.tenant_id and o.id = n.id;
  perform pg_notify('signals', tenant_id::text) from (select distinct tenant_id from changed) t;
  return null;
end
$$;

-- A signal that alerts opens those of its group that were resolved until then. A trace's group is
-- known once its copy is explained, so this looks at changes as well as at new rows.
create function reopen_regressed_signals() returns trigger
language plpgsql set enable_nestloop = off as $$
begin
  if not exists (
    select from changed n
    where n.group_fingerprint is not null and n.raised and n.alerts and n.verdict = 'violated'
  ) then
    return null;
  end if;
  update signals w
  set status = 'open', status_reason = 'regressed', version = w.version + 1, regressed_by = f.id
  from (
    select distinct on (n.tenant_id, n.group_fingerprint)
      n.tenant_id, n.group_fingerprint, n.id, n.occurred_at
    from changed n
    where n.group_fingerprint is not null and n.raised and n.alerts and n.verdict = 'violated'
    order by n.tenant_id, n.group_fingerprint, n.occurred_at desc
  ) f
  where w.until_regression and w.status = 'resolved' and w.tenant_id = f.tenant_id
    and w.group_fingerprint = f.group_fingerprint and w.id <> f.id
    and f.occurred_at > w.resolved_at;
  return null;
end
$$;
create trigger signals_regressed_new after insert on signals
  referencing new table as changed
  for each statement execute function reopen_regressed_signals();
create trigger signals_regressed_now after update on signals
  referencing new table as changed
  for each statement execute function reopen_regressed_signals();

-- Markdown, redacted before it comes here. text_hash: SHA-256 of the text, which the audit log
-- tells too. A note that is removed leaves its place, its author and its hash.
create table signal_notes (
  tenant_id uuid not null,
  id uuid not null,
  signal_id bytea not null,
  text text not null,
  text_hash bytea not null,
  author text not null,
  acting text not null default scope_acting(),
  version integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz,
  removed_at timestamptz,
  removed_by text,
  constraint signal_notes_pkey primary key (tenant_id, id),
  constraint signal_notes_signal foreign key (tenant_id, signal_id)
    references signals (tenant_id, id) on delete cascade,
  constraint signal_notes_text check (length(text) <= 20000),
  constraint signal_notes_hash_length check (length(text_hash) = 32),
  constraint signal_notes_removed check ((removed_at is null) = (removed_by is null)),
  constraint signal_notes_removed_empty check (removed_at is null or text = '')
);
create index signal_notes_of_signal on signal_notes (tenant_id, signal_id, created_at, id);

alter table signal_notes enable row level security;
alter table signal_notes force row level security;
create policy signal_notes_of_tenant on signal_notes using (tenant_id = scope_tenant());
create policy signal_notes_of_worker on signal_notes to betrace_worker using (true) with check (true);
grant select, insert on signal_notes to betrace_app;
grant update (text, text_hash, version, changed_at, removed_at, removed_by) on signal_notes
  to betrace_app;
grant select, delete on signal_notes to betrace_worker;

-- Whoever looks at the signal is told of a new note.
create function feed_signal_notes() returns trigger
language plpgsql as $$
begin
  insert into signal_feed (tenant_id, signal_id, change)
  values (new.tenant_id, new.signal_id, 'changed');
  perform pg_notify('signals', new.tenant_id::text);
  return null;
end
$$;
create trigger signal_notes_feed after insert or update on signal_notes
  for each row execute function feed_signal_notes();

-- Two signals of one tenant that people say belong together; the smaller id comes first.
create table signal_links (
  tenant_id uuid not null,
  signal_id bytea not null,
  other_id bytea not null,
  linked_by text not null,
  acting text not null default scope_acting(),
  linked_at timestamptz not null default now(),
  constraint signal_links_pkey primary key (tenant_id, signal_id, other_id),
  constraint signal_links_signal foreign key (tenant_id, signal_id)
    references signals (tenant_id, id) on delete cascade,
  constraint signal_links_other foreign key (tenant_id, other_id)
    references signals (tenant_id, id) on delete cascade,
  constraint signal_links_order check (signal_id < other_id)
);
create index signal_links_by_other on signal_links (tenant_id, other_id);

alter table signal_links enable row level security;
alter table signal_links force row level security;
create policy signal_links_of_tenant on signal_links using (tenant_id = scope_tenant());
create policy signal_links_of_worker on signal_links to betrace_worker using (true) with check (true);
grant select, insert, delete on signal_links to betrace_app;
grant select, delete on signal_links to betrace_worker;

-- Traces with the same root, newest first: to lay a kept promise beside a broken one.
create index trace_copies_by_root
  on trace_copies (tenant_id, root_service, root_name, first_span_at desc);
