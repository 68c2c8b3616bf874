-- name: worker-make-incoming()#
-- Where a batch is copied to before it is merged. Made once per connection, emptied by commit.
create temporary table if not exists incoming_signals (
  round integer not null,
  tenant_id uuid not null,
  id bytea not null,
  revision bigint not null,
  rule_id text not null,
  rule_version integer not null,
  rule_name text not null,
  severity text not null,
  controls text[] not null,
  tags text[] not null,
  shadow boolean not null,
  verdict text not null,
  broken_clause text not null,
  incomplete boolean not null,
  reasons text[] not null,
  trace_id bytea,
  root_name text not null,
  root_service text not null,
  witness_span_ids bytea[] not null,
  span_count integer not null,
  first_span_ms bigint not null,
  last_span_ms bigint not null,
  closed_ms bigint not null,
  judged_ms bigint not null,
  log_partition integer not null,
  log_first_offset bigint not null,
  log_last_offset bigint not null,
  replaces_revision bigint,
  replaces_verdict text,
  correction_reason text,
  raised boolean not null,
  many jsonb,
  services text[] not null,
  group_values jsonb not null,
  group_fingerprint bytea
) on commit delete rows;
create temporary table if not exists incoming_folds (
  tenant_id uuid not null,
  rule_id text not null,
  rule_version integer not null,
  minute_ms bigint not null,
  lane integer not null,
  revision bigint not null,
  rule_name text not null,
  severity text not null,
  shadow boolean not null,
  raised bigint not null,
  renewed bigint not null,
  withdrawn bigint not null,
  first_ms bigint not null,
  last_ms bigint not null,
  example_trace_ids bytea[] not null
) on commit delete rows;
create temporary table if not exists incoming_stats (
  tenant_id uuid not null,
  minute_ms bigint not null,
  lane integer not null,
  revision bigint not null,
  counts jsonb not null,
  open_before bigint,
  open_spans bigint
) on commit delete rows;
create temporary table if not exists incoming_rule_stats (
  tenant_id uuid not null,
  rule_id text not null,
  rule_version integer not null,
  minute_ms bigint not null,
  lane integer not null,
  revision bigint not null,
  violated bigint not null,
  satisfied bigint not null,
  not_applicable bigint not null,
  inconclusive bigint not null,
  over_budget bigint not null,
  failed bigint not null
) on commit delete rows;
create temporary table if not exists incoming_letters (
  letter_partition integer not null,
  letter_offset bigint not null,
  tenant_id uuid,
  source text not null,
  code text not null,
  detail text not null,
  topic text not null,
  log_partition integer not null,
  log_offset bigint not null,
  content bytea not null,
  at_ms bigint not null
) on commit delete rows;

create temporary table if not exists incoming_spans (
  tenant_id uuid not null,
  trace_id bytea not null,
  ordinal integer not null,
  span_id bytea not null,
  parent_span_id bytea,
  name text not null,
  service text not null,
  kind text not null,
  status text not null,
  status_message text not null,
  start_ns numeric(20, 0) not null,
  end_ns numeric(20, 0) not null,
  attributes jsonb not null,
  resource jsonb not null,
  scope jsonb not null,
  events jsonb not null,
  links jsonb not null,
  dropped_attributes_count bigint not null
) on commit delete rows;

-- name: worker-copy-signals()!
copy incoming_signals (
  round, tenant_id, id, revision, rule_id, rule_version, rule_name, severity, controls, tags,
  shadow, verdict, broken_clause, incomplete, reasons, trace_id, root_name, root_service,
  witness_span_ids, span_count, first_span_ms, last_span_ms, closed_ms, judged_ms,
  log_partition, log_first_offset, log_last_offset,
  replaces_revision, replaces_verdict, correction_reason, raised,
  many, services, group_values, group_fingerprint
) from stdin;

