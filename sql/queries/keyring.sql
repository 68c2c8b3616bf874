-- name: newest^
select k.id, k.tenant_id, k.purpose, k.generation, k.provider, k.master, k.form, k.sealed,
  k.public_key, k.created_at, k.created_by, null::timestamptz as retired_at, k.revoked_at,
  k.revoked_by, k.revoked_reason, k.untrusted_from, k.destroyed_at
from tenant_keys k
where k.tenant_id = scope_tenant() and k.purpose = :purpose
order by k.generation desc
limit 1;

-- name: one^
select k.id, k.tenant_id, k.purpose, k.generation, k.provider, k.master, k.form, k.sealed,
  k.public_key, k.created_at, k.created_by, n.created_at as retired_at, k.revoked_at,
  k.revoked_by, k.revoked_reason, k.untrusted_from, k.destroyed_at
from tenant_keys k
left join tenant_keys n
  on n.tenant_id = k.tenant_id and n.purpose = k.purpose and n.generation = k.generation + 1
where k.tenant_id = scope_tenant() and k.id = :id;

-- name: all_of
select k.id, k.tenant_id, k.purpose, k.generation, k.provider, k.master, k.form, k.sealed,
  k.public_key, k.created_at, k.created_by,
  lead(k.created_at) over (partition by k.purpose order by k.generation) as retired_at,
  k.revoked_at, k.revoked_by, k.revoked_reason, k.untrusted_from, k.destroyed_at
from tenant_keys k
where k.tenant_id = scope_tenant()
order by k.purpose, k.generation;

-- name: insert!
insert into tenant_keys (
  tenant_id, id, purpose, generation, provider, master, form, sealed, public_key, created_by
) values (
  scope_tenant(), :id, :purpose, :generation, :provider, :master, :form, :sealed, :public_key,
  :created_by
)
on conflict (tenant_id, purpose, generation) do nothing;

-- name: revoke!
update tenant_keys
set revoked_at = coalesce(revoked_at, :revoked_at), revoked_by = coalesce(revoked_by, :revoked_by),
  revoked_reason = coalesce(revoked_reason, :reason),
  untrusted_from = least(untrusted_from, :untrusted_from)
where tenant_id = scope_tenant() and id = :id;

-- name: destroy!
update tenant_keys
set provider = null, master = null, form = null, sealed = null, destroyed_at = clock_timestamp()
where tenant_id = scope_tenant() and id = :id and destroyed_at is null;

-- name: reseal!
update tenant_keys
set provider = :provider, master = :master, form = :form, sealed = :sealed
where tenant_id = scope_tenant() and id = :id
  and (provider, master, form, sealed) = (:was_provider, :was_master, :was_form, :was_sealed);
