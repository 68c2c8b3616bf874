alter table stats_minutes
  drop constraint stats_minutes_open, drop column open_before, drop column open_spans;
