-- depends: 0082-sampled-traces

-- Sums of signals in two steps. A change of signals writes down once which signals came where and
-- which left (signal_moves); the worker takes what has gathered, in which most that was raised and
-- withdrawn again meets, and adds it to the cells of the sums. What is asked is the sum of both, in one
-- snapshot: signal_counts and signal_group_counts, exact at every moment.

-- steps: how many signals came (above zero) or left. services: '' and each that they involve.
create table signal_moves (
  tenant_id uuid not null,
  day date not null,
  rule_id text not null,
  group_id bytea not null,
  severity text not null,
  tags text[] not null,
  services text[] not null,
  alerts boolean not null,
  shadow boolean not null,
  excepted boolean not null,
  status text not null,
  assignee_id uuid not null,
  steps bigint not null,
  first_at timestamptz,
  last_at timestamptz
);
create index signal_moves_of_tenant on signal_moves (tenant_id);
alter table signal_moves enable row level security;
alter table signal_moves force row level security;
create policy signal_moves_of_tenant on signal_moves
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy signal_moves_of_worker on signal_moves to betrace_worker
  using (true) with check (true);
grant select, insert on signal_moves to betrace_app;
grant select, insert, delete on signal_moves to betrace_worker;

-- What stands in the sums goes into tables without the mark of what is new. One row a cell from now
-- on, by the one writer; counts are changed in place, within their page.
do $$
declare
  tenant uuid;
begin
  create temporary table cells_before on commit drop as
    select tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, signal_count
    from signal_sums with no data;
  create temporary table groups_before on commit drop as
    select tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted,
      status, signal_count, first_at, last_at
    from signal_group_sums with no data;
  perform set_config('app.purpose', 'operator', true);
  for tenant in select id from tenants loop
    perform set_config('app.tenant_id', tenant::text, true);
    insert into cells_before
    select tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, sum(signal_count)
    from signal_sums where tenant_id = tenant
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(signal_count) <> 0;
    insert into groups_before
    select tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted,
      status, sum(signal_count), min(first_at), max(last_at)
    from signal_group_sums where tenant_id = tenant
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(signal_count) <> 0;
  end loop;
  truncate signal_sums, signal_group_sums;
  drop index signal_sums_unsettled, signal_group_sums_unsettled;
  alter table signal_sums drop column settled;
  alter table signal_sums set (fillfactor = 60);
  alter table signal_group_sums drop column settled;
  alter table signal_group_sums set (fillfactor = 60);
  for tenant in select id from tenants loop
    perform set_config('app.tenant_id', tenant::text, true);
    insert into signal_sums select * from cells_before where tenant_id = tenant;
    insert into signal_group_sums select * from groups_before where tenant_id = tenant;
  end loop;
  perform set_config('app.tenant_id', '', true);
  perform set_config('app.purpose', '', true);
end
$$;
revoke insert on signal_sums, signal_group_sums from betrace_app;

-- The cells a move is counted in: of all days and of its own, and by service. Assignees only where
-- there are few cells (0078).
create function cells_of(moved date, services text[], assignee uuid)
returns table (day date, service text, assignee_id uuid)
language sql immutable parallel safe as $$
  select d.day, s.service,
    case when s.service = '' or d.day = '-infinity' then assignee
      else '00000000-0000-0000-0000-000000000000' end
  from (values (moved), ('-infinity'::date)) d (day)
  cross join unnest(services) s (service)
$$;

create function groups_of(moved date, services text[]) returns table (day date, service text)
language sql immutable parallel safe as $$
  select moved, ''
  union all
  select '-infinity'::date, s.service from unnest(services) s (service)
$$;

-- What is asked for counts; several rows of a cell are to be added up.
create view signal_counts with (security_invoker = true) as
select tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
  assignee_id, signal_count
from signal_sums
union all
select m.tenant_id, c.day, c.service, m.rule_id, m.severity, m.tags, m.alerts, m.shadow, m.excepted,
  m.status, c.assignee_id, m.steps
from signal_moves m cross join lateral cells_of(m.day, m.services, m.assignee_id) c;

create view signal_group_counts with (security_invoker = true) as
select tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted, status,
  signal_count, first_at, last_at
from signal_group_sums
union all
select m.tenant_id, c.day, c.service, m.rule_id, m.group_id, m.severity, m.tags, m.alerts, m.shadow,
  m.excepted, m.status, m.steps, m.first_at, m.last_at
from signal_moves m cross join lateral groups_of(m.day, m.services) c;
grant select on signal_counts, signal_group_counts to betrace_app;

