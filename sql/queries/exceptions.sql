-- name: violations
-- Violations of a rule, newest first, with the text that each was judged by and the size of the copy
-- of its trace. signal_id: that one alone, whatever is said of it now.
select s.id, s.rule_id, s.rule_name, s.root_name, s.trace_id, s.verdict, s.status, s.disposition,
       s.version, s.occurred_at, s.closed_at is not null as closed, s.many is not null as of_many,
       s.group_values, coalesce(v.judged, v.text) as rule_text, c.span_count
from signals s
join rule_versions v
  on v.tenant_id = s.tenant_id and v.rule_id = s.rule_id and v.version = s.rule_version
left join trace_copies c on c.tenant_id = s.tenant_id and c.trace_id = s.trace_id
where s.tenant_id = scope_tenant() and s.raised
  and (:signal_id::bytea is null or s.id = :signal_id)
  and (:rule_id::text is null or s.rule_id = :rule_id)
  and (:since::timestamptz is null or (s.occurred_at >= :since and s.verdict = 'violated'))
order by s.occurred_at desc, s.id desc
limit :limit;
