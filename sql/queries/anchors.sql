-- name: targets
-- Where checkpoints of the tenant go, the oldest first.
select t.id, t.tenant_id, t.kind, t.place, t.options, t.secret_key_id, t.secret, t.every_s,
  t.enabled, t.created_at, t.created_by, t.failures, t.failing_since, t.last_error, t.next_try_at,
  t.last_done_at,
  (select count(*) from anchors a
   where a.tenant_id = t.tenant_id and a.target_id = t.id and a.state = 'pending') as pending
from anchor_targets t
where t.tenant_id = scope_tenant() and t.removed_at is null
order by t.created_at, t.id;

-- name: target^
select t.id, t.tenant_id, t.kind, t.place, t.options, t.secret_key_id, t.secret, t.every_s,
  t.enabled, t.created_at, t.created_by, t.failures, t.failing_since, t.last_error, t.next_try_at,
  t.last_done_at,
  (select count(*) from anchors a
   where a.tenant_id = t.tenant_id and a.target_id = t.id and a.state = 'pending') as pending
from anchor_targets t
where t.tenant_id = scope_tenant() and t.id = :id and t.removed_at is null;

-- name: lock_tenant$
-- Targets are counted and added one at a time.
select pg_advisory_xact_lock(hashtext('anchor_targets'), hashtext(scope_tenant()::text));

-- name: count_targets$
select count(*) from anchor_targets where tenant_id = scope_tenant() and removed_at is null;

-- name: add_target!
insert into anchor_targets (
  tenant_id, id, kind, place, options, secret_key_id, secret, every_s, created_by
) values (
  scope_tenant(), :id, :kind, :place, :options, :secret_key_id, :secret, :every_s, :created_by
)
on conflict (tenant_id, kind, place) where removed_at is null do nothing;

-- name: change_target!
update anchor_targets
set options = :options, secret_key_id = :secret_key_id, secret = :secret, every_s = :every_s,
  enabled = :enabled, next_try_at = null
where tenant_id = scope_tenant() and id = :id and removed_at is null;

-- name: remove_target!
update anchor_targets
set removed_at = now(), enabled = false, secret_key_id = null, secret = null, next_try_at = null
where tenant_id = scope_tenant() and id = :id and removed_at is null;

-- name: give_up_on_target!
update anchors
set state = 'failed', reason = 'The target was removed.', finished_at = now()
where tenant_id = scope_tenant() and target_id = :target_id and state = 'pending';

-- name: try_again!
-- What was given up waits again.
update anchors set state = 'pending', finished_at = null
where tenant_id = scope_tenant() and target_id = :target_id and state = 'failed';

-- name: claim^
-- Take a target, unless somebody else has it or it is to be left alone for a while.
update anchor_targets
set busy_until = now() + make_interval(secs => :lease_s)
where tenant_id = scope_tenant() and id = :id and removed_at is null
  and (busy_until is null or busy_until < now())
  and (:at_once or (enabled and (next_try_at is null or next_try_at <= now())))
returning id;

-- name: release!
update anchor_targets set busy_until = null where tenant_id = scope_tenant() and id = :id;

-- name: next_pending^
-- Those that were tried least come first, so that one that nobody takes does not stop the others.
select a.id, a.attempts, a.created_at, c.number, c.size, c.time_ms, c.note
from anchors a
join evidence_checkpoints c on c.tenant_id = a.tenant_id and c.number = a.checkpoint
where a.tenant_id = scope_tenant() and a.target_id = :target_id and a.state = 'pending'
order by a.attempts, a.checkpoint
limit 1;

-- name: newest_head^
select c.number, c.size, c.time_ms, c.note
from evidence_checkpoints c
where c.tenant_id = scope_tenant()
order by c.number desc
limit 1;

-- name: ask_for^
-- Let a checkpoint wait for a target; one that waits already, or was given up, is taken up.
insert into anchors (
  tenant_id, id, target_id, kind, place, checkpoint, checkpoint_size, checkpoint_ms
)
select t.tenant_id, gen_random_uuid(), t.id, t.kind, t.place, :number, :size, :time_ms
from anchor_targets t
where t.tenant_id = scope_tenant() and t.id = :target_id
on conflict (tenant_id, target_id, checkpoint) do update
  set state = 'pending', finished_at = null where anchors.state = 'failed'
returning id;

-- name: of_target_and_checkpoint^
select a.id, a.target_id, a.kind, a.place, a.checkpoint, a.state, a.attempts, a.reason,
  a.created_at, a.finished_at, a.stamped_at
from anchors a
where a.tenant_id = scope_tenant() and a.target_id = :target_id and a.checkpoint = :checkpoint;

-- name: done!
update anchors
set state = 'done', attempts = attempts + 1, reason = null, imprint = :imprint, answer = :answer,
  stamped_at = :stamped_at, finished_at = now()
where tenant_id = scope_tenant() and id = :id and state = 'pending';

