-- name: page
-- Newest first. Without a verdict asked for: what was ever violated. shown: alerts, shadow, excepted
-- or all. One value of a filter stands by itself, so that an index gives the order; several are a
-- list.
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, s.disposition, s.until_regression,
       s.group_fingerprint, u.email as assignee
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
  and (:rule_ids::text[] is null or s.rule_id = any(:rule_ids))
  and (:status::text is null or s.status = :status)
  and (:statuses::text[] is null or s.status = any(:statuses))
  and (:severity::text is null or s.severity = :severity)
  and (:severities::text[] is null or s.severity = any(:severities))
  and (:assignee_ids::uuid[] is null or s.assignee_id = any(:assignee_ids)
       or (:nobody and s.assignee_id is null))
  and (:tags::text[] is null or s.tags && :tags)
  and (:group_ids::bytea[] is null or s.group_fingerprint = any(:group_ids)
       or (:ungrouped and s.group_fingerprint is null and s.rule_id = any(:ungrouped_rules)))
  and (:trace_id::bytea is null or s.trace_id = :trace_id)
  and (:service::text is null or s.root_service = :service or :service = any(s.services))
  and (:from_at::timestamptz is null or s.occurred_at >= :from_at)
  and (:to_at::timestamptz is null or s.occurred_at < :to_at)
  and (:place_at::timestamptz is null or (s.occurred_at, s.id) < (:place_at, :place_id))
order by s.occurred_at desc, s.id desc
limit :limit;

-- name: page_oldest
-- As `page`, oldest first.
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, s.disposition, s.until_regression,
       s.group_fingerprint, u.email as assignee
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
  and (:rule_ids::text[] is null or s.rule_id = any(:rule_ids))
  and (:status::text is null or s.status = :status)
  and (:statuses::text[] is null or s.status = any(:statuses))
  and (:severity::text is null or s.severity = :severity)
  and (:severities::text[] is null or s.severity = any(:severities))
  and (:assignee_ids::uuid[] is null or s.assignee_id = any(:assignee_ids)
       or (:nobody and s.assignee_id is null))
  and (:tags::text[] is null or s.tags && :tags)
  and (:group_ids::bytea[] is null or s.group_fingerprint = any(:group_ids)
       or (:ungrouped and s.group_fingerprint is null and s.rule_id = any(:ungrouped_rules)))
  and (:trace_id::bytea is null or s.trace_id = :trace_id)
  and (:service::text is null or s.root_service = :service or :service = any(s.services))
  and (:from_at::timestamptz is null or s.occurred_at >= :from_at)
  and (:to_at::timestamptz is null or s.occurred_at < :to_at)
  and (:place_at::timestamptz is null or (s.occurred_at, s.id) > (:place_at, :place_id))
order by s.occurred_at, s.id
limit :limit;

-- name: by_ids
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, s.disposition, s.until_regression,
       s.group_fingerprint, u.email as assignee
from signals s
left join users u on u.id = s.assignee_id
where s.tenant_id = scope_tenant() and s.id = any(:ids) and s.raised;

-- name: detail^
select s.id, s.revision, s.rule_id, s.rule_version, s.rule_name, s.severity, s.controls, s.tags,
       s.shadow, s.verdict, s.broken_clause, s.incomplete, s.doubtful, s.reasons, s.trace_id, s.many,
       s.root_name, s.root_service, s.services, s.span_count, s.first_span_at, s.last_span_at,
       s.closed_at, s.judged_at, s.occurred_at, s.correction_reason, s.status, s.status_reason,
       s.version, s.updated_at, s.exception, s.exception_due, s.disposition, s.until_regression,
       u.email as assignee,
       s.witness_span_ids, s.explanation, s.explain_mismatch, s.explained_revision, s.trace_state,
       s.trace_problem, s.group_fingerprint, s.group_values,
       coalesce(v.judged, v.text) as rule_text
from signals s
join rule_versions v
  on v.tenant_id = s.tenant_id and v.rule_id = s.rule_id and v.version = s.rule_version
left join users u on u.id = s.assignee_id
where s.tenant_id = scope_tenant() and s.id = :id;

-- name: lock^
select status, status_reason, assignee_id, disposition, until_regression, version
from signals
where tenant_id = scope_tenant() and id = :id
for update;

