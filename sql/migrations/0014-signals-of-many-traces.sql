-- Rules over many traces signal too. Their signals have no trace; instead they carry what was seen:
-- the key, the window and the members of a `correlate`, the gap of an `expect`.

alter table signals
  alter column trace_id drop not null,
  add column many jsonb,
  add constraint signals_trace_or_many check ((trace_id is null) = (many is not null));
