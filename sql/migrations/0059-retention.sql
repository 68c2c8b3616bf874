-- How long what a tenant has is kept, and what makes sure that only what is over goes.

-- What tenants of a kind may have. retention: by kind of thing {days, least, most}: how long it is
-- kept unless the tenant says so, and between what bounds it may; null: for ever, without a bound.
create table tiers (
  name text not null,
  position smallint not null,
  retention jsonb not null,
  constraint tiers_pkey primary key (name),
  constraint tiers_name_form check (name ~ '^[a-z][a-z0-9-]{0,49}$'),
  constraint tiers_position_unique unique (position)
);
insert into tiers (name, position, retention) values ('standard', 1, '{
  "signals": {"days": 90, "least": 1, "most": null},
  "open_signals": {"days": null, "least": 7, "most": null},
  "dead_letters": {"days": 30, "least": 1, "most": 365},
  "backtests": {"days": 30, "least": 1, "most": 365},
  "accounts": {"days": 62, "least": 35, "most": 400},
  "usage": {"days": 800, "least": 400, "most": null},
  "audit": {"days": 400, "least": 30, "most": null}
}');

alter table tiers enable row level security;
alter table tiers force row level security;
-- They hold nothing of any tenant.
create policy tiers_of_all on tiers for select using (true);
create policy tiers_of_operator on tiers for update using (scope_purpose() = 'operator');
grant select, update (retention) on tiers to betrace_app;
grant select on tiers to betrace_worker;

-- retention: what its people chose {kind: days or null}. retention_bounds: what its operator allows
-- in place of the tier {kind: {days, least, most}}. held_at: since then nothing of it is deleted.
alter table tenants
  add column tier text not null default 'standard',
  add column retention jsonb not null default '{}',
  add column retention_bounds jsonb not null default '{}',
  add column held_at timestamptz,
  add column held_by text,
  add constraint tenants_tier foreign key (tier) references tiers (name),
  add constraint tenants_held check (
    (held_at is null) = (held_by is null) and held_by in ('operator', 'tenant')
  ),
  -- Nothing of a tenant that is held is deleted, and of one that is going nothing is kept.
  add constraint tenants_held_or_going check (held_at is null or purge_began_at is null);
grant update (tier, retention, retention_bounds, held_at, held_by) on tenants to betrace_app;

-- Whether nothing of a tenant goes by its age: it is on hold, or all of it is to go at once.
create function is_kept_whole(t tenants) returns boolean
language sql stable as $$
  select t.held_at is not null or t.delete_after is not null
$$;

-- What was deleted of a tenant on a day, written with each deletion. told_count: so many of them
-- are on the audit log.
create table retention_ledger (
  tenant_id uuid not null,
  day date not null,
  what text not null,
  days integer not null,
  row_count bigint not null,
  told_count bigint not null default 0,
  constraint retention_ledger_pkey primary key (tenant_id, day, what),
  constraint retention_ledger_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint retention_ledger_counts check (told_count between 0 and row_count)
);
create index retention_ledger_untold on retention_ledger (tenant_id) where told_count < row_count;
alter table retention_ledger enable row level security;
alter table retention_ledger force row level security;
create policy retention_ledger_of_tenant on retention_ledger using (tenant_id = scope_tenant());
create policy retention_ledger_of_worker on retention_ledger to betrace_worker
  using (true) with check (true);
grant select on retention_ledger to betrace_app;
grant select, insert, update, delete on retention_ledger to betrace_worker;

-- The oldest that nobody has to do with any more. Whoever changes the condition changes it in
-- sql/queries/retention_runs.sql too. None of its columns is without an index already, so that
-- updates in place stay as rare or frequent as they were.
create index signals_over on signals (tenant_id, occurred_at)
  where not (raised and (status = 'investigating' or (status = 'open' and alerts)));
create index backtest_results_copied on backtest_results (tenant_id, trace_id) where copied;
create index backtests_by_end on backtests (tenant_id, finished_at) where finished_at is not null;

