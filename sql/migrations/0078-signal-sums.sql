-- Sums of raised signals, so that counts beside filters, groups and figures need no look at a
-- million signals. A ledger: whatever changes a signal adds rows (+1 where it is now, -1 where it
-- was), in the transaction that changes it, and waits for nobody; the worker puts rows of one cell
-- together later. A count is the sum of its rows, so it is exact at every moment.

-- day: of occurred_at in UTC; '-infinity' counts all days. service: '' counts each signal once, any
-- other those that involve it. assignee_id: of nobody all zero; so it is in all cells of one service
-- and one day, which would be as many as signals else.
create table signal_sums (
  tenant_id uuid not null,
  day date not null,
  service text collate "C" not null,
  rule_id text not null,
  severity text not null,
  tags text[] not null,
  alerts boolean not null,
  shadow boolean not null,
  excepted boolean not null,
  status text not null,
  assignee_id uuid not null,
  signal_count bigint not null,
  settled boolean not null default false
);
create index signal_sums_by_cell on signal_sums
  (tenant_id, service, day, rule_id, status, assignee_id);
create index signal_sums_by_day on signal_sums (tenant_id, day, service);
create index signal_sums_unsettled on signal_sums (tenant_id) where not settled;

-- The same by group, whoever has the signals. group_id: the fingerprint, empty while it is not known.
-- service: as above, of all days; single days have '' alone. first_at, last_at: of what was counted
-- here, null of what was taken off.
create table signal_group_sums (
  tenant_id uuid not null,
  day date not null,
  service text collate "C" not null,
  rule_id text not null,
  group_id bytea not null,
  severity text not null,
  tags text[] not null,
  alerts boolean not null,
  shadow boolean not null,
  excepted boolean not null,
  status text not null,
  signal_count bigint not null,
  first_at timestamptz,
  last_at timestamptz,
  settled boolean not null default false
);
create index signal_group_sums_by_service on signal_group_sums (tenant_id, service, day);
create index signal_group_sums_by_group on signal_group_sums
  (tenant_id, rule_id, group_id, day, service);
create index signal_group_sums_unsettled on signal_group_sums (tenant_id) where not settled;

-- One signal that comes to (step 1) or leaves (-1) the cells it is counted in.
create type signal_move as (
  tenant_id uuid,
  day date,
  rule_id text,
  group_id bytea,
  severity text,
  tags text[],
  services text[],
  alerts boolean,
  shadow boolean,
  excepted boolean,
  status text,
  assignee_id uuid,
  occurred_at timestamptz,
  step integer
);

create function move_of(s signals, step integer) returns signal_move
language sql immutable parallel safe
return row(
  s.tenant_id, (s.occurred_at at time zone 'UTC')::date, s.rule_id,
  coalesce(s.group_fingerprint, ''::bytea), s.severity, s.tags,
  case when s.root_service = '' or s.root_service = any (s.services) then s.services
    else s.root_service || s.services end,
  s.alerts, s.shadow, s.exception is not null, s.status,
  coalesce(s.assignee_id, '00000000-0000-0000-0000-000000000000'::uuid), s.occurred_at, step
)::signal_move;

create function add_to_signal_sums(moves signal_move[]) returns void
language sql as $$
  insert into signal_sums (
    tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
    assignee_id, signal_count
  )
  select m.tenant_id, d.day, s.service, m.rule_id, m.severity, m.tags, m.alerts, m.shadow,
    m.excepted, m.status,
    case when s.service = '' or d.day = '-infinity' then m.assignee_id
      else '00000000-0000-0000-0000-000000000000' end,
    sum(m.step)
  from unnest(moves) m
  cross join lateral (values (m.day), ('-infinity'::date)) d (day)
  cross join lateral (select '' union select unnest(m.services)) s (service)
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  having sum(m.step) <> 0;

  insert into signal_group_sums (
    tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted, status,
    signal_count, first_at, last_at
  )
  select m.tenant_id, d.day, d.service, m.rule_id, m.group_id, m.severity, m.tags, m.alerts,
    m.shadow, m.excepted, m.status, sum(m.step),
    min(m.occurred_at) filter (where m.step > 0), max(m.occurred_at) filter (where m.step > 0)
  from unnest(moves) m
  cross join lateral (
    select m.day, ''
    union
    select '-infinity'::date, s.service from (select '' union select unnest(m.services)) s (service)
  ) d (day, service)
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  having sum(m.step) <> 0;
$$;

-- The end of a tenant takes the sums away itself.
create function sum_signals() returns trigger
language plpgsql set enable_nestloop = off as $$
declare
  moves signal_move[];
begin
  if scope_purpose() = 'purge' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    select array_agg(move_of(row(n.*)::signals, 1)) into moves from changed n where n.raised;
  elsif tg_op = 'DELETE' then
    select array_agg(move_of(row(o.*)::signals, -1)) into moves from previous o where o.raised;
  else
    select array_agg(m.move) into moves
    from changed n
    join previous o on o.tenant_id = n.tenant_id and o.id = n.id
    cross join lateral (
      select move_of(row(o.*)::signals, -1) as move where o.raised
      union all
      select move_of(row(n.*)::signals, 1) where n.raised
    ) m
    where (o.raised, o.occurred_at, o.rule_id, o.group_fingerprint, o.severity, o.tags, o.services,
           o.root_service, o.alerts, o.shadow, o.exception is null, o.status, o.assignee_id)
      is distinct from
          (n.raised, n.occurred_at, n.rule_id, n.group_fingerprint, n.severity, n.tags, n.services,
           n.root_service, n.alerts, n.shadow, n.exception is null, n.status, n.assignee_id);
  end if;
  if moves is not null then
    perform add_to_signal_sums(moves);
  end if;
  return null;
