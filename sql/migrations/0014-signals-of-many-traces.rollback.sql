delete from signals where many is not null;
alter table signals
  drop constraint signals_trace_or_many,
  drop column many,
  alter column trace_id set not null;