create policy usage_days_of_worker on usage_days to betrace_worker using (true);
grant select, delete on usage_days to betrace_worker;
grant delete on backtests to betrace_worker;
revoke delete on backtests from betrace_app;

-- Of the audit log, deletion asks the database: it is the owner's, never of a tenant that is kept
-- whole, never of what is younger than 30 days, and no more than so many rows at a time.
drop function forget_audit(integer);
drop policy audit_log_forgotten on audit_log;
do $$
begin
  execute format(
    'create policy audit_log_forgotten on audit_log for insert to %I'
    ' with check (action = ''retention.deleted'')', current_user);
  execute format(
    'create policy tenants_of_retention on tenants for select to %I'
    ' using (scope_purpose() = ''retention'')', current_user);
end
$$;

create function forget_audit(tenant uuid, days integer, most integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  forgotten bigint;
begin
  if days < 30 then
    raise exception 'the audit log is kept for 30 days at least, not %', days
      using errcode = 'invalid_parameter_value';
  end if;
  perform set_config('app.purpose', 'retention', true);
  if exists (select from tenants t where t.id = tenant and is_kept_whole(t)) then
    raise exception 'nothing of tenant % goes by its age: it is held, or to be deleted', tenant
      using errcode = 'restrict_violation';
  end if;
  with old as (
    select id from audit_log
    where tenant_id = tenant and at < now() - make_interval(days => days)
    order by at
    limit most
  )
  delete from audit_log a using old where a.id = old.id;
  get diagnostics forgotten = row_count;
  perform set_config('app.purpose', '', true);
  return forgotten;
end
$$;

-- Of rows that belong to no tenant, or to one that is gone.
create function forget_audit_of_nobody(days integer, most integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  forgotten bigint;
begin
  if days < 30 then
    raise exception 'the audit log is kept for 30 days at least, not %', days
      using errcode = 'invalid_parameter_value';
  end if;
  perform set_config('app.purpose', 'retention', true);
  with recursive whose (tenant_id) as (
    (select tenant_id from audit_log where tenant_id is not null order by tenant_id limit 1)
    union all
    select (
      select a.tenant_id from audit_log a
      where a.tenant_id > whose.tenant_id order by a.tenant_id limit 1
    )
    from whose where whose.tenant_id is not null
  ),
  gone as (
    select w.tenant_id from whose w
    where w.tenant_id is not null and not exists (select from tenants t where t.id = w.tenant_id)
  ),
  old as (
    select a.id from audit_log a
    where a.tenant_id is null and a.at < now() - make_interval(days => days)
    union all
    select a.id from gone g join audit_log a on a.tenant_id = g.tenant_id
    where a.at < now() - make_interval(days => days)
    limit most
  )
  delete from audit_log a using old where a.id = old.id;
  get diagnostics forgotten = row_count;
  perform set_config('app.purpose', '', true);
  return forgotten;
end
$$;

-- Write on a tenant's record that so many of its rows were deleted.
create function note_forgotten(tenant uuid, what text, row_count bigint, days integer) returns void
language sql security definer set search_path = pg_catalog, public as $$
  insert into audit_log (id, tenant_id, at, until_at, actor, action, target, outcome, reason, details)
  values (
    gen_random_uuid(), tenant, now(), now(), 'betrace', 'retention.deleted', 'retention:' || what,
    'allowed', 'retention', jsonb_build_object('rows', row_count::text, 'days', days::text)
  )
$$;
revoke all on function forget_audit(uuid, integer, integer) from public;
revoke all on function forget_audit_of_nobody(integer, integer) from public;
revoke all on function note_forgotten(uuid, text, bigint, integer) from public;
grant execute on function forget_audit(uuid, integer, integer) to betrace_worker;
grant execute on function forget_audit_of_nobody(integer, integer) to betrace_worker;
grant execute on function note_forgotten(uuid, text, bigint, integer) to betrace_worker;
