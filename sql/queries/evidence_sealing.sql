-- What the worker does to seal evidence. Statements about one tenant run in a transaction of it.

-- name: sealing-offer(tenants, kinds, ids, times, controls, outcomes, rules, versions, traces, policies, heads, payloads, salts, counts)!
-- Controls of an offer come as one text, with spaces between: none has one.
insert into evidence_inbox (
  tenant_id, kind, id, time_ms, controls, outcome, rule_id, rule_version, trace_id, policy, head,
  payload, salt, counts
)
select o.tenant_id, o.kind, o.id, o.time_ms, string_to_array(o.controls, ' '), o.outcome, o.rule_id,
  o.rule_version, o.trace_id, o.policy, o.head, o.payload, o.salt, o.counts
from unnest(
  :tenants::uuid[], :kinds::text[], :ids::text[], :times::bigint[], :controls::text[],
  :outcomes::text[], :rules::text[], :versions::integer[], :traces::bytea[], :policies::integer[],
  :heads::bytea[], :payloads::text[], :salts::bytea[], :counts::jsonb[]
) with ordinality as o (
  tenant_id, kind, id, time_ms, controls, outcome, rule_id, rule_version, trace_id, policy, head,
  payload, salt, counts, place
)
where o.tenant_id = any (array(select tenants_there(:tenants::uuid[])))
  and not exists (
    select from evidence_records r
    where r.tenant_id = o.tenant_id and r.kind = o.kind and r.id = o.id collate "C"
  )
order by o.place;

-- name: sealing-waiting()
-- Tenants for which something is to be sealed, found by going from one to the next.
with recursive waiting as (
  (select tenant_id from evidence_inbox order by tenant_id limit 1)
  union all
  select (
    select i.tenant_id from evidence_inbox i
    where i.tenant_id > w.tenant_id order by i.tenant_id limit 1
  )
  from waiting w
  where w.tenant_id is not null
)
select tenant_id from waiting where tenant_id is not null;

-- name: sealing-logs()
-- Logs, and what the newest checkpoint of each is of that counts: whose key was not revoked at a
-- smaller size.
select l.tenant_id, l.size, l.sealed_ms, coalesce(c.size, 0) as signed_size,
  coalesce(c.time_ms, 0) as signed_ms
from evidence_logs l
join tenants t on t.id = l.tenant_id and t.purge_began_at is null
left join lateral (
  select c.size, c.time_ms from evidence_checkpoints c
  where c.tenant_id = l.tenant_id
    and not exists (
      select from evidence_records r
      where r.tenant_id = c.tenant_id and r.kind = 'key'
        and r.id >= 'revoked:' and r.id < 'revoked;'
        and starts_with(r.id, 'revoked:' || c.key_id || ':')
        and c.size > substring(r.id from ':([0-9]{1,18})$')::bigint
    )
  order by c.number desc limit 1
) c on true;

-- name: sealing-tenants()
select id from tenants where purge_began_at is null order by id;

-- name: sealing-take-turn(tenant_id)$
-- One sealer a tenant at a time, until the transaction ends.
select pg_try_advisory_xact_lock(hashtext('evidence'), hashtext(:tenant_id::text));

-- name: sealing-create(tenant_id, origin)!
insert into evidence_logs (tenant_id, origin)
select t.id, :origin from tenants_there(array[:tenant_id::uuid]) as t (id)
on conflict (tenant_id) do nothing;

-- name: sealing-lock(tenant_id)^
select origin, size, root, edge, sealed_ms from evidence_logs where tenant_id = :tenant_id for update;

-- name: sealing-log(tenant_id)^
select origin, size, root, edge, sealed_ms from evidence_logs where tenant_id = :tenant_id;

-- name: sealing-work-mem()!
-- A batch is held in memory rather than in files.
set local work_mem = '64MB';

