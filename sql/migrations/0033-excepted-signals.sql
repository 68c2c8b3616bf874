-- Exceptions of rules: a violation that one of them fits stays on record and raises no alert. Which
-- one fits is decided on the spans of the trace, so by whoever copies it; until then the signal is
-- due, and waits. exception: {where, reason, owner, until} as the rule had it.

alter table signals
  add column exception jsonb,
  add column exception_due boolean not null default false,
  add column alerts boolean not null
    generated always as (not shadow and not exception_due and exception is null) stored;
create index signals_due on signals (tenant_id, id) where exception_due;
create index signals_alerting on signals (tenant_id, occurred_at desc, id desc)
  where raised and alerts;

-- The exceptions that hold for what is judged at a time: those of the version that was current
-- then. It counts from five seconds after its saving on, as for the job, so that no worker can have
-- stored a signal of that time before the version was there to be read.
create function exceptions_at(tenant uuid, rule text, at timestamptz) returns jsonb
language sql stable as $$
  select coalesce(v.object -> 'exceptions', '[]')
  from rule_versions v
  where v.tenant_id = tenant and v.rule_id = rule and v.created_at + interval '5 seconds' <= at
  order by v.version desc
  limit 1
$$;

-- A signal that alerts only now is news like one just raised.
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
