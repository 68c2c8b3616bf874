drop function holder_at_hand(text, text, text, text[], text[]);
drop function granted(text, text[], text[]);
drop function key_at_hand(bytea);
drop function session_at_hand(bytea, interval, text, integer);
drop function member_at_hand(uuid, uuid, integer);
drop function tenant_at_hand(uuid);