-- name: sealing-seal(tenant_id, size, sealed_ms, most)^
-- Takes the oldest of what waits, and puts into the log what is not in it yet. The bytes never leave
-- the database: what comes back are the hashes of the new leaves, side by side in their order.
with taken as materialized (
  delete from evidence_inbox
  where ctid = any (array(
    select i.ctid from evidence_inbox i
    where i.tenant_id = :tenant_id order by i.position limit :most
  ))
  returning *
),
fresh as materialized (
  select f.*, :size::bigint + row_number() over (order by f.position) - 1 as seq
  from (
    select t.*, row_number() over (partition by t.kind, t.id order by t.position) as nth
    from taken t
  ) f
  where f.nth = 1 and not exists (
    select from evidence_records r
    where r.tenant_id = :tenant_id and r.kind = f.kind and r.id = f.id
  )
),
added as (
  insert into evidence_records (
    tenant_id, seq, kind, id, time_ms, sealed_ms, controls, outcome, rule_id, rule_version,
    trace_id, policy, has_payload, leaf, line
  )
  select l.tenant_id, l.seq, l.kind, l.id, l.time_ms, :sealed_ms, l.controls, l.outcome, l.rule_id,
    l.rule_version, l.trace_id, l.policy, l.salt is not null, sha256('\x00'::bytea || l.line), l.line
  from (
    select f.*, f.head || convert_to(
      f.seq || ',"tenant":"' || f.tenant_id || '","time_ms":' || f.time_ms || '}', 'UTF8'
    ) as line
    from fresh f
    offset 0
  ) l
  order by l.seq
  returning seq, leaf
),
by_control as materialized (
  select c.control, f.seq, f.time_ms, f.kind, f.outcome, f.rule_id
  from fresh f cross join lateral unnest(
    case when f.controls = '{}' then array[''] else f.controls end
  ) as c (control)
),
controlled as (
  insert into evidence_controls (tenant_id, control, time_ms, seq, kind, outcome)
  select :tenant_id, b.control, b.time_ms, b.seq, b.kind, b.outcome
  from by_control b where b.control <> ''
),
counted as (
  insert into evidence_totals as t (
    tenant_id, control, day, rule_id, kind, outcome, record_count, first_ms, last_ms, last_seq
  )
  select :tenant_id, b.control, date '1970-01-01' + (b.time_ms / 86400000)::integer,
    coalesce(b.rule_id, ''), b.kind, b.outcome, count(*), min(b.time_ms), max(b.time_ms), max(b.seq)
  from by_control b
  group by 1, 2, 3, 4, 5, 6
  on conflict on constraint evidence_totals_pkey do update set
    record_count = t.record_count + excluded.record_count,
    first_ms = least(t.first_ms, excluded.first_ms),
    last_ms = greatest(t.last_ms, excluded.last_ms),
    last_seq = excluded.last_seq
),
covered as (
  insert into evidence_coverage (
    tenant_id, rule_id, control, from_ms, to_ms, seq, rule_version, judged, satisfied, violated,
    inconclusive, late, dropped
  )
  select f.tenant_id, f.rule_id, f.controls[1], n.from_ms, n.to_ms, f.seq, f.rule_version,
    n.judged, n.satisfied, n.violated, n.inconclusive, n.late, n.dropped
  from fresh f cross join lateral jsonb_to_record(f.counts) as n (
    from_ms bigint, to_ms bigint, judged bigint, satisfied bigint, violated bigint,
    inconclusive bigint, late bigint, dropped bigint
  )
  where f.counts is not null
),
kept_apart as (
  insert into evidence_payloads (tenant_id, seq, payload, salt)
  select f.tenant_id, f.seq, f.payload, f.salt from fresh f where f.salt is not null
)
select (select count(*) from taken) as taken_count,
  (select string_agg(a.leaf, ''::bytea order by a.seq) from added a) as leaves;

-- name: sealing-add-nodes(tenant_id, level, first, hashes)!
-- hashes: 32 bytes each, side by side.
insert into evidence_nodes (tenant_id, level, number, hash)
select :tenant_id, :level, :first::bigint + n, substr(:hashes::bytea, n * 32 + 1, 32)
from generate_series(0, octet_length(:hashes::bytea) / 32 - 1) as n;

-- name: sealing-move(tenant_id, root, edge)!
update evidence_logs set root = :root, edge = :edge where tenant_id = :tenant_id;

-- name: sealing-append(tenant_id, seq, kind, id, time_ms, sealed_ms, outcome, leaf, line)!
-- A record that could not wait: one of keys, whose bytes depend on its place. It has no control.
insert into evidence_records (
  tenant_id, seq, kind, id, time_ms, sealed_ms, controls, outcome, policy, has_payload, leaf, line
) values (
  :tenant_id, :seq, :kind, :id, :time_ms, :sealed_ms, '{}', :outcome, 0, false, :leaf, :line
);

-- name: sealing-key-records(tenant_id)
select line from evidence_records
where tenant_id = :tenant_id and kind = 'key' order by seq;

-- name: sealing-heads(tenant_id)
select number, size, root, time_ms, late_ms, key_id, note from evidence_checkpoints
where tenant_id = :tenant_id order by number desc limit 1;

