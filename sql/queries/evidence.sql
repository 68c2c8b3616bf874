-- The evidence log of the tenant of the transaction, as people read it.

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
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints where tenant_id = scope_tenant() order by number desc limit 1;

-- name: checkpoint^
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints where tenant_id = scope_tenant() and number = :number;

-- name: checkpoints
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints
where tenant_id = scope_tenant() and (:before::bigint is null or number < :before)
order by number desc
limit :limit;

-- name: checkpoint_over^
-- The oldest checkpoint that covers so many records.
select number, size, root, time_ms, late_ms, key_id, note
from evidence_checkpoints
where tenant_id = scope_tenant() and size >= :size
order by size, number
limit 1;

-- name: outage^
select began_ms, ended_ms, from_size, to_size, attempts, cause
from evidence_outages where tenant_id = scope_tenant() and ended_ms is null;

-- name: outages
select began_ms, ended_ms, from_size, to_size, attempts, cause
from evidence_outages where tenant_id = scope_tenant() order by began_ms desc limit :limit;

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

-- name: nodes
select n.level, n.number, n.hash
from unnest(:levels::integer[], :numbers::bigint[]) as a (level, number)
join evidence_nodes n
  on n.tenant_id = scope_tenant() and n.level = a.level and n.number = a.number;

-- name: leaves
select seq, leaf from evidence_records
where tenant_id = scope_tenant() and seq = any (:seqs::bigint[]);

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
where tenant_id = scope_tenant() and time_ms >= :time_ms
  and not exists (
    select from unnest(:revoked::uuid[], :sizes::bigint[]) as r (key_id, since)
    where r.key_id = c.key_id and c.size > r.since
  )
order by time_ms limit 1;

-- name: checkpoints_for_pack
-- Those that are named, and of the others between some of them, evenly, as far as they count.
select number, size, time_ms, note from evidence_checkpoints c
where tenant_id = scope_tenant() and number between :first and :newest
  and (number = any (:named::bigint[]) or mod(number, :step::bigint) = 0)
  and not exists (
    select from unnest(:revoked::uuid[], :sizes::bigint[]) as r (key_id, since)
    where r.key_id = c.key_id and c.size > r.since
  )
order by number;

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