-- name: worker-refuse-signals()
-- Takes out of the batch what may not be stored, and says why. A correction that takes back a
-- stored signal is let through even when its rule is off: leaving it would be a lie. What was judged
-- while a rule was off is refused even if it is on again by now: a worker that lags behind must not
-- let it in. That rule is off counts from five seconds after it was said on, as for the job.
with once_off as (
  select distinct v.tenant_id, v.rule_id
  from (select distinct tenant_id, rule_id from incoming_signals) i
  join rule_versions v on v.tenant_id = i.tenant_id and v.rule_id = i.rule_id
  where v.state = 'off'
),
judged as (
  select i.ctid as place,
    case
      when v.version is null then 'unknown_rule'
      when r.deleted_at is not null then 'rule_deleted'
      when r.state = 'off' then 'rule_off'
      when o.rule_id is not null and (
        select e.state
        from rule_versions e
        where e.tenant_id = i.tenant_id and e.rule_id = i.rule_id
          and e.created_at + interval '5 seconds'
            <= timestamptz 'epoch' + i.judged_ms * interval '1 millisecond'
        order by e.version desc
        limit 1
      ) = 'off' then 'rule_off'
    end as reason,
    i.verdict in ('satisfied', 'not_applicable') as takes_back
  from incoming_signals i
  left join rules r on r.tenant_id = i.tenant_id and r.id = i.rule_id
  left join rule_versions v on v.tenant_id = i.tenant_id and v.rule_id = i.rule_id
    and v.version = i.rule_version
  left join once_off o on o.tenant_id = i.tenant_id and o.rule_id = i.rule_id
),
refused as (
  delete from incoming_signals i using judged j
  where i.ctid = j.place and j.reason is not null
    and not (
      j.takes_back and j.reason <> 'unknown_rule'
      and exists (select from signals s where s.tenant_id = i.tenant_id and s.id = i.id)
    )
  returning j.reason
)
select reason, count(*) from refused group by reason;

