-- The evidence log of the tenant of the transaction, as people read it.
--
-- A checkpoint does not count once its key was revoked at a smaller size: the record of the log that
-- says so has the id revoked:<key>:<size>.

-- name: state^
select l.origin, l.size, l.root, l.sealed_ms,
  (
    select count(*)
    from (select from evidence_inbox i where i.tenant_id = s.tenant_id limit 100000) w
  ) as waiting,
  coalesce(
    (select max(c.number) from evidence_checkpoints c where c.tenant_id = s.tenant_id), 0
  ) as checkpoints,
  (
    select count(*) from evidence_checkpoints c where c.tenant_id = s.tenant_id and c.late_ms > 0
  ) as late
from (select scope_tenant() as tenant_id) s
left join evidence_logs l on l.tenant_id = s.tenant_id;

-- name: newest_checkpoint^
-- The newest one that counts.
select c.number, c.size, c.root, c.time_ms, c.late_ms, c.key_id, c.note
from evidence_checkpoints c
where c.tenant_id = scope_tenant()
  and not exists (
    select from evidence_records r
    where r.tenant_id = c.tenant_id and r.kind = 'key'
      and r.id >= 'revoked:' and r.id < 'revoked;'
      and starts_with(r.id, 'revoked:' || c.key_id || ':')
      and c.size > substring(r.id from ':([0-9]{1,18})$')::bigint
  )
order by c.number desc limit 1;

-- name: checkpoint^
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints where tenant_id = scope_tenant() and number = :number;

-- name: checkpoints
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints
where tenant_id = scope_tenant() and (:before::bigint is null or number < :before)
order by number desc
limit :limit;

-- name: proven^
-- A record, the oldest checkpoint that covers it and counts, and what is personal in it.
select r.seq, r.kind, r.id, r.time_ms, r.sealed_ms, r.has_payload, r.line, r.leaf,
  c.number, c.size, c.root, c.time_ms as signed_ms, c.late_ms, c.key_id, c.note,
  p.payload, p.salt, p.erased_at
from evidence_records r
left join lateral (
  select c.number, c.size, c.root, c.time_ms, c.late_ms, c.key_id, c.note
  from evidence_checkpoints c
  where c.tenant_id = r.tenant_id and c.size > r.seq
    and not exists (
      select from evidence_records k
      where k.tenant_id = c.tenant_id and k.kind = 'key'
        and k.id >= 'revoked:' and k.id < 'revoked;'
        and starts_with(k.id, 'revoked:' || c.key_id || ':')
        and c.size > substring(k.id from ':([0-9]{1,18})$')::bigint
    )
  order by c.size, c.number
  limit 1
) c on true
left join evidence_payloads p on p.tenant_id = r.tenant_id and p.seq = r.seq
where r.tenant_id = scope_tenant() and r.seq = :seq;

-- name: outage^
select began_ms, ended_ms, from_size, to_size, attempts, cause
from evidence_outages where tenant_id = scope_tenant() and ended_ms is null;

-- name: outages
-- Those that are over, the newest first.
select began_ms, ended_ms, from_size, to_size, attempts, cause
from evidence_outages
where tenant_id = scope_tenant() and ended_ms is not null
order by began_ms desc limit :limit;

-- name: record^
select seq, kind, id, time_ms, sealed_ms, has_payload, line, leaf
from evidence_records where tenant_id = scope_tenant() and seq = :seq;

-- name: records
select seq, kind, id, time_ms, sealed_ms, has_payload, line, leaf
from evidence_records where tenant_id = scope_tenant() and seq = any (:seqs::bigint[])
order by seq;

-- name: payload^
select payload, salt, erased_at, act_id
from evidence_payloads where tenant_id = scope_tenant() and seq = :seq;

-- name: erase_payload!
update evidence_payloads
set payload = null, salt = null, erased_at = now(), erased_by = :erased_by, act_id = :act_id
where tenant_id = scope_tenant() and seq = :seq and erased_at is null;

-- name: key_records
select line from evidence_records
where tenant_id = scope_tenant() and kind = 'key' and seq < :size order by seq;

-- name: hashes
-- Of full subtrees that are stored, and, as level 0, of leaves.
select n.level, n.number, n.hash
from unnest(:levels::integer[], :numbers::bigint[]) as a (level, number)
join evidence_nodes n
  on n.tenant_id = scope_tenant() and n.level = a.level and n.number = a.number
union all
select 0::smallint, r.seq, r.leaf from evidence_records r
where r.tenant_id = scope_tenant() and r.seq = any (:seqs::bigint[]);

-- name: checkpoint_before^
-- The newest checkpoint from before a moment whose signature counts.
select number, size, time_ms from evidence_checkpoints c
where tenant_id = scope_tenant() and time_ms < :time_ms and number <= :newest
  and not exists (
    select from unnest(:revoked::uuid[], :sizes::bigint[]) as r (key_id, since)
    where r.key_id = c.key_id and c.size > r.since
  )