-- name: worked!
update anchor_targets
set failures = 0, failing_since = null, last_error = null, next_try_at = null, last_done_at = now()
where tenant_id = scope_tenant() and id = :id;

-- name: not_done^
-- given_up: it has waited for too long.
update anchors
set attempts = attempts + 1, reason = :reason,
  state = case when created_at < now() - make_interval(secs => :give_up_s)
    then 'failed' else 'pending' end,
  finished_at = case when created_at < now() - make_interval(secs => :give_up_s) then now() end
where tenant_id = scope_tenant() and id = :id and state = 'pending'
returning state;

-- name: failed^
-- Wait twice as long after each failure, up to a longest time.
update anchor_targets
set failures = failures + 1, failing_since = coalesce(failing_since, now()), last_error = :reason,
  next_try_at = now() + make_interval(
    secs => least(:most_s::float8, :first_s * power(2::float8, least(failures, 20)))
      * (0.9 + 0.2 * random()))
where tenant_id = scope_tenant() and id = :id
returning failures;

-- name: tell_of_failing!
-- Once for each time that it fails.
insert into notices (tenant_id, kind, subject, figures, acted_at)
select t.tenant_id, 'failing_target', t.id || ' ' || extract(epoch from t.failing_since),
  jsonb_build_object(
    'target', t.id, 'kind', t.kind, 'place', t.place, 'failures', t.failures,
    'since', t.failing_since, 'reason', t.last_error),
  now()
from anchor_targets t
where t.tenant_id = scope_tenant() and t.id = :id and t.failures >= :least
  and t.removed_at is null
on conflict on constraint notices_subject_once do nothing;

-- name: settle_failing!
-- It works again, or is removed: nobody needs to look.
update notices
set acknowledged_at = now(), acknowledged_by = :actor
where tenant_id = scope_tenant() and kind = 'failing_target' and acknowledged_at is null
  and starts_with(subject, :id::text || ' ');

-- name: page
-- Checkpoints of the tenant, the newest first.
select c.number, c.size, c.time_ms, c.note
from evidence_checkpoints c
where c.tenant_id = scope_tenant() and (:before::bigint is null or c.number < :before)
order by c.number desc
limit :limit;

-- name: of_checkpoints
select a.id, a.target_id, a.kind, a.place, a.checkpoint, a.state, a.attempts, a.reason,
  a.created_at, a.finished_at, a.stamped_at
from anchors a
where a.tenant_id = scope_tenant() and a.checkpoint = any (:numbers)
order by a.checkpoint desc, a.created_at, a.id;

-- name: answer^
select a.kind, a.state, a.checkpoint, a.answer
from anchors a
where a.tenant_id = scope_tenant() and a.id = :id;

-- name: plan!
-- Of all tenants: let the newest checkpoint wait for every target that is due. A checkpoint of an
-- unchanged log is worth one a day.
insert into anchors (
  tenant_id, id, target_id, kind, place, checkpoint, checkpoint_size, checkpoint_ms
)
select t.tenant_id, gen_random_uuid(), t.id, t.kind, t.place, c.number, c.size, c.time_ms
from anchor_targets t
cross join lateral (
  select c.number, c.size, c.time_ms from evidence_checkpoints c
  where c.tenant_id = t.tenant_id order by c.number desc limit 1
) c
left join lateral (
  select a.checkpoint, a.checkpoint_size, a.checkpoint_ms from anchors a
  where a.tenant_id = t.tenant_id and a.target_id = t.id order by a.checkpoint desc limit 1
) last on true
where t.enabled and t.removed_at is null
  and exists (select from tenants n where n.id = t.tenant_id and n.purge_began_at is null)
  and (
    last.checkpoint is null
    or (
      c.number > last.checkpoint
      and c.time_ms >= last.checkpoint_ms + 1000::bigint * case
        when c.size > last.checkpoint_size then t.every_s else greatest(t.every_s, 86400) end
    )
  )
on conflict (tenant_id, target_id, checkpoint) do nothing;

-- name: due
-- Of all tenants: targets for which something waits, and that are not to be left alone.
select t.tenant_id, t.id
from anchor_targets t
where t.enabled and t.removed_at is null
  and (t.next_try_at is null or t.next_try_at <= now())
  and (t.busy_until is null or t.busy_until < now())
  and exists (
    select from anchors a
    where a.tenant_id = t.tenant_id and a.target_id = t.id and a.state = 'pending'
  )
order by t.next_try_at nulls first, t.tenant_id, t.id
limit :limit;

-- name: figures
-- Of all tenants, by kind: how much waits and since when, and how many targets fail.
select t.kind, count(a.id)::bigint as pending,
  coalesce(extract(epoch from now()) - min(a.checkpoint_ms) / 1000.0, 0)::float8 as lag_s,
  count(distinct t.id) filter (where t.failures > 0) as failing
from anchor_targets t
left join anchors a
  on a.tenant_id = t.tenant_id and a.target_id = t.id and a.state = 'pending'
where t.removed_at is null
group by t.kind;