-- name: change!
update signals
set status = :status, status_reason = :status_reason, assignee_id = :assignee_id,
    disposition = :disposition, until_regression = :until_regression, version = version + 1
where tenant_id = scope_tenant() and id = :id;

-- name: lock_many
select id, status, status_reason, assignee_id, disposition, until_regression, version
from signals
where tenant_id = scope_tenant() and id = any(:ids) and raised
order by id
for update;

-- name: change_many!
-- status, disposition: null keeps what there is.
update signals
set status = coalesce(:status, status),
    status_reason = case when :status::text is null or status = :status then status_reason
      else :reason end,
    disposition = case when :status::text is null then disposition else :disposition end,
    until_regression = case when :status::text is null then until_regression
      else :until_regression end,
    assignee_id = case when :assigns then :assignee_id else assignee_id end,
    version = version + 1
where tenant_id = scope_tenant() and id = any(:ids);

-- name: versions
select id, version from signals where tenant_id = scope_tenant() and id = any(:ids);

-- name: keep_bulk_change!
insert into signal_bulk_changes (tenant_id, id, actor, what, items)
values (scope_tenant(), :id, :actor, :what, :items);

-- name: bulk_change^
select id, actor, at, what, undone_at, undone_by, jsonb_array_length(items) as changed_count
from signal_bulk_changes
where tenant_id = scope_tenant() and id = :id;

-- name: lock_bulk_change^
select id, what, undone_at, jsonb_array_length(items) as changed_count
from signal_bulk_changes
where tenant_id = scope_tenant() and id = :id
for update;

-- name: take_back
-- Those that nobody has changed since. Who is no member any more gets nothing back.
with items as (
  select decode(i.id, 'hex') as id, i.status, i.status_reason, i.disposition, i.until_regression,
    i.version,
    (select m.user_id from memberships m
     where m.tenant_id = scope_tenant() and m.user_id = i.assignee_id) as assignee_id
  from signal_bulk_changes b
  cross join jsonb_to_recordset(b.items) as i (
    id text, status text, status_reason text, disposition text, until_regression boolean,
    assignee_id uuid, version integer
  )
  where b.tenant_id = scope_tenant() and b.id = :id
)
update signals s
set status = i.status, status_reason = i.status_reason, disposition = i.disposition,
    until_regression = i.until_regression, assignee_id = i.assignee_id, version = s.version + 1
from items i
where s.tenant_id = scope_tenant() and s.id = i.id and s.version = i.version
returning s.id;

-- name: note_undone!
update signal_bulk_changes
set undone_at = now(), undone_by = :actor, what = what || jsonb_build_object('restored', :restored::int)
where tenant_id = scope_tenant() and id = :id;

-- name: forget_bulk_changes!
delete from signal_bulk_changes where at < now() - interval '1 day';

-- name: users_by_email
select u.id, u.email
from users u
join memberships m on m.user_id = u.id and m.tenant_id = scope_tenant()
where u.email = any(:emails);

-- name: member_by_email$
select u.id
from users u
join memberships m on m.user_id = u.id and m.tenant_id = scope_tenant()
where u.email = :email;

-- name: history
select h.at, h.actor, h.acting, h.change, h.from_status, h.to_status, h.from_verdict, h.to_verdict,
       u.email as assignee, h.reason, h.version, h.revision, h.disposition, h.until_regression,
       encode(h.other_id, 'hex') as other_id
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

-- name: what_for_rows^
-- What a drawing of a signal's trace needs of it.
select s.trace_id, s.explanation, v.text as rule_text
from signals s
join rule_versions v
  on v.tenant_id = s.tenant_id and v.rule_id = s.rule_id and v.version = s.rule_version
where s.tenant_id = scope_tenant() and s.id = :id;

-- name: assignable
-- People who belong to the tenant, for the field of an assignee.
select u.email, u.name
from memberships m
join users u on u.id = m.user_id
where m.tenant_id = scope_tenant() and u.disabled_at is null
  and (m.expires_at is null or m.expires_at > now())
order by u.email
limit :limit;

