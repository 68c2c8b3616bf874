-- name: rules
-- Rules with a text in their name or id, those first that begin with it.
select r.id, coalesce(v.object ->> 'name', r.id) as name
from rules r
join rule_versions v
  on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
where r.tenant_id = scope_tenant() and r.deleted_at is null
  and (
    position(lower(:text) in lower(r.id)) > 0
    or position(lower(:text) in lower(coalesce(v.object ->> 'name', ''))) > 0
  )
order by position(lower(:text) in lower(coalesce(v.object ->> 'name', r.id))) <> 1, name, r.id
limit :limit;

-- name: signals
-- Of the newest 200 signals that alert, those with a text in rule, service or operation.
select s.id, s.rule_name, s.rule_id, s.root_service, s.root_name, s.occurred_at
from (
  select id, rule_name, rule_id, root_service, root_name, occurred_at
  from signals
  where tenant_id = scope_tenant() and raised and alerts
  order by occurred_at desc, id desc
  limit 200
) s
where position(lower(:text) in lower(s.rule_name)) > 0
  or position(lower(:text) in lower(s.root_service)) > 0
  or position(lower(:text) in lower(s.root_name)) > 0
order by s.occurred_at desc, s.id desc
limit :limit;
