drop function note_forgotten(uuid, text, bigint, integer);
drop function forget_audit_of_nobody(integer, integer);
drop function forget_audit(uuid, integer, integer);
drop policy audit_log_forgotten on audit_log;
drop policy tenants_of_retention on tenants;
do $$
begin
  execute format(
    'create policy audit_log_forgotten on audit_log for insert to %I'
    ' with check (action = ''audit.forgotten'')', current_user);
end
$$;
create function forget_audit(days integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  forgotten bigint;
begin
  if days < 30 then
    raise exception 'the audit log is kept for 30 days at least, not %', days
      using errcode = 'invalid_parameter_value';
  end if;
  with gone as (
    delete from audit_log where at < now() - make_interval(days => days) returning tenant_id, times
  ), counted as (
    select tenant_id, count(*) as row_count from gone group by tenant_id
  ), told as (
    insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome, reason, details)
    select gen_random_uuid(), tenant_id, now(), now(), 'betrace', 'audit.forgotten', 'allowed',
           'retention', jsonb_build_object('rows', row_count::text, 'days', days::text)
    from counted
  )
  select coalesce(sum(row_count), 0) into forgotten from counted;
  return forgotten;
end
$$;
revoke all on function forget_audit(integer) from public;
grant execute on function forget_audit(integer) to betrace_app;

grant delete on backtests to betrace_app;
revoke delete on backtests from betrace_worker;
drop policy usage_days_of_worker on usage_days;
revoke select, delete on usage_days from betrace_worker;
drop index backtests_by_end;
drop index backtest_results_copied;
drop index signals_over;
drop table retention_ledger;
drop function is_kept_whole(tenants);
alter table tenants
  drop constraint tenants_held_or_going,
  drop constraint tenants_held,
  drop constraint tenants_tier,
  drop column held_by,
  drop column held_at,
  drop column retention_bounds,
  drop column retention,
  drop column tier;
drop table tiers;
