-- name: policy^
-- That of a version, the newest without one; nothing while the defaults hold.
select version, form, author, acting, created_at
from redaction_policies
where tenant_id = scope_tenant() and (:version::integer is null or version = :version)
order by version desc
limit 1;

-- name: history
select version, form, author, acting, created_at
from redaction_policies
where tenant_id = scope_tenant() and (:before::integer is null or version < :before)
order by version desc
limit :limit;

-- name: insert_policy!
insert into redaction_policies (tenant_id, version, form, author)
values (scope_tenant(), :version, :form, :author);

-- name: keep!
-- Keep what tokens stand for; what is kept already stays.
insert into redaction_vault (tenant_id, token, sealed)
select scope_tenant(), t.token, t.sealed
from unnest(:tokens::text[], :sealed::text[]) as t (token, sealed)
order by t.token
on conflict do nothing;

-- name: sealed$
select sealed from redaction_vault where tenant_id = scope_tenant() and token = :token;

-- name: recent_spans
-- Spans of the traces that were copied last, for looking at what a policy would do.
with recent as (
  select trace_id
  from trace_copies
  where tenant_id = scope_tenant()
  order by copied_at desc, trace_id
  limit :traces
)
select s.trace_id, s.name, s.status_message, s.attributes, s.resource, s.scope, s.events, s.links
from recent
join trace_spans s on s.tenant_id = scope_tenant() and s.trace_id = recent.trace_id
limit :spans;

-- name: judged_rules
-- What current rules and their exceptions look at, and how their literals were turned when they
-- were saved.
select r.id, v.text, v.judged, coalesce(v.object -> 'exceptions', '[]') as exceptions,
       v.judged_exceptions
from rules r
join rule_versions v
  on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
where r.tenant_id = scope_tenant() and r.deleted_at is null
order by r.id;

-- name: add_counts!
insert into redaction_counts as c (tenant_id, day, policy_version, what, count)
select scope_tenant(), n.day, n.version, n.what, n.count
from unnest(:days::date[], :versions::integer[], :whats::text[], :counts::bigint[])
  as n (day, version, what, count)
on conflict on constraint redaction_counts_pkey do update set count = c.count + excluded.count;

-- name: counts
select policy_version, what, sum(count)::bigint as count
from redaction_counts
where tenant_id = scope_tenant() and day between :first and :last
group by policy_version, what;

-- name: rekeyed
-- Tenants, whichever they are, whose rules are to be judged by another redaction key.
select tenant_id, key_id from redaction_rekeyings order by noted_at;

-- name: rekeyed_done!
-- Unless yet another key came meanwhile.
delete from redaction_rekeyings where tenant_id = scope_tenant() and key_id = :key_id;
