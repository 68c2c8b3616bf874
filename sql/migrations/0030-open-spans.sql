-- Spans of traces that were not closed yet, when a minute began and when its accounts were last
-- written. Null where the job does not say so: then the minute cannot be checked.

alter table stats_minutes
  add column open_before bigint,
  add column open_spans bigint,
  add constraint stats_minutes_open check ((open_before is null) = (open_spans is null));
