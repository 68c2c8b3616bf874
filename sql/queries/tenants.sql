-- name: insert_tenant!
insert into tenants (id, name, display_name, tier, settings)
values (:id, :name, :display_name, :tier, :settings);

-- settings: those that hold, of the tier and of the tenant; own: of the tenant alone.

-- name: tenant_by_name^
select id, name, display_name, effective_settings(t) as settings, settings as own, tier,
  suspended_at, created_at, delete_after
from tenants t where name = :name;

-- name: tenant_by_id^
select id, name, display_name, effective_settings(t) as settings, settings as own, tier,
  suspended_at, created_at, delete_after
from tenants t where id = :id;

-- name: tenants
select id, name, display_name, effective_settings(t) as settings, settings as own, tier,
  suspended_at, created_at, delete_after
from tenants t order by name;

-- name: lock_tenant^
-- Writers of rules and settings of one tenant take turns. Readers, and rows that refer to the
-- tenant, are not held up.
select id, name, display_name, effective_settings(t) as settings, settings as own, tier,
  suspended_at, created_at, delete_after
from tenants t
where id = scope_tenant()
for no key update;

-- name: settings$
select effective_settings(t) from tenants t where id = scope_tenant();

-- name: update_settings!
update tenants set settings = :settings where id = scope_tenant();

-- name: own^
select id, name, display_name, effective_settings(t) as settings, settings as own, tier,
  suspended_at, created_at, delete_after
from tenants t where id = scope_tenant();

-- name: rename!
update tenants set display_name = :display_name where id = scope_tenant();

-- name: suspend!
update tenants set suspended_at = now() where id = scope_tenant() and suspended_at is null;

-- name: resume!
update tenants set suspended_at = null
where id = scope_tenant() and suspended_at is not null and purge_began_at is null;
