-- name: tenants
select id from tenants where purge_began_at is null order by id;

-- name: has_counted$
select exists (select from usage_days where tenant_id = scope_tenant());

-- name: count_days!
insert into usage_days (tenant_id, day, spans)
select scope_tenant(), (minute at time zone 'UTC')::date, sum((counts ->> 'received')::bigint)
from stats_minutes
where tenant_id = scope_tenant() and minute >= :since and counts ? 'received'
group by (minute at time zone 'UTC')::date
on conflict on constraint usage_days_pkey
do update set spans = excluded.spans, counted_at = now();

-- name: days
select day, spans, counted_at from usage_days
where tenant_id = scope_tenant() and day >= :first and day < :after
order by day;

-- name: warn!
insert into notices (tenant_id, kind, subject, figures, acted_at)
values (scope_tenant(), 'quota', :subject, :figures, now())
on conflict on constraint notices_subject_once do nothing;
