-- API keys with scopes in place of a role, places they may be used from, last use and rotation.

alter table api_keys
  alter column role drop not null,
  add column scopes text[],
  add column networks cidr[] not null default '{}',
  add column last_used_at timestamptz,
  add column revoked_by text,
  add column replaced_by uuid,
  add constraint api_keys_of_tenant_unique unique (tenant_id, id),
  add constraint api_keys_role_or_scopes check ((role is null) <> (scopes is null)),
  add constraint api_keys_some_scope check (cardinality(scopes) > 0),
  -- a key that is replaced is marked before its successor, of the same name, is there
  add constraint api_keys_successor foreign key (tenant_id, replaced_by)
    references api_keys (tenant_id, id) deferrable initially deferred,
  add constraint api_keys_replaced_key_ends check (replaced_by is null or expires_at is not null);

-- A key that was replaced goes on for a while beside its successor of the same name.
drop index api_keys_name_in_use;
create unique index api_keys_name_in_use on api_keys (tenant_id, name)
  where revoked_at is null and replaced_by is null;
create index api_keys_by_time on api_keys (tenant_id, created_at desc, id desc);

grant update (expires_at, last_used_at, revoked_by, replaced_by) on api_keys to betrace_app;
