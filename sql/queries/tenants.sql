-- name: insert_tenant!
insert into tenants (id, name, display_name, settings)
values (:id, :name, :display_name, :settings);

-- name: tenant_by_name^
select id, name, display_name, settings, suspended_at, created_at, delete_after
from tenants
where name = :name;

-- name: tenant_by_id^
select id, name, display_name, settings, suspended_at, created_at, delete_after
from tenants
where id = :id;

-- name: tenants
select id, name, display_name, settings, suspended_at, created_at, delete_after
from tenants
order by name;

-- name: lock_tenant^
-- Writers of rules and settings of one tenant take turns. Readers, and rows that refer to the
-- tenant, are not held up.
select id, name, display_name, settings, suspended_at, created_at, delete_after
from tenants
where id = scope_tenant()
for no key update;

-- name: settings$
select settings from tenants where id = scope_tenant();

-- name: update_settings!
update tenants set settings = :settings where id = scope_tenant();

-- name: own^
select id, name, display_name, settings, suspended_at, created_at, delete_after
from tenants
where id = scope_tenant();

-- name: rename!
update tenants set display_name = :display_name where id = scope_tenant();

-- name: suspend!
update tenants set suspended_at = now() where id = scope_tenant() and suspended_at is null;

-- name: resume!
update tenants set suspended_at = null
where id = scope_tenant() and suspended_at is not null and purge_began_at is null;