-- name: related
-- Raised signals that have something to do with one, each kind newest first and by itself limited.
-- how: linked, trace or group.
with one as (
  select id, trace_id, group_fingerprint from signals
  where tenant_id = scope_tenant() and id = :id
),
linked as (
  select case when l.signal_id = :id then l.other_id else l.signal_id end as id
  from signal_links l
  where l.tenant_id = scope_tenant() and (l.signal_id = :id or l.other_id = :id)
),
found as (
  (select s.id, 'linked' as how, s.occurred_at
   from linked k join signals s on s.tenant_id = scope_tenant() and s.id = k.id
   order by s.occurred_at desc, s.id desc limit :limit)
  union all
  (select s.id, 'trace', s.occurred_at
   from one o join signals s on s.tenant_id = scope_tenant() and s.trace_id = o.trace_id
   where s.raised and s.id <> o.id
   order by s.occurred_at desc, s.id desc limit :limit)
  union all
  (select s.id, 'group', s.occurred_at
   from one o
   join signals s
     on s.tenant_id = scope_tenant() and s.group_fingerprint = o.group_fingerprint
   where s.raised and s.group_fingerprint is not null and s.id <> o.id
   order by s.occurred_at desc, s.id desc limit :limit)
)
select id, how from found order by how, occurred_at desc, id desc;

-- name: group_figures^
-- How often its like was raised, and when first and last; at most :most are counted.
select count(*) as signal_count, min(occurred_at) as first_at, max(occurred_at) as last_at
from (
  select g.occurred_at
  from signals o
  join signals g on g.tenant_id = o.tenant_id and g.group_fingerprint = o.group_fingerprint
  where o.tenant_id = scope_tenant() and o.id = :id and g.raised
    and g.group_fingerprint is not null
  order by g.occurred_at desc
  limit :most
) counted;

-- name: link!
insert into signal_links (tenant_id, signal_id, other_id, linked_by)
values (scope_tenant(), least(:one::bytea, :other), greatest(:one::bytea, :other), :actor)
on conflict on constraint signal_links_pkey do nothing;

-- name: unlink!
delete from signal_links
where tenant_id = scope_tenant() and signal_id = least(:one::bytea, :other)
  and other_id = greatest(:one::bytea, :other);

-- name: note_link!
-- On the histories of both.
insert into signal_history (tenant_id, signal_id, version, revision, actor, change, other_id)
select s.tenant_id, s.id, s.version, s.revision, :actor, :change,
  case when s.id = :one then :other::bytea else :one::bytea end
from signals s
where s.tenant_id = scope_tenant() and s.id in (:one, :other);

-- name: notes
select id, encode(signal_id, 'hex') as signal_id, text, encode(text_hash, 'hex') as text_hash,
  author, acting, version, created_at, changed_at, removed_at, removed_by
from signal_notes
where tenant_id = scope_tenant() and signal_id = :signal_id
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: note^
select id, encode(signal_id, 'hex') as signal_id, text, encode(text_hash, 'hex') as text_hash,
  author, acting, version, created_at, changed_at, removed_at, removed_by
from signal_notes
where tenant_id = scope_tenant() and signal_id = :signal_id and id = :id;

-- name: lock_note^
select author, version, removed_at from signal_notes
where tenant_id = scope_tenant() and signal_id = :signal_id and id = :id
for update;

-- name: add_note!
insert into signal_notes (tenant_id, id, signal_id, text, text_hash, author)
values (scope_tenant(), :id, :signal_id, :text, :text_hash, :author);

-- name: change_note!
update signal_notes
set text = :text, text_hash = :text_hash, version = version + 1, changed_at = clock_timestamp()
where tenant_id = scope_tenant() and id = :id;

-- name: remove_note!
update signal_notes
set text = '', removed_at = clock_timestamp(), removed_by = :actor, version = version + 1
where tenant_id = scope_tenant() and id = :id;

-- name: alike_traces
-- Copies of traces with the same root as a signal's, newest first, that its rule raised nothing of.
select c.trace_id
from signals s
join trace_copies c
  on c.tenant_id = s.tenant_id and c.root_service = s.root_service and c.root_name = s.root_name
where s.tenant_id = scope_tenant() and s.id = :id and s.trace_id is not null
  and s.root_name <> '' and c.trace_id <> s.trace_id and c.whole and c.span_count <= :spans_max
  and not exists (
    select from signals o
    where o.tenant_id = c.tenant_id and o.trace_id = c.trace_id and o.rule_id = s.rule_id
      and o.verdict in ('violated', 'inconclusive')
  )
order by c.first_span_at desc
limit :limit;

-- name: version_of$
select version from signals where tenant_id = scope_tenant() and id = :id;
