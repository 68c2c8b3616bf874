-- Sums of evidence by day (UTC), made by the statement that seals: lists have exact counts and the
-- matrix of controls its numbers without a look at the records. Nobody else writes them.

-- Records by framework of their controls, each once, however many controls of it the record has.
-- framework: '' counts every record.
create table evidence_days (
  tenant_id uuid not null,
  framework text collate "C" not null,
  day date not null,
  rule_id text not null,
  kind text not null,
  outcome text not null,
  record_count bigint not null,
  constraint evidence_days_pkey primary key (tenant_id, framework, day, rule_id, kind, outcome)
);

-- The numbers of coverage records, by the day in which their interval begins.
create table evidence_coverage_days (
  tenant_id uuid not null,
  control text collate "C" not null,
  day date not null,
  rule_id text not null,
  interval_count bigint not null,
  judged bigint not null,
  satisfied bigint not null,
  violated bigint not null,
  inconclusive bigint not null,
  late bigint not null,
  dropped bigint not null,
  constraint evidence_coverage_days_pkey primary key (tenant_id, control, day, rule_id)
);

-- Records of compliance spans by the service that sent them.
create table evidence_services (
  tenant_id uuid not null,
  service text collate "C" not null,
  time_ms bigint not null,
  seq bigint not null,
  constraint evidence_services_pkey primary key (tenant_id, service, time_ms, seq)
);

create function sum_evidence() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into evidence_days as d (
    tenant_id, framework, day, rule_id, kind, outcome, record_count
  )
  select a.tenant_id, f.framework, date '1970-01-01' + (a.time_ms / 86400000)::integer,
    coalesce(a.rule_id, ''), a.kind, a.outcome, count(*)
  from added a cross join lateral (
    select '' as framework
    union
    select split_part(control, '.', 1) from unnest(a.controls) as c (control)
  ) f
  group by 1, 2, 3, 4, 5, 6
  on conflict on constraint evidence_days_pkey do update set
    record_count = d.record_count + excluded.record_count;
  insert into evidence_services (tenant_id, service, time_ms, seq)
  select s.tenant_id, s.service, s.time_ms, s.seq
  from (
    select tenant_id, convert_from(line, 'UTF8')::jsonb -> 'body' ->> 'service' as service,
      time_ms, seq
    from added where kind = 'span'
  ) s
  where s.service <> '';
  return null;
end
$$;
create trigger evidence_records_summed after insert on evidence_records
  referencing new table as added
  for each statement execute function sum_evidence();

create function sum_evidence_coverage() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into evidence_coverage_days as d (
    tenant_id, control, day, rule_id, interval_count, judged, satisfied, violated, inconclusive,
    late, dropped
  )
  select tenant_id, control, date '1970-01-01' + (from_ms / 86400000)::integer, rule_id, count(*),
    sum(judged), sum(satisfied), sum(violated), sum(inconclusive), sum(late), sum(dropped)
  from added
  group by 1, 2, 3, 4
  on conflict on constraint evidence_coverage_days_pkey do update set
    interval_count = d.interval_count + excluded.interval_count,
    judged = d.judged + excluded.judged,
    satisfied = d.satisfied + excluded.satisfied,
    violated = d.violated + excluded.violated,
    inconclusive = d.inconclusive + excluded.inconclusive,
    late = d.late + excluded.late,
    dropped = d.dropped + excluded.dropped;
  return null;
end
$$;
create trigger evidence_coverage_summed after insert on evidence_coverage
  referencing new table as added
  for each statement execute function sum_evidence_coverage();

do $$
declare
  name text;
begin
  foreach name in array array['evidence_days', 'evidence_coverage_days', 'evidence_services'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy %1$s_of_tenant on %1$I'
      ' using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant())', name);
    execute format('grant select on %I to betrace_app', name);
  end loop;
end
$$;
