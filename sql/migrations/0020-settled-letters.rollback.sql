revoke update (state, settled_at, settled_by, note) on dead_letters from betrace_app;
alter table dead_letters
  drop column state, drop column settled_at, drop column settled_by, drop column note;
