-- A tenant that its operator has suspended: nobody of it gets in, and no spans are taken.

alter table tenants add column suspended_at timestamptz;
grant update (suspended_at) on tenants to betrace_app;

-- Whoever shows a key may see whether its tenant is suspended, and what limits it has.
create policy tenants_of_credential on tenants for select to betrace_app using (
  exists (
    select from api_keys k where k.tenant_id = tenants.id and k.key_hash = scope_credential()
  )
);
