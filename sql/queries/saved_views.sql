-- name: views
-- One's own and those of all, by name.
select id, name, query, owner, shared, version, created_at, changed_at
from saved_views
where tenant_id = scope_tenant() and (shared or owner = :actor)
order by shared, lower(name), id
limit :limit;

-- name: count_of$
select count(*) from saved_views where tenant_id = scope_tenant() and owner = :actor;

-- name: lock^
select id, name, query, owner, shared, version, created_at, changed_at
from saved_views
where tenant_id = scope_tenant() and id = :id and (shared or owner = :actor)
for update;

-- name: one^
select id, name, query, owner, shared, version, created_at, changed_at
from saved_views
where tenant_id = scope_tenant() and id = :id and (shared or owner = :actor);

-- name: add!
insert into saved_views (tenant_id, id, name, query, owner, shared)
values (scope_tenant(), :id, :name, :query, :owner, :shared);

-- name: change!
update saved_views
set name = :name, query = :query, shared = :shared, version = version + 1, changed_at = now()
where tenant_id = scope_tenant() and id = :id;

-- name: remove!
delete from saved_views where tenant_id = scope_tenant() and id = :id;
