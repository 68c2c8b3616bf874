drop index trace_copies_by_root;
drop table signal_links;
drop table signal_notes;
drop function feed_signal_notes();
drop trigger signals_regressed_now on signals;
drop trigger signals_regressed_new on signals;
drop function reopen_regressed_signals();

create or replace function feed_changed_signals() returns trigger
language plpgsql set enable_nestloop = off as $$
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
  select n.tenant_id, n.id, case when n.alerts and not o.alerts then 'raised' else 'changed' end
  from changed n join previous o on o.tenant_id = n.tenant_id and o.id = n.id;
  perform pg_notify('signals', tenant_id::text) from (select distinct tenant_id from changed) t;
  return null;
end
$$;

delete from signal_history where change in ('linked', 'unlinked');
alter table signal_history
  drop constraint signal_history_change,
  drop column other_id,
  drop column until_regression,
  drop column disposition,
  add constraint signal_history_change check (change in ('status', 'verdict', 'assignee'));

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

drop index signals_watched;
drop index signals_by_group;
alter table signals
  drop column regressed_by,
  drop column until_regression,
  drop column resolved_at,
  drop column disposition;
