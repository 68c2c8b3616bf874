-- Whoever presents a key is told, with the key, what its tenant has for limits of its own.

create policy tenants_of_credential on tenants for select using (
  exists (
    select from api_keys k
    where k.tenant_id = tenants.id and k.key_hash = scope_credential()
  )
);
