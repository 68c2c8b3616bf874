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
  select tenant_id, id, 'changed' from changed;
  perform pg_notify('signals', tenant_id::text) from (select distinct tenant_id from changed) t;
  return null;
end
$$;

drop function exceptions_at(uuid, text, timestamptz);
alter table signals drop column alerts, drop column exception_due, drop column exception;
