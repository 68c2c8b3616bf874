-- name: now^
-- The place before everything that is not visible to readers yet.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xact,
       extract(epoch from now())::bigint as at_s;

-- name: after
-- Up to the oldest running transaction: what commits later lies behind this.
select xact::text::bigint as xact, seq, signal_id, change, extract(epoch from at)::bigint as at_s
from signal_feed
where tenant_id = scope_tenant()
  and (xact, seq) > (:xact::text::xid8, :seq::bigint)
  and xact < pg_snapshot_xmin(pg_current_snapshot())
order by xact, seq
limit :limit;

-- name: unsettled$
-- Whether there is something that readers must not read yet, because older changes may follow.
select exists (
  select from signal_feed
  where tenant_id = scope_tenant()
    and (xact, seq) > (:xact::text::xid8, :seq::bigint)
    and xact >= pg_snapshot_xmin(pg_current_snapshot())
);

-- name: forget_old!
delete from signal_feed where at < now() - interval '1 day';
