-- Who is asking. Every transaction of the application names its tenant with
-- set_config('app.tenant_id', …, true); row-level security reads it here. A transaction that names
-- none sees nothing. Other settings open single rows or single tables:
--   app.credential  hash of a presented API key or session token (hex): that one row
--   app.email       lower-case address presented at sign-in: that one user
--   app.user_id     the signed-in user: own row and own memberships
--   app.purpose     'operator' (the command line: tenants by name) or 'housekeeping' (outbox, expiry)
--   app.actor       who is written into histories; unset means the engine

create function scope_tenant() returns uuid
language sql stable parallel safe
return nullif(current_setting('app.tenant_id', true), '')::uuid;

create function scope_user() returns uuid
language sql stable parallel safe
return nullif(current_setting('app.user_id', true), '')::uuid;

create function scope_credential() returns bytea
language sql stable parallel safe
return decode(nullif(current_setting('app.credential', true), ''), 'hex');

create function scope_email() returns text
language sql stable parallel safe
return nullif(current_setting('app.email', true), '');

create function scope_purpose() returns text
language sql stable parallel safe
return coalesce(current_setting('app.purpose', true), '');

create function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