-- name: sealing-size-before(tenant_id, time_ms)$
-- The size of the newest checkpoint from before a moment.
select coalesce(max(size), 0) from evidence_checkpoints
where tenant_id = :tenant_id and time_ms < :time_ms;

-- name: sealing-add-checkpoint(tenant_id, number, size, root, time_ms, late_ms, key_id, note)!
insert into evidence_checkpoints (tenant_id, number, size, root, time_ms, late_ms, key_id, note)
values (:tenant_id, :number, :size, :root, :time_ms, :late_ms, :key_id, :note);

-- name: sealing-note-outage(tenant_id, now_ms, size, cause)!
insert into evidence_outages (tenant_id, began_ms, from_size, attempts, cause)
values (:tenant_id, :now_ms, :size, 1, :cause)
on conflict (tenant_id) where ended_ms is null
do update set attempts = evidence_outages.attempts + 1, cause = excluded.cause,
  from_size = least(evidence_outages.from_size, excluded.from_size);

-- name: sealing-end-outage(tenant_id, now_ms, size)^
update evidence_outages set ended_ms = :now_ms, to_size = :size
where tenant_id = :tenant_id and ended_ms is null
returning began_ms, from_size, attempts;

-- name: sealing-leaves(tenant_id, first, end)
select seq, leaf from evidence_records
where tenant_id = :tenant_id and seq >= :first and seq < :end order by seq;

-- name: sealing-verdicts()
-- Of a batch of signals those of rules with controls that are stored, each revision of them, with
-- the hash of the text that judged. Signals of rules in shadow are no evidence.
with texts as materialized (
  select v.tenant_id, v.rule_id, v.version,
    encode(sha256(convert_to(v.text, 'UTF8')), 'hex') as sha256
  from (
    select distinct tenant_id, rule_id, rule_version from incoming_signals
    where cardinality(controls) > 0 and not shadow
  ) i
  join rule_versions v on v.tenant_id = i.tenant_id and v.rule_id = i.rule_id
    and v.version = i.rule_version
)
select i.tenant_id, encode(i.id, 'hex') as signal, i.revision, i.rule_id, i.rule_version, i.controls,
  i.verdict, coalesce(encode(i.trace_id, 'hex'), '') as trace_id, i.incomplete, i.reasons,
  i.judged_ms, t.sha256
from incoming_signals i
join texts t on t.tenant_id = i.tenant_id and t.rule_id = i.rule_id and t.version = i.rule_version
where cardinality(i.controls) > 0 and not i.shadow
  and exists (select from signals s where s.tenant_id = i.tenant_id and s.id = i.id)
order by i.tenant_id, i.judged_ms, i.id, i.revision;

-- name: sealing-tenants-with-acts()
-- Tenants of whose audit log something was not handed over yet.
select t.id
from tenants t
left join evidence_acts_cursors c on c.tenant_id = t.id
where t.purge_began_at is null and exists (
  select from audit_log a
  where a.tenant_id = t.id and a.xact < pg_snapshot_xmin(pg_current_snapshot())
    and (c.xact is null or (a.xact, a.seq) > (c.xact, c.seq))
)
order by t.id;

-- name: sealing-begin-acts(tenant_id)!
insert into evidence_acts_cursors (tenant_id, xact, seq) values (:tenant_id, '0', 0)
on conflict (tenant_id) do nothing;

-- name: sealing-acts(tenant_id, most)
-- What follows in the audit log, below the oldest running transaction: nothing comes before it any
-- more. Whoever else hands it over waits.
with place as materialized (
  select xact, seq from evidence_acts_cursors where tenant_id = :tenant_id for update
)
select a.id, a.xact::text as xact, a.seq, a.actor, a.action, a.target, a.outcome,
  floor(extract(epoch from a.at) * 1000)::bigint as time_ms
from place p
join audit_log a on a.tenant_id = :tenant_id and (a.xact, a.seq) > (p.xact, p.seq)
  and a.xact < pg_snapshot_xmin(pg_current_snapshot())
order by a.xact, a.seq
limit :most;

-- name: sealing-end-acts(tenant_id, xact, seq)!
update evidence_acts_cursors set xact = :xact::xid8, seq = :seq where tenant_id = :tenant_id;

-- name: sealing-coverage-turn(tenant_id)$
select pg_try_advisory_xact_lock(hashtext('evidence.coverage'), hashtext(:tenant_id::text));

