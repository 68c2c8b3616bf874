drop index signals_by_assignee;
create index signals_by_assignee on signals (tenant_id, assignee_id, occurred_at desc, id desc)
  where raised and assignee_id is not null;