order by time_ms desc limit 1;

-- name: checkpoint_after^
-- The oldest one from a moment on whose signature counts.
select number, size, time_ms from evidence_checkpoints c
where tenant_id = scope_tenant() and time_ms >= :time_ms and number <= :newest
  and not exists (
    select from unnest(:revoked::uuid[], :sizes::bigint[]) as r (key_id, since)
    where r.key_id = c.key_id and c.size > r.since
  )
order by time_ms limit 1;

-- name: checkpoints_for_pack
-- Those that are named, and of the others between some of them, evenly, as far as they count: of
-- each step one, and one with a time stamp if there is one. stamp: over the note as it is here.
select c.number, c.size, c.time_ms, c.note, s.answer as stamp
from evidence_checkpoints c
left join lateral (
  select a.answer from anchors a
  where a.tenant_id = c.tenant_id and a.checkpoint = c.number and a.kind = 'tsa'
    and a.state = 'done' and a.imprint = sha256(convert_to(c.note, 'UTF8'))
  order by a.stamped_at, a.id
  limit 1
) s on true
where c.tenant_id = scope_tenant() and c.number between :first and :newest
  and (
    c.number = any (:named::bigint[]) or mod(c.number, :step::bigint) = 0
    or c.number in (
      select max(a.checkpoint) from anchors a
      where a.tenant_id = scope_tenant() and a.kind = 'tsa' and a.state = 'done'
        and a.checkpoint between :first and :newest
      group by a.checkpoint / :step::bigint
    )
  )
  and not exists (
    select from unnest(:revoked::uuid[], :sizes::bigint[]) as r (key_id, since)
    where r.key_id = c.key_id and c.size > r.since
  )
order by c.number;

-- name: lines_for_pack
select line from evidence_records
where tenant_id = scope_tenant() and seq < :size and (
  kind = 'key'
  or (seq >= :first and seq < :end and (
    :everything or (
      time_ms >= :from_ms and time_ms < :to_ms
      and (cardinality(:kinds::text[]) = 0 or kind = any (:kinds::text[]))
      and (
        (cardinality(:controls::text[]) = 0 and cardinality(:frameworks::text[]) = 0)
        or controls && :controls::text[]
        or exists (
          select from unnest(controls) as c (control)
          where split_part(c.control, '.', 1) = any (:frameworks::text[])
        )
      )
    )
  ))
)
order by seq;

-- name: payloads_for_pack
-- Of the same records what is personal, or when and by which act it was erased.
select p.seq, p.payload, p.salt, floor(extract(epoch from p.erased_at) * 1000)::bigint as erased_ms,
  a.seq as act_seq
from evidence_payloads p
join evidence_records r on r.tenant_id = p.tenant_id and r.seq = p.seq
left join evidence_records a
  on a.tenant_id = p.tenant_id and a.kind = 'act' and a.id = p.act_id::text collate "C"
where p.tenant_id = scope_tenant() and p.seq >= :first and p.seq < :end and (
  :everything or (
    r.time_ms >= :from_ms and r.time_ms < :to_ms
    and (cardinality(:kinds::text[]) = 0 or r.kind = any (:kinds::text[]))
    and (
      (cardinality(:controls::text[]) = 0 and cardinality(:frameworks::text[]) = 0)
      or r.controls && :controls::text[]
      or exists (
        select from unnest(r.controls) as c (control)
        where split_part(c.control, '.', 1) = any (:frameworks::text[])
      )
    )
  )
)
order by p.seq;

-- name: rules_for_pack
-- The texts of the versions that judged in a range, and who let them take effect.
select v.rule_id, v.version, v.text, v.author,
  floor(extract(epoch from v.created_at) * 1000)::bigint as at_ms,
  array(
    select jsonb_array_elements_text(coalesce(v.object -> 'controls', '[]'))
  ) as controls
from (
  select distinct rule_id, rule_version from evidence_records
  where tenant_id = scope_tenant() and seq >= :first and seq < :end and rule_id is not null
) u
join rule_versions v
  on v.tenant_id = scope_tenant() and v.rule_id = u.rule_id and v.version = u.rule_version
order by v.rule_id, v.version;

-- name: suppressions_for_pack
-- Exceptions that silenced signals of rules with controls in a period.
select s.rule_id, s.exception, count(*) as signals
from signals s
where s.tenant_id = scope_tenant() and s.exception is not null and cardinality(s.controls) > 0
  and s.judged_at >= timestamptz 'epoch' + :from_ms::bigint * interval '1 millisecond'
  and s.judged_at < timestamptz 'epoch' + :to_ms::bigint * interval '1 millisecond'
group by s.rule_id, s.exception
order by s.rule_id, s.exception::text;
