-- name: of_rule
-- The cases of a rule, or of all rules that are there, with what came of each the last time.
select c.id, c.rule_id, c.name, c.library_id, c.sample_id, s.name as sample_name, c.expect,
       c.created_by, c.created_at, l.at, l.run_id, l.rule_version, l.verdict, l.passed
from rule_cases c
join rules r on r.tenant_id = c.tenant_id and r.id = c.rule_id and r.deleted_at is null
left join trace_samples s on s.tenant_id = c.tenant_id and s.id = c.sample_id
left join lateral (
  select r.at, t.run_id, t.rule_version, t.verdict, t.passed
  from case_results t
  join case_runs r on r.tenant_id = t.tenant_id and r.id = t.run_id
  where t.tenant_id = c.tenant_id and t.rule_id = c.rule_id and t.case_id = c.id
  order by r.at desc
  limit 1
) l on true
where c.tenant_id = scope_tenant() and (:rule_id::text is null or c.rule_id = :rule_id)
order by c.rule_id, c.created_at, c.id;

-- name: count$
select count(*) from rule_cases where tenant_id = scope_tenant();

-- name: insert!
insert into rule_cases (tenant_id, id, rule_id, name, library_id, sample_id, expect, created_by)
values (scope_tenant(), :id, :rule_id, :name, :library_id, :sample_id, :expect, :created_by);

-- name: delete$
delete from rule_cases
where tenant_id = scope_tenant() and rule_id = :rule_id and id = :id
returning id;

-- name: of_sample$
-- How many cases use a sample.
select count(*) from rule_cases where tenant_id = scope_tenant() and sample_id = :sample_id;

-- name: samples
-- The samples that cases of a rule, or of all rules, use; each once.
select s.id, s.name, s.description, s.tags, s.spans, s.span_count, s.trace_count, s.services,
       s.redaction_version, s.created_by, s.created_at, s.version
from trace_samples s
where s.tenant_id = scope_tenant() and s.id in (
  select c.sample_id from rule_cases c
  where c.tenant_id = scope_tenant() and (:rule_id::text is null or c.rule_id = :rule_id)
);

-- name: insert_run!
insert into case_runs (
  tenant_id, id, actor, rule_id, draft, case_count, passed_count, duration_ms, digest
) values (
  scope_tenant(), :id, :actor, :rule_id, :draft, :case_count, :passed_count, :duration_ms, :digest
);

-- name: insert_result!
insert into case_results (
  tenant_id, run_id, place, rule_id, rule_version, text_hash, case_id, case_name, sample, expect,
  verdict, passed, explanation
) values (
  scope_tenant(), :run_id, :place, :rule_id, :rule_version, :text_hash, :case_id, :case_name,
  :sample, :expect, :verdict, :passed, :explanation
);

-- name: runs
-- Newest first. rule_id: runs of that rule, and those of all rules in which it had a case.
select r.id, r.at, r.actor, r.acting, r.rule_id, r.draft, r.case_count, r.passed_count,
       r.duration_ms, r.digest
from case_runs r
where r.tenant_id = scope_tenant()
  and (
    :rule_id::text is null or r.rule_id = :rule_id
    or (r.rule_id is null and exists (
      select from case_results t
      where t.tenant_id = r.tenant_id and t.run_id = r.id and t.rule_id = :rule_id
    ))
  )
  and (:before_at::timestamptz is null or (r.at, r.id) < (:before_at, :before_id::uuid))
order by r.at desc, r.id desc
limit :limit;

-- name: run^
select id, at, actor, acting, rule_id, draft, case_count, passed_count, duration_ms, digest
from case_runs
where tenant_id = scope_tenant() and id = :id;

-- name: results
select case_id, case_name, rule_id, rule_version, text_hash, sample, expect, verdict, passed,
       explanation
from case_results
where tenant_id = scope_tenant() and run_id = :run_id
order by place;
