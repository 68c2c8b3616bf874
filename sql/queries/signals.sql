-- name: page
-- Newest first. Without a verdict asked for: what was ever violated. shown: alerts, shadow, excepted
-- or all.
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, u.email as assignee
from signals s
left join users u on u.id = s.assignee_id
where s.tenant_id = scope_tenant()
  and (case when :verdicts::text[] is null then s.raised else s.verdict = any(:verdicts) end)
  and case :shown
    when 'alerts' then s.alerts
    when 'shadow' then s.shadow
    when 'excepted' then s.exception is not null
    else true
  end
  and (:rule_id::text is null or s.rule_id = :rule_id)
  and (:statuses::text[] is null or s.status = any(:statuses))
  and (:severities::text[] is null or s.severity = any(:severities))
  and (:trace_id::bytea is null or s.trace_id = :trace_id)
  and (:service::text is null or s.root_service = :service or :service = any(s.services))
  and (:from_at::timestamptz is null or s.occurred_at >= :from_at)
  and (:to_at::timestamptz is null or s.occurred_at < :to_at)
  and (:before_at::timestamptz is null or (s.occurred_at, s.id) < (:before_at, :before_id))
order by s.occurred_at desc, s.id desc
limit :limit;

-- name: by_ids
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, u.email as assignee
from signals s
left join users u on u.id = s.assignee_id
where s.tenant_id = scope_tenant() and s.id = any(:ids) and s.raised;

-- name: detail^
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, u.email as assignee,
       s.witness_span_ids, s.explanation, s.explain_mismatch, s.explained_revision, s.trace_state,
       s.trace_problem, coalesce(v.judged, v.text) as rule_text
from signals s
join rule_versions v
  on v.tenant_id = s.tenant_id and v.rule_id = s.rule_id and v.version = s.rule_version
left join users u on u.id = s.assignee_id
where s.tenant_id = scope_tenant() and s.id = :id;

-- name: lock^
select status, status_reason, assignee_id, version
from signals
where tenant_id = scope_tenant() and id = :id
for update;

-- name: change!
update signals
set status = :status, status_reason = :status_reason, assignee_id = :assignee_id,
    version = version + 1
where tenant_id = scope_tenant() and id = :id;

-- name: member_by_email$
select u.id
from users u
join memberships m on m.user_id = u.id and m.tenant_id = scope_tenant()
where u.email = :email;

-- name: history
select h.at, h.actor, h.acting, h.change, h.from_status, h.to_status, h.from_verdict, h.to_verdict,
       u.email as assignee, h.reason, h.version, h.revision
from signal_history h
left join users u on u.id = h.assignee_id
where h.tenant_id = scope_tenant() and h.signal_id = :id
order by h.seq;

-- name: count_by_status
-- Of what alerts: shadow rules and exceptions are no work for people.
select status, count(*) as signal_count
from signals
where tenant_id = scope_tenant() and raised and alerts
group by status;

-- name: ask_for_trace!
-- Opening a signal puts the copy of its trace first in the worker's queue.
insert into trace_tasks (tenant_id, signal_id, urgency)
select tenant_id, id, 0
from signals
where tenant_id = scope_tenant() and id = :id and trace_id is not null
  and trace_state in ('none', 'waiting')
on conflict on constraint trace_tasks_pkey
do update set urgency = 0, due_at = least(trace_tasks.due_at, now())
where trace_tasks.urgency <> 0;

-- name: count_of_rule^
-- What a rule raised in the last day and week of event time: alerts, and what was kept silent.
select
  count(*) filter (where alerts and occurred_at >= :day_ago) as alerts_day,
  count(*) filter (where alerts) as alerts_week,
  count(*) filter (where shadow and occurred_at >= :day_ago) as shadow_day,
  count(*) filter (where shadow) as shadow_week,
  count(*) filter (where exception is not null and occurred_at >= :day_ago) as excepted_day,
  count(*) filter (where exception is not null) as excepted_week
from signals
where tenant_id = scope_tenant() and rule_id = :rule_id and raised and occurred_at >= :week_ago;
