-- name: tiers
select name, quotas, retention from tiers order by position;

-- name: tier^
select name, quotas, retention from tiers where name = :name;

-- name: put_into!
update tenants set tier = :name where id = scope_tenant();

-- name: update_quotas!
update tiers set quotas = :quotas where name = :name;

-- name: update_retention!
update tiers set retention = :retention where name = :name;
