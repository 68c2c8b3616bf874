-- name: page
-- A tenant's own samples, newest first.
select id, name, description, tags, span_count, trace_count, services, redaction_version,
       created_by, created_at, version
from trace_samples
where tenant_id = scope_tenant()
  and (:tag::text is null or :tag = any(tags))
  and (
    :text::text is null or position(lower(:text) in lower(name)) > 0
    or position(lower(:text) in lower(description)) > 0
  )
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: one^
select id, name, description, tags, spans, span_count, trace_count, services, redaction_version,
       created_by, created_at, version
from trace_samples
where tenant_id = scope_tenant() and id = :id;

-- name: lock^
select version from trace_samples where tenant_id = scope_tenant() and id = :id for update;

-- name: count$
select count(*) from trace_samples where tenant_id = scope_tenant();

-- name: insert!
insert into trace_samples (
  tenant_id, id, name, description, tags, spans, span_count, trace_count, services,
  redaction_version, created_by
) values (
  scope_tenant(), :id, :name, :description, :tags, :spans, :span_count, :trace_count, :services,
  :redaction_version, :created_by
);

-- name: change!
update trace_samples
set name = :name, description = :description, tags = :tags, version = version + 1
where tenant_id = scope_tenant() and id = :id;

-- name: delete!
delete from trace_samples where tenant_id = scope_tenant() and id = :id;

-- name: tags
select distinct unnest(tags) as tag from trace_samples where tenant_id = scope_tenant() order by tag;
