drop index signals_repeating;
drop function suppression_at(uuid, text, timestamptz);
