-- Keys with scopes have no meaning before this: they are removed. Replaced keys are revoked, since
-- their names are those of their successors.

revoke update (expires_at, last_used_at, revoked_by, replaced_by) on api_keys from betrace_app;

alter table api_keys no force row level security;
update api_keys set revoked_at = coalesce(revoked_at, now()) where replaced_by is not null;
alter table api_keys drop constraint api_keys_successor;
delete from api_keys where role is null;
alter table api_keys force row level security;

drop index api_keys_by_time;
drop index api_keys_name_in_use;
create unique index api_keys_name_in_use on api_keys (tenant_id, name) where revoked_at is null;

alter table api_keys
  drop constraint api_keys_replaced_key_ends,
  drop constraint api_keys_some_scope,
  drop constraint api_keys_role_or_scopes,
  drop constraint api_keys_of_tenant_unique,
  drop column replaced_by,
  drop column revoked_by,
  drop column last_used_at,
  drop column networks,
  drop column scopes,
  alter column role set not null;