-- name: sealing-tenants-to-cover(to_ms)
-- Tenants with rules that serve controls, or that did when their last interval ended.
select t.id
from tenants t
where t.purge_began_at is null and (
  exists (
    select from evidence_coverage_cursors c
    where c.tenant_id = t.id and not c.ended and c.covered_ms < :to_ms
  )
  or exists (
    select from rules r
    join rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id
      and v.version = r.current_version
    cross join lateral jsonb_array_elements_text(coalesce(v.object -> 'controls', '[]')) as k (control)
    where r.tenant_id = t.id and r.state = 'active'
      and jsonb_array_length(coalesce(v.object -> 'controls', '[]')) > 0
      and not exists (
      select from evidence_coverage_cursors c
      where c.tenant_id = r.tenant_id and c.rule_id = r.id and c.control = k.control collate "C"
        and not c.ended
    )
  )
)
order by t.id;

-- name: sealing-covered-rules(tenant_id)
-- What is in force now: each rule with each of its controls.
select distinct r.id as rule_id, v.version, k.control,
  encode(sha256(convert_to(v.text, 'UTF8')), 'hex') as sha256
from rules r
join rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
cross join lateral jsonb_array_elements_text(coalesce(v.object -> 'controls', '[]')) as k (control)
where r.tenant_id = :tenant_id and r.state = 'active'
  and jsonb_array_length(coalesce(v.object -> 'controls', '[]')) > 0
order by r.id, k.control;

-- name: sealing-coverage-cursors(tenant_id)
select c.rule_id, c.control, c.rule_version as version, c.covered_ms, c.ended,
  encode(sha256(convert_to(v.text, 'UTF8')), 'hex') as sha256
from evidence_coverage_cursors c
join rule_versions v on v.tenant_id = c.tenant_id and v.rule_id = c.rule_id
  and v.version = c.rule_version
where c.tenant_id = :tenant_id;

-- name: sealing-take-counts(tenant_id, rules, to_ms)
-- The verdicts of rules in minutes before a moment that are in no interval yet; they are from now on.
with news as materialized (
  select s.rule_id, s.rule_version, s.minute, s.lane,
    greatest(0, s.violated - s.covered_violated) as violated,
    greatest(0, s.satisfied - s.covered_satisfied) as satisfied,
    greatest(0, s.inconclusive - s.covered_inconclusive) as inconclusive
  from rule_stats_minutes s
  where s.tenant_id = :tenant_id and s.rule_id = any (:rules::text[])
    and s.minute < timestamptz 'epoch' + :to_ms::bigint * interval '1 millisecond'
    and (s.violated > s.covered_violated or s.satisfied > s.covered_satisfied
      or s.inconclusive > s.covered_inconclusive)
  for update
),
noted as (
  update rule_stats_minutes s set
    covered_violated = s.violated,
    covered_satisfied = s.satisfied,
    covered_inconclusive = s.inconclusive
  from news n
  where s.tenant_id = :tenant_id and s.rule_id = n.rule_id and s.rule_version = n.rule_version
    and s.minute = n.minute and s.lane = n.lane
)
select rule_id, sum(violated)::bigint as violated, sum(satisfied)::bigint as satisfied,
  sum(inconclusive)::bigint as inconclusive
from news group by rule_id;

-- name: sealing-lost-spans(tenant_id, from_ms, to_ms)^
-- Spans of the tenant that came too late to be judged, and those that were refused.
select coalesce(sum((counts ->> 'too_late')::bigint), 0)::bigint as late,
  coalesce(sum(
    coalesce((counts ->> 'rejected')::bigint, 0) + coalesce((counts ->> 'over_cap')::bigint, 0)
    + coalesce((counts ->> 'truncated')::bigint, 0)
  ), 0)::bigint as dropped
from stats_minutes
where tenant_id = :tenant_id
  and minute >= timestamptz 'epoch' + :from_ms::bigint * interval '1 millisecond'
  and minute < timestamptz 'epoch' + :to_ms::bigint * interval '1 millisecond';

-- name: sealing-move-coverage(tenant_id, rule_id, control, rule_version, covered_ms, ended)!
insert into evidence_coverage_cursors (tenant_id, rule_id, control, rule_version, covered_ms, ended)
values (:tenant_id, :rule_id, :control, :rule_version, :covered_ms, :ended)
on conflict (tenant_id, rule_id, control) do update set
  rule_version = excluded.rule_version, covered_ms = excluded.covered_ms, ended = excluded.ended;
