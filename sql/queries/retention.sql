-- name: lock$
-- A batch of deletions in hand is waited for, and the next one goes by what is written now.
select pg_advisory_xact_lock(hashtext('retention'), hashtext(scope_tenant()::text));

-- name: read^
select t.tier, r.retention as terms, t.retention_bounds as bounds, t.retention as chosen,
  t.held_at, t.held_by, t.delete_after, t.purge_began_at is not null as purging
from tenants t join tiers r on r.name = t.tier
where t.id = scope_tenant();

-- name: choose!
update tenants set retention = :chosen where id = scope_tenant();

-- name: bound!
update tenants set retention_bounds = :bounds where id = scope_tenant();

-- name: hold!
-- What its people hold is held by the operator from then on, and never the other way round.
update tenants set held_at = coalesce(held_at, now()), held_by = :by
where id = scope_tenant() and purge_began_at is null
  and (held_at is null or (:by = 'operator' and held_by = 'tenant'));

-- name: release!
update tenants set held_at = null, held_by = null
where id = scope_tenant() and held_at is not null and (:by = 'operator' or held_by = 'tenant');

-- name: deleted
-- What was deleted in the last days, the newest first.
select what, sum(row_count)::bigint as row_count, max(day) as last_day
from retention_ledger
where tenant_id = scope_tenant() and day >= (now() at time zone 'UTC')::date - :days::integer
group by what
order by what;
