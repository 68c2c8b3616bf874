-- What has not been taken into the sums yet becomes rows of theirs.
alter table signal_sums add column settled boolean not null default false;
alter table signal_sums reset (fillfactor);
alter table signal_group_sums add column settled boolean not null default false;
alter table signal_group_sums reset (fillfactor);
grant insert on signal_sums, signal_group_sums to betrace_app;
do $$
declare
  tenant uuid;
begin
  perform set_config('app.purpose', 'operator', true);
  for tenant in select id from tenants loop
    perform set_config('app.tenant_id', tenant::text, true);
    insert into signal_sums (
      tenant_id, day, service, rule_id, severity, tags, alerts, shadow, excepted, status,
      assignee_id, signal_count
    )
    select m.tenant_id, c.day, c.service, m.rule_id, m.severity, m.tags, m.alerts, m.shadow,
      m.excepted, m.status, c.assignee_id, m.steps
    from signal_moves m cross join lateral cells_of(m.day, m.services, m.assignee_id) c;
    insert into signal_group_sums (
      tenant_id, day, service, rule_id, group_id, severity, tags, alerts, shadow, excepted, status,
      signal_count, first_at, last_at
    )
    select m.tenant_id, c.day, c.service, m.rule_id, m.group_id, m.severity, m.tags, m.alerts,
      m.shadow, m.excepted, m.status, m.steps, m.first_at, m.last_at
    from signal_moves m cross join lateral groups_of(m.day, m.services) c;
  end loop;
  perform set_config('app.tenant_id', '', true);
  perform set_config('app.purpose', '', true);
end
$$;
create index signal_sums_unsettled on signal_sums (tenant_id) where not settled;
create index signal_group_sums_unsettled on signal_group_sums (tenant_id) where not settled;
drop view signal_group_counts;
drop view signal_counts;
drop table signal_moves;

create or replace function move_of(s signals, step integer) returns signal_move
language sql immutable parallel safe
return row(
  s.tenant_id, (s.occurred_at at time zone 'UTC')::date, s.rule_id,
  coalesce(s.group_fingerprint, ''::bytea), s.severity, s.tags,
  case when s.root_service = '' or s.root_service = any (s.services) then s.services
    else s.root_service || s.services end,
  s.alerts, s.shadow, s.exception is not null, s.status,
  coalesce(s.assignee_id, '00000000-0000-0000-0000-000000000000'::uuid), s.occurred_at, step
)::signal_move;

create or replace function add_to_signal_sums(moves signal_move[]) returns void
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

create or replace function settle_signal_sums(most integer) returns bigint
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

drop function groups_of(date, text[]);
drop function cells_of(date, text[], uuid);