-- name: worker-merge-signals(round, copied_at_once)
-- One round holds a signal at most once, so that each revision of a signal that a batch brings is
-- applied, and recorded in its history, in order. What was never violated does not enter the
-- list. Status is people's; the engine closes only what nobody has closed, and opens again only
-- what it closed itself. Signals without a trace want none copied, and bring their own groups.
-- What a rule with exceptions or a suppression window says is due for them, and alerts nobody until
-- they have been asked;
-- what a rule says while it is snoozed alerts nobody.
with snoozed as materialized (
  select z.tenant_id, z.rule_id, z.from_at, coalesce(z.ended_at, z.until_at) as until_at,
    jsonb_build_object(
      'where', '', 'reason', z.reason, 'owner', z.actor, 'snooze', z.id,
      'until', to_char(z.until_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    ) as told
  from (select distinct tenant_id, rule_id from incoming_signals where round = :round) i
  join rule_snoozes z on z.tenant_id = i.tenant_id and z.rule_id = i.rule_id
),
excusing as materialized (
  select distinct v.tenant_id, v.rule_id
  from (select distinct tenant_id, rule_id from incoming_signals where round = :round) i
  join rule_versions v on v.tenant_id = i.tenant_id and v.rule_id = i.rule_id
  where jsonb_array_length(coalesce(v.object -> 'exceptions', '[]')) > 0 or v.object ? 'suppress'
),
applied as (
  insert into signals as s (
    tenant_id, id, revision, rule_id, rule_version, rule_name, severity, controls, tags, shadow,
    verdict, broken_clause, incomplete, doubtful, reasons, trace_id, root_name, root_service,
    witness_span_ids, span_count, first_span_at, last_span_at, closed_at, judged_at,
    log_partition, log_first_offset, log_last_offset,
    replaces_revision, replaces_verdict, correction_reason,
    services, trace_state, occurred_at, raised, status, status_reason,
    many, group_values, group_fingerprint, exception, exception_due
  )
  select
    i.tenant_id, i.id, i.revision, i.rule_id, i.rule_version, i.rule_name, i.severity, i.controls,
    i.tags, i.shadow, i.verdict, i.broken_clause, i.incomplete,
    i.verdict = 'inconclusive', i.reasons, i.trace_id, i.root_name, i.root_service,
    i.witness_span_ids, i.span_count,
    timestamptz 'epoch' + i.first_span_ms * interval '1 millisecond',
    timestamptz 'epoch' + i.last_span_ms * interval '1 millisecond',
    timestamptz 'epoch' + nullif(i.closed_ms, 0) * interval '1 millisecond',
    timestamptz 'epoch' + i.judged_ms * interval '1 millisecond',
    i.log_partition, i.log_first_offset, i.log_last_offset,
    i.replaces_revision, i.replaces_verdict, i.correction_reason,
    i.services,
    case when i.raised and i.trace_id is not null then 'waiting' else 'none' end,
    timestamptz 'epoch' + i.judged_ms * interval '1 millisecond',
    i.raised,
    case when i.verdict in ('satisfied', 'not_applicable') then 'resolved' else 'open' end,
    case when i.verdict in ('satisfied', 'not_applicable')
      then case when i.correction_reason in ('seen_again', 'forgotten') then i.correction_reason
        else 'late_evidence' end
    end,
    i.many, i.group_values, i.group_fingerprint, z.told,
    case when x.rule_id is not null and i.verdict = 'violated' and z.told is null
      then exceptions_at(
        i.tenant_id, i.rule_id, timestamptz 'epoch' + i.judged_ms * interval '1 millisecond'
      ) <> '[]' or suppression_at(
        i.tenant_id, i.rule_id, timestamptz 'epoch' + i.judged_ms * interval '1 millisecond'
      ) is not null
      else false
    end
  from incoming_signals i
  left join excusing x on x.tenant_id = i.tenant_id and x.rule_id = i.rule_id
  left join lateral (
    select s.told from snoozed s
    where i.verdict = 'violated' and s.tenant_id = i.tenant_id and s.rule_id = i.rule_id
      and timestamptz 'epoch' + i.judged_ms * interval '1 millisecond' >= s.from_at
      and timestamptz 'epoch' + i.judged_ms * interval '1 millisecond' < s.until_at
    limit 1
  ) z on true
  where i.round = :round
    and (
      i.raised or i.replaces_revision is not null
      or exists (select from signals e where e.tenant_id = i.tenant_id and e.id = i.id)
    )
  order by i.tenant_id, i.id
  on conflict (tenant_id, id) do update set
    revision = excluded.revision,
    rule_name = excluded.rule_name,
    severity = excluded.severity,
    controls = excluded.controls,
    tags = excluded.tags,
    shadow = excluded.shadow,
    verdict = excluded.verdict,
    broken_clause = excluded.broken_clause,
    incomplete = excluded.incomplete,
    doubtful = excluded.doubtful,
    reasons = excluded.reasons,
    root_name = excluded.root_name,
    root_service = excluded.root_service,
    witness_span_ids = excluded.witness_span_ids,
    span_count = excluded.span_count,
    first_span_at = excluded.first_span_at,
    last_span_at = excluded.last_span_at,
    closed_at = excluded.closed_at,
    judged_at = excluded.judged_at,
    log_partition = excluded.log_partition,
    log_first_offset = excluded.log_first_offset,
    log_last_offset = excluded.log_last_offset,
    replaces_revision = excluded.replaces_revision,
    replaces_verdict = excluded.replaces_verdict,
    correction_reason = excluded.correction_reason,
    services = case when s.explained_revision is null then excluded.services else s.services end,
    trace_state = case when s.trace_state = 'none' then excluded.trace_state else s.trace_state end,
    explain_mismatch = false,
    occurred_at = excluded.occurred_at,
    raised = excluded.raised,
    many = excluded.many,
    group_values = case when excluded.many is null then s.group_values
      else excluded.group_values end,
    group_fingerprint = coalesce(excluded.group_fingerprint, s.group_fingerprint),
    exception_due = case when excluded.verdict = 'violated' then excluded.exception_due
      else s.exception_due end,
    exception = case when excluded.verdict = 'violated' and not excluded.exception_due
      then excluded.exception else s.exception end,
    status = case
      when excluded.status = 'resolved' and s.status in ('open', 'investigating') then 'resolved'
      when excluded.status = 'open' and s.status = 'resolved'
        and s.status_reason in ('late_evidence', 'seen_again', 'forgotten') then 'open'
      else s.status
    end,
    status_reason = case
      when excluded.status = 'resolved' and s.status in ('open', 'investigating')
        then excluded.status_reason
      when excluded.status = 'open' and s.status = 'resolved'
        and s.status_reason in ('late_evidence', 'seen_again', 'forgotten') then null
      else s.status_reason
    end,
    version = s.version + case
      when excluded.status = 'resolved' and s.status in ('open', 'investigating') then 1
      when excluded.status = 'open' and s.status = 'resolved'
        and s.status_reason in ('late_evidence', 'seen_again', 'forgotten') then 1
      else 0
    end
  where excluded.revision > s.revision
  returning s.tenant_id, s.id, s.rule_id, s.judged_at,
    s.raised and s.trace_id is not null as wants_trace, s.exception_due, s.xmax = 0 as is_new
),
wanted as (
  select a.tenant_id, a.id, a.rule_id, a.exception_due, date_trunc('hour', a.judged_at, 'UTC') as hour,
    row_number() over rule_hour as nth,
    count(*) over (
      partition by a.tenant_id, a.rule_id, date_trunc('hour', a.judged_at, 'UTC')
    ) as together
  from applied a
  where a.wants_trace
  window rule_hour as (
    partition by a.tenant_id, a.rule_id, date_trunc('hour', a.judged_at, 'UTC')
    order by a.judged_at, a.id
  )
),
budget as (
  insert into trace_budgets as b (tenant_id, rule_id, hour, taken)
  select w.tenant_id, w.rule_id, w.hour, count(*)
  from wanted w
  group by w.tenant_id, w.rule_id, w.hour
  order by w.tenant_id, w.rule_id, w.hour
  on conflict (tenant_id, rule_id, hour) do update set taken = b.taken + excluded.taken
  returning b.tenant_id, b.rule_id, b.hour, b.taken
),
tasks as (
  insert into trace_tasks as t (tenant_id, signal_id, urgency)
  select w.tenant_id, w.id,
    case when w.exception_due or b.taken - w.together + w.nth <= :copied_at_once then 1 else 2 end
  from wanted w join budget b using (tenant_id, rule_id, hour)
  order by w.tenant_id, w.id
  on conflict (tenant_id, signal_id) do update set
    urgency = least(t.urgency, excluded.urgency),
    due_at = least(t.due_at, excluded.due_at),
    attempts = 0,
    last_error = null
  returning t.urgency
)
select
  (select count(*) from applied where is_new) as inserted,
  (select count(*) from applied where not is_new) as updated,
  (select count(*) from tasks where urgency < 2) as urgent_tasks;

-- name: worker-keep-earlier-facts()!
-- A record that came after a later revision of its signal still tells two things.
with told as (
  select tenant_id, id, bool_or(raised) as raised,
    timestamptz 'epoch' + min(judged_ms) * interval '1 millisecond' as occurred_at
  from incoming_signals
  group by tenant_id, id
),
kept as (
  update signals s set
    raised = s.raised or t.raised,
    occurred_at = least(s.occurred_at, t.occurred_at),
    trace_state = case
      when t.raised and s.trace_state = 'none' and s.trace_id is not null then 'waiting'
      else s.trace_state
    end
  from told t
  where s.tenant_id = t.tenant_id and s.id = t.id
    and ((t.raised and not s.raised) or t.occurred_at < s.occurred_at)
  returning s.tenant_id, s.id, s.trace_state
)
insert into trace_tasks (tenant_id, signal_id, urgency)
select k.tenant_id, k.id, 2 from kept k where k.trace_state = 'waiting'
on conflict do nothing;

-- name: worker-copy-folds()!
copy incoming_folds (
  tenant_id, rule_id, rule_version, minute_ms, lane, revision, rule_name, severity, shadow,
  raised, renewed, withdrawn, first_ms, last_ms, example_trace_ids
) from stdin;

-- name: worker-refuse-folds()
-- Takes out of the batch what may not be stored, and says why. What a rule that is off had folded
-- stays as it was counted, its withdrawals too.
with judged as (
  select i.ctid as place,
    case
      when v.version is null then 'unknown_rule'
      when r.deleted_at is not null then 'rule_deleted'
      when r.state = 'off' then 'rule_off'
    end as reason
  from incoming_folds i
  left join rules r on r.tenant_id = i.tenant_id and r.id = i.rule_id
  left join rule_versions v on v.tenant_id = i.tenant_id and v.rule_id = i.rule_id
    and v.version = i.rule_version
),
refused as (
  delete from incoming_folds i using judged j
  where i.ctid = j.place and j.reason is not null
  returning j.reason
)
select reason, count(*) from refused group by reason;

-- name: worker-merge-folds()!
insert into signal_folds as f (
  tenant_id, rule_id, rule_version, minute, lane, revision, rule_name, severity, shadow,
  raised, renewed, withdrawn, first_at, last_at, example_trace_ids
)
select i.tenant_id, i.rule_id, i.rule_version,
  timestamptz 'epoch' + i.minute_ms * interval '1 millisecond', i.lane, i.revision, i.rule_name,
  i.severity, i.shadow, i.raised, i.renewed, i.withdrawn,
  timestamptz 'epoch' + nullif(i.first_ms, 0) * interval '1 millisecond',
  timestamptz 'epoch' + nullif(i.last_ms, 0) * interval '1 millisecond',
  i.example_trace_ids
from incoming_folds i
order by i.tenant_id, i.rule_id, i.minute_ms, i.rule_version, i.lane
on conflict (tenant_id, rule_id, minute, rule_version, lane) do update set
  revision = excluded.revision,
  rule_name = excluded.rule_name,
  severity = excluded.severity,
  shadow = excluded.shadow,
  raised = excluded.raised,
  renewed = excluded.renewed,
  withdrawn = excluded.withdrawn,
  first_at = excluded.first_at,
  last_at = excluded.last_at,
  example_trace_ids = excluded.example_trace_ids
where excluded.revision > f.revision;

-- name: worker-announce-tasks()
select pg_notify('trace_tasks', '');

-- name: worker-copy-stats()!
copy incoming_stats (
  tenant_id, minute_ms, lane, revision, counts, open_before, open_spans
) from stdin;

-- name: worker-copy-rule-stats()!
copy incoming_rule_stats (
  tenant_id, rule_id, rule_version, minute_ms, lane, revision,
  violated, satisfied, not_applicable, inconclusive, over_budget, failed
) from stdin;

-- name: worker-merge-stats()
-- Returns the counts of every row that was written, as they are and as they were before.
with incoming as (
  select i.*, timestamptz 'epoch' + i.minute_ms * interval '1 millisecond' as minute
  from incoming_stats i
  where exists (select from tenants t where t.id = i.tenant_id)
),
known as (
  select s.tenant_id, s.minute, s.lane, s.counts
  from stats_minutes s join incoming i using (tenant_id, minute, lane)
),
merged as (
  insert into stats_minutes as s (
    tenant_id, minute, lane, revision, counts, open_before, open_spans
  )
  select i.tenant_id, i.minute, i.lane, i.revision, i.counts, i.open_before, i.open_spans
  from incoming i
  order by i.tenant_id, i.minute, i.lane
  on conflict (tenant_id, minute, lane) do update set
    revision = excluded.revision,
    counts = excluded.counts,
    open_before = excluded.open_before,
    open_spans = excluded.open_spans
  where excluded.revision > s.revision
  returning s.tenant_id, s.minute, s.lane, s.counts
)
select m.counts as now, coalesce(k.counts, '{}') as before
from merged m left join known k using (tenant_id, minute, lane);

-- name: worker-merge-rule-stats()!
insert into rule_stats_minutes as s (
  tenant_id, rule_id, rule_version, minute, lane, revision,
  violated, satisfied, not_applicable, inconclusive, over_budget, failed
)
select i.tenant_id, i.rule_id, i.rule_version,
  timestamptz 'epoch' + i.minute_ms * interval '1 millisecond', i.lane, i.revision,
  i.violated, i.satisfied, i.not_applicable, i.inconclusive, i.over_budget, i.failed
from incoming_rule_stats i
where exists (select from tenants t where t.id = i.tenant_id)
order by i.tenant_id, i.rule_id, i.minute_ms, i.rule_version, i.lane
on conflict (tenant_id, rule_id, minute, rule_version, lane) do update set
  revision = excluded.revision,
  violated = excluded.violated,
  satisfied = excluded.satisfied,
  not_applicable = excluded.not_applicable,
  inconclusive = excluded.inconclusive,
  over_budget = excluded.over_budget,
  failed = excluded.failed
where excluded.revision > s.revision;

-- name: worker-note-over-budget(minutes, least_minutes, least_judgements, least_share)!
-- Rules of the batch whose current version was over its budget in so many of the last minutes of
-- event time, in so many judgements or in such a share of them. Of each version it is noted once.
with touched as (
  select tenant_id, rule_id, rule_version,
    timestamptz 'epoch' + max(minute_ms) * interval '1 millisecond' as until
  from incoming_rule_stats
  where over_budget > 0
  group by tenant_id, rule_id, rule_version
),
recent as (
  select t.tenant_id, t.rule_id, t.rule_version, t.until,
    sum(s.over_budget) as over_budget,
    sum(s.violated + s.satisfied + s.inconclusive) as judged,
    count(distinct s.minute) filter (where s.over_budget > 0) as minutes,
    min(s.minute) filter (where s.over_budget > 0) as since
  from touched t
  join rule_stats_minutes s
    on s.tenant_id = t.tenant_id and s.rule_id = t.rule_id and s.rule_version = t.rule_version
    and s.minute > t.until - :minutes * interval '1 minute' and s.minute <= t.until
  group by t.tenant_id, t.rule_id, t.rule_version, t.until
)
insert into notices (tenant_id, kind, rule_id, rule_version, figures)
select n.tenant_id, 'over_budget', n.rule_id, n.rule_version,
  jsonb_build_object(
    'over_budget', n.over_budget,
    'judged', n.judged,
    'minutes', n.minutes,
    'since', n.since,
    'until', n.until + interval '1 minute'
  )
from recent n
join rules r
  on r.tenant_id = n.tenant_id and r.id = n.rule_id and r.current_version = n.rule_version
where r.state in ('active', 'shadow')
  and n.minutes >= :least_minutes
  and (n.over_budget > :least_judgements or n.over_budget > :least_share * n.judged)
on conflict do nothing;

-- name: worker-copy-letters()!
copy incoming_letters (
  letter_partition, letter_offset, tenant_id, source, code, detail, topic, log_partition,
  log_offset, content, at_ms
) from stdin;

-- name: worker-merge-letters()!
-- A letter about a tenant that is not known is kept for the operator alone, one about a tenant that
-- was deleted not at all.
insert into dead_letters (
  letter_partition, letter_offset, tenant_id, source, code, detail, topic, log_partition,
  log_offset, content, at
)
select i.letter_partition, i.letter_offset, t.id, i.source, i.code, i.detail, i.topic,
  i.log_partition, i.log_offset, i.content,
  timestamptz 'epoch' + i.at_ms * interval '1 millisecond'
from incoming_letters i left join tenants t on t.id = i.tenant_id
where not exists (select from deletion_proofs d where d.tenant_id = i.tenant_id)
order by i.letter_partition, i.letter_offset
on conflict do nothing;

-- name: worker-claim-tasks(lease_s, least_urgent, limit)
-- The next tasks, put off for the length of a lease: a worker that dies with them gives them back.
-- Nothing stays locked meanwhile, so the intake may renew a task that is being worked on.
update trace_tasks t set due_at = now() + :lease_s * interval '1 second'
from (
  select n.tenant_id, n.signal_id
  from trace_tasks n
  where n.due_at <= now() and n.urgency <= :least_urgent
  order by n.urgency, n.due_at
  limit :limit
  for update skip locked
) n
where t.tenant_id = n.tenant_id and t.signal_id = n.signal_id
returning t.tenant_id, t.signal_id, t.urgency, t.attempts, t.refreshed;

-- name: worker-wanted-traces(tenant_ids, signal_ids)
-- Everything to know about the claimed signals, and the widest range of the log in which any
-- signal or an earlier copy of the same trace saw spans.
select s.tenant_id, s.id as signal_id, s.trace_id, s.revision, s.rule_id, s.rule_version,
  coalesce(v.judged, v.text) as rule_text, coalesce(v.object -> 'group_by', '[]') as group_by,
  s.verdict, s.reasons, s.incomplete, s.closed_at is not null as closed,
  s.first_span_at, s.last_span_at, s.closed_at,
  s.log_partition, s.log_first_offset, s.log_last_offset, s.judged_at,
  case when s.verdict = 'violated' then exceptions_at(s.tenant_id, s.rule_id, s.judged_at) end
    as exceptions,
  s.exception_due,
  least(c.log_first_offset, o.first_offset) as wide_first_offset,
  greatest(c.log_last_offset, o.last_offset) as wide_last_offset,
  coalesce(c.whole, false) as has_whole_copy,
  coalesce((t.settings ->> 'clock_skew_ms')::bigint, 0) as clock_skew_ms,
  coalesce((t.settings ->> 'external_roots')::boolean, false) as external_roots
from unnest(:tenant_ids::uuid[], :signal_ids::bytea[]) as w (tenant_id, signal_id)
join signals s on s.tenant_id = w.tenant_id and s.id = w.signal_id
join tenants t on t.id = s.tenant_id
join rule_versions v on v.tenant_id = s.tenant_id and v.rule_id = s.rule_id
  and v.version = s.rule_version
left join trace_copies c on c.tenant_id = s.tenant_id and c.trace_id = s.trace_id
cross join lateral (
  select min(e.log_first_offset) as first_offset, max(e.log_last_offset) as last_offset
  from signals e
  where e.tenant_id = s.tenant_id and e.trace_id = s.trace_id
) o;

-- name: worker-lock-trace(tenant_id, trace_id)
-- One writer per trace: two replicas may hold two signals of one trace.
select pg_advisory_xact_lock(hashtextextended(:tenant_id || encode(:trace_id, 'hex'), 0));

-- name: worker-store-copy(tenant_id, trace_id, root_name, root_service, services, span_count, whole, first_span_at, last_span_at, log_partition, log_first_offset, log_last_offset, sampled)!
insert into trace_copies as c (
  tenant_id, trace_id, root_name, root_service, services, span_count, whole,
  first_span_at, last_span_at, log_partition, log_first_offset, log_last_offset, sampled
) values (
  :tenant_id, :trace_id, :root_name, :root_service, :services, :span_count,
  :whole, :first_span_at, :last_span_at,
  :log_partition, :log_first_offset, :log_last_offset, :sampled
)
on conflict (tenant_id, trace_id) do update set
  root_name = excluded.root_name,
  root_service = excluded.root_service,
  services = excluded.services,
  span_count = excluded.span_count,
  whole = excluded.whole,
  first_span_at = excluded.first_span_at,
  last_span_at = excluded.last_span_at,
  log_partition = excluded.log_partition,
  log_first_offset = excluded.log_first_offset,
  log_last_offset = excluded.log_last_offset,
  copied_at = now()
where excluded.whole or not c.whole;

-- name: worker-drop-spans(tenant_id, trace_id)!
delete from trace_spans where tenant_id = :tenant_id and trace_id = :trace_id;

-- name: worker-copy-spans()!
-- Into a temporary table first: COPY does not go with row-level security.
copy incoming_spans (
  tenant_id, trace_id, ordinal, span_id, parent_span_id, name, service, kind, status,
  status_message, start_ns, end_ns, attributes, resource, scope, events, links,
  dropped_attributes_count
) from stdin;

-- name: worker-store-spans()!
insert into trace_spans (
  tenant_id, trace_id, ordinal, span_id, parent_span_id, name, service, kind, status,
  status_message, start_ns, end_ns, attributes, resource, scope, events, links,
  dropped_attributes_count
)
select tenant_id, trace_id, ordinal, span_id, parent_span_id, name, service, kind, status,
  status_message, start_ns, end_ns, attributes, resource, scope, events, links,
  dropped_attributes_count
from incoming_spans;

-- name: worker-index-trace(tenant_id, trace_id)
-- So that the copy is found by what it holds.
select index_trace(:tenant_id::uuid, :trace_id);

-- name: worker-finish-signal(trace_state, trace_problem, explanation, revision, explain_mismatch, services, root_name, root_service, group_values, group_fingerprint, exception, tenant_id, signal_id)!
-- Only if the signal is still at the revision that was explained; a newer one has its own task.
update signals set
  trace_state = :trace_state,
  trace_problem = :trace_problem,
  explained_revision = case when :explanation::jsonb is null then explained_revision
    else :revision end,
  explanation = coalesce(:explanation::jsonb, explanation),
  explain_mismatch = :explain_mismatch,
  services = case when :services::text[] = '{}' then services else :services end,
  -- A signal raised at once may be older than the root; the copy knows it.
  root_name = coalesce(nullif(root_name, ''), :root_name),
  root_service = coalesce(nullif(root_service, ''), :root_service),
  group_values = :group_values::jsonb,
  group_fingerprint = :group_fingerprint,
  -- Nothing is taken back by a later copy: another revision is asked about anew.
  exception = coalesce(:exception::jsonb, case when exception_due then null else exception end),
  exception_due = false
where tenant_id = :tenant_id and id = :signal_id and revision = :revision;

-- name: worker-repeated(tenant_id, signal_id, revision, group_fingerprint)^
-- The signal that a signal which is due repeats: one of its group that alerts, waits for people and
-- was judged within the suppression window of its rule, before it or after it.
select encode(o.id, 'hex') as id, w.suppress
from signals s
cross join lateral (
  select suppression_at(s.tenant_id, s.rule_id, s.judged_at) as suppress
) w
cross join lateral (
  select f.id
  from signals f
  where f.tenant_id = s.tenant_id and f.rule_id = s.rule_id and f.id <> s.id and f.raised
    and f.group_fingerprint = :group_fingerprint and f.alerts and f.verdict = 'violated'
    and f.status in ('open', 'investigating')
    and f.judged_at > s.judged_at - w.suppress and f.judged_at < s.judged_at + w.suppress
  order by f.occurred_at, f.id
  limit 1
) o
where s.tenant_id = :tenant_id and s.id = :signal_id and s.revision = :revision
  and s.exception_due and w.suppress is not null;

-- name: worker-alert-heirs()!
-- What repeats a signal that has just been withdrawn is not silent because of it any more: the first
-- of them that is violated still alerts, and the others repeat that one.
with ended as (
  select distinct s.tenant_id, encode(s.id, 'hex') as id
  from incoming_signals i
  join signals s on s.tenant_id = i.tenant_id and s.id = i.id
  where i.verdict in ('satisfied', 'not_applicable')
    and s.verdict in ('satisfied', 'not_applicable')
),
heirs as materialized (
  select distinct on (r.tenant_id, e.id) r.tenant_id, r.id, e.id as repeated
  from ended e
  join signals r on r.tenant_id = e.tenant_id and r.exception ->> 'repeats' = e.id
  where r.verdict = 'violated'
  order by r.tenant_id, e.id, r.occurred_at, r.id
),
alerting as (
  update signals s set exception = null
  from heirs h
  where s.tenant_id = h.tenant_id and s.id = h.id
)
update signals s
set exception = jsonb_set(s.exception, '{repeats}', to_jsonb(encode(h.id, 'hex')))
from heirs h
where s.tenant_id = h.tenant_id and s.exception ->> 'repeats' = h.repeated and s.id <> h.id;

-- name: worker-due-of-many(tenant_ids, signal_ids)
-- Of these signals those of rules over many traces that wait for their exceptions.
select s.tenant_id, s.id as signal_id, s.revision, s.judged_at, s.group_values,
  s.group_fingerprint, exceptions_at(s.tenant_id, s.rule_id, s.judged_at) as exceptions
from unnest(:tenant_ids::uuid[], :signal_ids::bytea[]) as w (tenant_id, signal_id)
join signals s on s.tenant_id = w.tenant_id and s.id = w.signal_id
where s.exception_due and s.many is not null;

-- name: worker-decide-exception(exception, revision, tenant_id, signal_id)!
update signals set exception = :exception::jsonb, exception_due = false
where tenant_id = :tenant_id and id = :signal_id and revision = :revision and exception_due;

-- name: worker-alert-undecided(patience_s)!
-- What has waited for too long alerts: a trace that nobody can read must not silence anything.
update signals set exception = null, exception_due = false
where exception_due and updated_at < now() - :patience_s * interval '1 second';

-- name: worker-drop-tasks(tenant_ids, signal_ids)!
delete from trace_tasks t
using unnest(:tenant_ids::uuid[], :signal_ids::bytea[]) as w (tenant_id, signal_id)
where t.tenant_id = w.tenant_id and t.signal_id = w.signal_id;

-- name: worker-put-off-task(delay_s, attempts, refreshed, last_error, tenant_id, signal_id)!
update trace_tasks set
  due_at = now() + :delay_s * interval '1 second',
  attempts = attempts + :attempts,
  refreshed = refreshed + :refreshed,
  last_error = :last_error
where tenant_id = :tenant_id and signal_id = :signal_id;

-- name: worker-backlog()
select urgency, count(*) from trace_tasks where due_at <= now() group by urgency;

-- name: worker-forget-budgets()!
delete from trace_budgets where hour < now() - interval '2 days';

-- name: worker-note-read-everywhere(offset)!
-- Records of the rules log before an offset have been read by every subtask of the job.
update rules_outbox set read_everywhere_at = now()
where published_at is not null and read_everywhere_at is null and log_offset < :offset;

-- name: worker-report-part(part, alarms)!
-- What is wrong with a part of the installation, as far as this worker sees it.
insert into part_reports (part, alarms, reported_at)
values (:part, :alarms, now())
on conflict on constraint part_reports_pkey
do update set alarms = excluded.alarms, reported_at = excluded.reported_at;

-- name: worker-settle-signal-sums(most)^
-- Put rows of one cell of the sums of signals together.
select settle_signal_sums(:most) as taken;

-- name: worker-begin-sampling(period_s)^
-- One worker at a time looks for ordinary traces.
update sampling_rounds set next_at = now() + :period_s * interval '1 second'
where id = 1 and next_at <= now()
returning next_at;

-- name: worker-sampling-budgets(tenant_ids, per_hour)
-- How many ordinary traces of tenants may still be stored in this hour. What is suspended or to be
-- deleted has none, nor what is no tenant: anything may stand in a record of Kafka.
select t.id as tenant_id, :per_hour - (
  select count(*) from trace_copies c
  where c.tenant_id = t.id and c.sampled and c.copied_at > now() - interval '1 hour'
) as left_over
from tenants t
where t.id::text = any(:tenant_ids) and t.suspended_at is null and t.delete_after is null;

-- name: worker-copied-traces(tenant_id, trace_ids)
select trace_id from trace_copies where tenant_id = :tenant_id and trace_id = any(:trace_ids);