create or replace function move_of(s signals, step integer) returns signal_move
language sql immutable parallel safe
return row(
  s.tenant_id, (s.occurred_at at time zone 'UTC')::date, s.rule_id,
  coalesce(s.group_fingerprint, ''::bytea), s.severity, s.tags,
  ''::text || array(
    select distinct involved.service
    from unnest(s.root_service || s.services) involved (service)
    where involved.service <> ''
    order by 1
  ),
  s.alerts, s.shadow, s.exception is not null, s.status,
  coalesce(s.assignee_id, '00000000-0000-0000-0000-000000000000'::uuid), s.occurred_at, step
)::signal_move;

create or replace function add_to_signal_sums(moves signal_move[]) returns void
language sql as $$
  insert into signal_moves (
    tenant_id, day, rule_id, group_id, severity, tags, services, alerts, shadow, excepted, status,
    assignee_id, steps, first_at, last_at
  )
  select m.tenant_id, m.day, m.rule_id, m.group_id, m.severity, m.tags, m.services, m.alerts,
    m.shadow, m.excepted, m.status, m.assignee_id, sum(m.step),
    min(m.occurred_at) filter (where m.step > 0), max(m.occurred_at) filter (where m.step > 0)
  from unnest(moves) m
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
  having sum(m.step) <> 0;
$$;

-- Take up to so many moves into the sums. Returns how many there were. One at a time does so; another
-- comes again later. Cells are few beside the sums, so they are looked up one by one. First and last
-- time of a group stay while anything is counted there.
create or replace function settle_signal_sums(most integer) returns bigint
language plpgsql set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  taken_count bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('settle_signal_sums', 0)) then
    return 0;
  end if;
  with taken as (
    delete from signal_moves
    where ctid = any (array(select ctid from signal_moves limit most))
    returning *
  ),
  moved as materialized (
    select tenant_id, day, rule_id, group_id, severity, tags, services, alerts, shadow, excepted,
      status, assignee_id, sum(steps) as steps, min(first_at) as first_at, max(last_at) as last_at
    from taken
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
    having sum(steps) <> 0
  ),
  cells as materialized (
    select m.tenant_id, c.day, c.service, m.rule_id, m.severity, m.tags, m.alerts, m.shadow,
      m.excepted, m.status, c.assignee_id, sum(m.steps) as steps
    from moved m cross join lateral cells_of(m.day, m.services, m.assignee_id) c
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(m.steps) <> 0
  ),
  cells_found as materialized (
    select c.*, s.ctid as place, s.signal_count + c.steps as signal_count
    from cells c
    left join signal_sums s on s.tenant_id = c.tenant_id and s.day = c.day
      and s.service = c.service and s.rule_id = c.rule_id and s.severity = c.severity
      and s.tags = c.tags and s.alerts = c.alerts and s.shadow = c.shadow
      and s.excepted = c.excepted and s.status = c.status and s.assignee_id = c.assignee_id
  ),
  cells_changed as (
    update signal_sums s set signal_count = f.signal_count
    from cells_found f where s.ctid = f.place and f.signal_count <> 0
  ),
  cells_gone as (
    delete from signal_sums s using cells_found f where s.ctid = f.place and f.signal_count = 0
  ),
  cells_new as (
    insert into signal_sums (
      tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, signal_count
    )
    select tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, steps
    from cells_found where place is null
  ),
  groups as materialized (
    select m.tenant_id, c.day, c.service, m.rule_id, m.group_id, m.severity, m.tags, m.alerts,
      m.shadow, m.excepted, m.status, sum(m.steps) as steps,
      min(m.first_at) as first_at, max(m.last_at) as last_at
    from moved m cross join lateral groups_of(m.day, m.services) c
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    having sum(m.steps) <> 0
  ),
  groups_found as materialized (
    select c.*, s.ctid as place, s.signal_count + c.steps as signal_count
    from groups c
    left join signal_group_sums s on s.tenant_id = c.tenant_id and s.day = c.day
      and s.service = c.service and s.rule_id = c.rule_id and s.group_id = c.group_id
      and s.severity = c.severity and s.tags = c.tags and s.alerts = c.alerts
      and s.shadow = c.shadow and s.excepted = c.excepted and s.status = c.status
  ),
  groups_changed as (
    update signal_group_sums s
    set signal_count = f.signal_count, first_at = least(s.first_at, f.first_at),
      last_at = greatest(s.last_at, f.last_at)
    from groups_found f where s.ctid = f.place and f.signal_count <> 0
  ),
  groups_gone as (
    delete from signal_group_sums s using groups_found f
    where s.ctid = f.place and f.signal_count = 0
  ),
  groups_new as (
    insert into signal_group_sums (
      tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted, status,
      signal_count, first_at, last_at
    )
    select tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted,
      status, steps, first_at, last_at
    from groups_found where place is null
  )
  select count(*) into taken_count from taken;
  return taken_count;
end
$$;
