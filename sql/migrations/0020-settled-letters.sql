-- What people did about a dead letter: put it back into the stream, or put it aside for good.

alter table dead_letters
  add column state text not null default 'waiting',
  add column settled_at timestamptz,
  add column settled_by text,
  add column note text not null default '',
  add constraint dead_letters_state check (state in ('waiting', 'replayed', 'discarded')),
  add constraint dead_letters_settled check ((state = 'waiting') = (settled_at is null));
grant update (state, settled_at, settled_by, note) on dead_letters to betrace_app;
