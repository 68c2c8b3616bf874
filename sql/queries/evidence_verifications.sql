-- Verifications of the tenant of the transaction, with the address or name of who asked, if they are
-- a member or a key still.

-- name: add!
insert into evidence_verifications (
  tenant_id, id, actor, asked, head_number, head_size, valid_count, invalid_count, unsigned_count,
  unverified_count, next_cursor, act_id
) values (
  scope_tenant(), :id, :actor, :asked, :head_number, :head_size, :valid_count, :invalid_count,
  :unsigned_count, :unverified_count, :next_cursor, :act_id
);

-- name: add_results!
insert into evidence_verified (tenant_id, verification_id, seq, badge, code, reason)
select scope_tenant(), :id, f.seq, f.badge, f.code, f.reason
from unnest(:seqs::bigint[], :badges::text[], :codes::text[], :reasons::text[])
  as f (seq, badge, code, reason);

-- name: page
-- Newest first.
with page as materialized (
  select id, at, actor, acting, asked, head_number, head_size, valid_count, invalid_count,
         unsigned_count, unverified_count, next_cursor,
         case when actor ~ '^(user|key):[0-9a-f-]{36}$'
              then split_part(actor, ':', 2)::uuid end as actor_id
  from evidence_verifications
  where tenant_id = scope_tenant()
    and (:before_at::timestamptz is null or (at, id) < (:before_at, :before_id::uuid))
  order by at desc, id desc
  limit :limit
)
select p.*, coalesce(u.email, k.name, '') as actor_name
from page p
left join users u on u.id = p.actor_id and starts_with(p.actor, 'user:')
left join api_keys k on k.id = p.actor_id and starts_with(p.actor, 'key:')
order by p.at desc, p.id desc;

-- name: one^
with found as materialized (
  select id, at, actor, acting, asked, head_number, head_size, valid_count, invalid_count,
         unsigned_count, unverified_count, next_cursor,
         case when actor ~ '^(user|key):[0-9a-f-]{36}$'
              then split_part(actor, ':', 2)::uuid end as actor_id
  from evidence_verifications
  where tenant_id = scope_tenant() and id = :id
)
select f.*, coalesce(u.email, k.name, '') as actor_name
from found f
left join users u on u.id = f.actor_id and starts_with(f.actor, 'user:')
left join api_keys k on k.id = f.actor_id and starts_with(f.actor, 'key:');

-- name: results
select seq, badge, code, reason
from evidence_verified
where tenant_id = scope_tenant() and verification_id = :id
order by badge = 'valid', seq desc;

-- name: of_record
-- What was found of a record, newest first.
with page as materialized (
  select v.id, v.at, v.actor, v.acting, f.badge, f.code, f.reason,
         case when v.actor ~ '^(user|key):[0-9a-f-]{36}$'
              then split_part(v.actor, ':', 2)::uuid end as actor_id
  from evidence_verified f
  join evidence_verifications v on v.tenant_id = f.tenant_id and v.id = f.verification_id
  where f.tenant_id = scope_tenant() and f.seq = :seq
    and (:before_at::timestamptz is null or (v.at, v.id) < (:before_at, :before_id::uuid))
  order by v.at desc, v.id desc
  limit :limit
)
select p.*, coalesce(u.email, k.name, '') as actor_name
from page p
left join users u on u.id = p.actor_id and starts_with(p.actor, 'user:')
left join api_keys k on k.id = p.actor_id and starts_with(p.actor, 'key:')
order by p.at desc, p.id desc;
