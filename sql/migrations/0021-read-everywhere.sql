-- When every subtask of the job was first seen to have read a record of the rules log.

alter table rules_outbox add column read_everywhere_at timestamptz;
create index rules_outbox_not_read on rules_outbox (log_offset)
  where published_at is not null and read_everywhere_at is null;
create policy rules_outbox_of_worker on rules_outbox to betrace_worker
  using (true) with check (true);
grant select, update (read_everywhere_at) on rules_outbox to betrace_worker;