end
$$;
create trigger signals_summed_new after insert on signals
  referencing new table as changed
  for each statement execute function sum_signals();
create trigger signals_summed_now after update on signals
  referencing old table as previous new table as changed
  for each statement execute function sum_signals();
create trigger signals_summed_gone after delete on signals
  referencing old table as previous
  for each statement execute function sum_signals();

-- Put rows of one cell together: at most so many new ones at a time. Returns how many there were.
-- One at a time does so; another comes again later. Cells are few beside the sums, so they are looked
-- up one by one.
create function settle_signal_sums(most integer) returns bigint
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  taken bigint;
  taken_of_groups bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('settle_signal_sums', 0)) then
    return 0;
  end if;
  with cells as materialized (
    select distinct tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted,
      status, assignee_id
    from (select * from signal_sums where not settled limit most) fresh
  ),
  gone as (
    delete from signal_sums s using cells c
    where s.tenant_id = c.tenant_id and s.day = c.day and s.service = c.service
      and s.rule_id = c.rule_id and s.severity = c.severity and s.tags = c.tags
      and s.alerts = c.alerts and s.shadow = c.shadow and s.excepted = c.excepted
      and s.status = c.status and s.assignee_id = c.assignee_id
    returning s.*
  ),
  together as (
    insert into signal_sums (
      tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, signal_count, settled
    )
    select tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, sum(signal_count), true
    from gone
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(signal_count) <> 0
  )
  select count(*) filter (where not settled) into taken from gone;

  with cells as materialized (
    select distinct tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow,
      excepted, status
    from (select * from signal_group_sums where not settled limit most) fresh
  ),
  gone as (
    delete from signal_group_sums s using cells c
    where s.tenant_id = c.tenant_id and s.day = c.day and s.service = c.service
      and s.rule_id = c.rule_id and s.group_id = c.group_id and s.severity = c.severity
      and s.tags = c.tags and s.alerts = c.alerts and s.shadow = c.shadow
      and s.excepted = c.excepted and s.status = c.status
    returning s.*
  ),
  together as (
    insert into signal_group_sums (
      tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted, status,
      signal_count, first_at, last_at, settled
    )
    select tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted,
      status, sum(signal_count), min(first_at), max(last_at), true
    from gone
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(signal_count) <> 0
  )
  select count(*) filter (where not settled) into taken_of_groups from gone;
  return taken + taken_of_groups;
end
$$;
revoke all on function settle_signal_sums(integer) from public;
grant execute on function settle_signal_sums(integer) to betrace_worker;

do $$
declare
  name text;
begin
  foreach name in array array['signal_sums', 'signal_group_sums'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy %1$s_of_tenant on %1$I'
      ' using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant())', name);
    execute format(
      'create policy %1$s_of_worker on %1$I to betrace_worker using (true) with check (true)',
      name);
    execute format('grant select, insert on %I to betrace_app', name);
    execute format('grant select, insert, update, delete on %I to betrace_worker', name);
  end loop;
end
$$;

-- What is there already. A batch at a time: an array of a million moves would take a gigabyte.
do $$
declare
  tenant uuid;
begin
  perform set_config('app.purpose', 'operator', true);
  for tenant in select id from tenants loop
    perform set_config('app.tenant_id', tenant::text, true);
    perform add_to_signal_sums(batch.moves)
    from (
      select array_agg(move_of(s, 1)) as moves
      from (select s, row_number() over () / 5000 as part from signals s
            where s.tenant_id = tenant and s.raised) numbered (s, part)
      group by part
    ) batch;
  end loop;
  perform set_config('app.tenant_id', '', true);
  perform set_config('app.purpose', '', true);
end
$$;

-- Lists by what people filter and sort by.
create index signals_by_severity on signals (tenant_id, severity, occurred_at desc, id desc)
  where raised;
create index signals_by_assignee on signals (tenant_id, assignee_id, occurred_at desc, id desc)
  where raised and assignee_id is not null;
create index signals_ungrouped on signals (tenant_id, rule_id, occurred_at desc, id desc)
  where raised and group_fingerprint is null;
create index signals_resolved on signals (tenant_id, resolved_at desc)
  where status = 'resolved';

-- What the parts of the installation say of themselves, for the banner of the console: one row a
-- part, kept current by whoever looks at it. It belongs to no tenant and names none.
create table part_reports (
  part text not null,
  alarms text[] not null default '{}',
  reported_at timestamptz not null default now(),
  constraint part_reports_pkey primary key (part),
  constraint part_reports_part check (part in ('job'))
);
alter table part_reports enable row level security;
alter table part_reports force row level security;
create policy part_reports_for_everybody on part_reports for select using (true);
create policy part_reports_of_worker on part_reports to betrace_worker
  using (true) with check (true);
grant select on part_reports to betrace_app;
grant select, insert, update on part_reports to betrace_worker;
