-- The evidence log of each tenant (udfs/evidence): what is to be sealed, what is, and the heads that
-- were signed. Records, nodes, checkpoints and coverage are only ever added to: no role has the right
-- to do anything else, and triggers refuse the owner too, but for a tenant whose deletion has begun.
-- Times are Unix milliseconds, as records have them.

-- One row for each tenant that has a log. origin: its name, for ever; size: records; root, edge: of
-- the tree at that size, edge being the hashes of its full subtrees, the largest first. The row is
-- the lock of whoever appends. size moves by the trigger on evidence_records alone, so that root and
-- edge lag behind it within a transaction only.
create table evidence_logs (
  tenant_id uuid not null,
  origin text not null,
  size bigint not null default 0,
  root bytea not null default sha256(''),
  edge bytea not null default '',
  sealed_ms bigint not null default 0,
  created_at timestamptz not null default now(),
  constraint evidence_logs_pkey primary key (tenant_id),
  constraint evidence_logs_tenant foreign key (tenant_id) references tenants (id),
  constraint evidence_logs_origin check (length(origin) between 1 and 300 and origin !~ '[[:space:]+]'),
  constraint evidence_logs_hashes check (octet_length(root) = 32 and octet_length(edge) % 32 = 0)
);

-- What is to be sealed, in the order of position as it becomes visible. head: the canonical bytes of
-- the record up to and with "seq":, all that is not known before it is sealed. counts: of coverage,
-- {version, from_ms, to_ms, judged, …}. payload, salt: what is personal, behind the commitment that
-- is in head. What comes twice is sealed once, by (kind, id).
create table evidence_inbox (
  tenant_id uuid not null,
  position bigint generated always as identity,
  kind text not null,
  id text collate "C" not null,
  time_ms bigint not null,
  controls text[] not null,
  outcome text not null,
  rule_id text,
  rule_version integer,
  trace_id bytea,
  policy integer not null default 0,
  head bytea not null,
  payload text,
  salt bytea,
  counts jsonb,
  at timestamptz not null default now(),
  constraint evidence_inbox_pkey primary key (tenant_id, position),
  constraint evidence_inbox_payload_whole check (num_nulls(payload, salt) in (0, 2))
);

-- The sealed records. seq: without a gap from 0. line: the canonical bytes, whose hash is leaf.
-- outcome: success, failure, blocked or unknown of a span and an act; the verdict of a verdict;
-- violated, inconclusive, satisfied or none of coverage, the first of them that it counts; the event
-- of a key. rule_*: of verdicts and coverage. has_payload: evidence_payloads has what is personal.
create table evidence_records (
  tenant_id uuid not null,
  seq bigint not null,
  kind text not null,
  id text collate "C" not null,
  time_ms bigint not null,
  sealed_ms bigint not null,
  controls text[] not null,
  outcome text not null,
  rule_id text,
  rule_version integer,
  trace_id bytea,
  policy integer not null,
  has_payload boolean not null,
  leaf bytea not null,
  line bytea not null,
  constraint evidence_records_pkey primary key (tenant_id, seq),
  constraint evidence_records_once unique (tenant_id, kind, id),
  constraint evidence_records_kind check (kind in ('span', 'verdict', 'coverage', 'act', 'key'))
);
create index evidence_records_newest on evidence_records (tenant_id, time_ms desc, seq desc);
create index evidence_records_by_rule
  on evidence_records (tenant_id, rule_id, time_ms desc, seq desc) where rule_id is not null;

-- A row for each control of a record, to find records by control, or by framework with a prefix:
-- control >= 'soc2.' and control < 'soc2/'.
create table evidence_controls (
  tenant_id uuid not null,
  control text collate "C" not null,
  time_ms bigint not null,
  seq bigint not null,
  kind text not null,
  outcome text not null,
  constraint evidence_controls_pkey primary key (tenant_id, control, time_ms, seq)
);

-- How many records there are by control, rule, kind, outcome and day of their time (UTC). It is made
-- from the records as they are sealed, and the one thing here that changes. rule_id: '' for none;
-- control: '' for records without one.
create table evidence_totals (
  tenant_id uuid not null,
  control text collate "C" not null,
  day date not null,
  rule_id text not null,
  kind text not null,
  outcome text not null,
  framework text not null generated always as (split_part(control, '.', 1)) stored,
  record_count bigint not null,
  first_ms bigint not null,
  last_ms bigint not null,
  last_seq bigint not null,
  constraint evidence_totals_pkey primary key (tenant_id, control, day, rule_id, kind, outcome)
);

-- The numbers of coverage records, to be summed by rule, control and time.
create table evidence_coverage (
  tenant_id uuid not null,
  rule_id text not null,
  control text collate "C" not null,
  from_ms bigint not null,
  to_ms bigint not null,
  seq bigint not null,
  rule_version integer not null,
  judged bigint not null,
  satisfied bigint not null,
  violated bigint not null,
  inconclusive bigint not null,
  late bigint not null,
  dropped bigint not null,
  constraint evidence_coverage_pkey primary key (tenant_id, control, rule_id, from_ms)
);

-- Hashes of full subtrees of 2^level records, from level 4 on; below that they are made from leaves.
create table evidence_nodes (
  tenant_id uuid not null,
  level smallint not null,
  number bigint not null,
  hash bytea not null,
  constraint evidence_nodes_pkey primary key (tenant_id, level, number),
  constraint evidence_nodes_form check (level >= 4 and number >= 0 and octet_length(hash) = 32)
);

-- Signed heads. number: from 1 without a gap; note: C2SP signed note; key_id: of tenant_keys;
-- late_ms: by how much later than due it was signed, since the source of keys was away.
create table evidence_checkpoints (
  tenant_id uuid not null,
  number bigint not null,
  size bigint not null,
  root bytea not null,
  time_ms bigint not null,
  late_ms bigint not null default 0,
  key_id uuid not null,
  note text not null,
  constraint evidence_checkpoints_pkey primary key (tenant_id, number),
  constraint evidence_checkpoints_form check (
    number >= 1 and size >= 1 and octet_length(root) = 32 and late_ms >= 0
    and length(note) between 1 and 65536
  )
);
create index evidence_checkpoints_by_size on evidence_checkpoints (tenant_id, size, number);
create index evidence_checkpoints_by_time on evidence_checkpoints (tenant_id, time_ms);

-- What is personal in a record. Text and salt are erased together, for ever; act_id: of the row of
-- the audit log that tells of it, which is the id of its record in the log.
create table evidence_payloads (
  tenant_id uuid not null,
  seq bigint not null,
  payload text,
  salt bytea,
  erased_at timestamptz,
  erased_by text,
  act_id uuid,
  constraint evidence_payloads_pkey primary key (tenant_id, seq),
  constraint evidence_payloads_erased_whole check (
    num_nulls(payload, salt) = case when erased_at is null then 0 else 2 end
    and num_nulls(erased_at, erased_by, act_id) in (0, 3)
  ),
  constraint evidence_payloads_salt check (octet_length(salt) = 32)
);

-- Up to where intervals of a rule and control have been handed over. ended: it is switched off.
create table evidence_coverage_cursors (
  tenant_id uuid not null,
  rule_id text not null,
  control text collate "C" not null,
  rule_version integer not null,
  covered_ms bigint not null,
  ended boolean not null,
  constraint evidence_coverage_cursors_pkey primary key (tenant_id, rule_id, control)
);

-- So much of a minute's verdicts is in an interval already; what comes later is in the next one.
alter table rule_stats_minutes
  add column covered_violated bigint not null default 0,
  add column covered_satisfied bigint not null default 0,
  add column covered_inconclusive bigint not null default 0;

-- How far the audit log has been handed over.
create table evidence_acts_cursors (
  tenant_id uuid not null,
  xact xid8 not null,
  seq bigint not null,
  constraint evidence_acts_cursors_pkey primary key (tenant_id)
);
create index audit_log_in_order on audit_log (tenant_id, xact, seq);

-- When the source of keys did not sign: records were sealed meanwhile, and signed later.
create table evidence_outages (
  tenant_id uuid not null,
  began_ms bigint not null,
  ended_ms bigint,
  from_size bigint not null,
  to_size bigint,
  attempts bigint not null,
  cause text not null,
  constraint evidence_outages_pkey primary key (tenant_id, began_ms),
  constraint evidence_outages_ended check (num_nulls(ended_ms, to_size) in (0, 2))
);
create unique index evidence_outages_one_at_a_time on evidence_outages (tenant_id)
  where ended_ms is null;

-- Which of some tenants are there and not being deleted. They stay so until the transaction ends.
create function tenants_there(asked uuid[]) returns setof uuid
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  purpose text := current_setting('app.purpose', true);
begin
  perform set_config('app.purpose', 'purge', true);
  return query
    select id from tenants
    where id = any (asked) and purge_began_at is null
    order by id
    for key share;
  perform set_config('app.purpose', coalesce(purpose, ''), true);
end
$$;
revoke all on function tenants_there(uuid[]) from public;
grant execute on function tenants_there(uuid[]) to betrace_app, betrace_worker;

-- What was sealed stays as it is, whoever asks. A tenant whose deletion has begun takes its log along.
create function refuse_change_of_evidence() returns trigger
language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if exists (select from tenants where id = old.tenant_id and purge_began_at is not null) then
      return old;
    end if;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;

-- Records follow each other without a gap, in one insert after the other, and the log counts them.
create function follow_evidence() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  added_to record;
begin
  for added_to in
    select tenant_id, min(seq) as first, max(seq) as last, count(*) as row_count, max(sealed_ms) as ms
    from added group by tenant_id
  loop
    update evidence_logs set size = added_to.last + 1, sealed_ms = greatest(sealed_ms, added_to.ms)
    where tenant_id = added_to.tenant_id and size = added_to.first
      and added_to.last - added_to.first + 1 = added_to.row_count;
    if not found then
      raise exception 'records of the evidence log follow each other without a gap'
        using errcode = 'restrict_violation';
    end if;
  end loop;
  return null;
end
$$;
create trigger evidence_records_follow after insert on evidence_records
  referencing new table as added
  for each statement execute function follow_evidence();

-- A log keeps its name, and only grows.
create function keep_evidence_log() returns trigger
language plpgsql as $$
begin
  if (new.tenant_id, new.origin, new.created_at) is distinct from
     (old.tenant_id, old.origin, old.created_at)
     or new.size < old.size or new.sealed_ms < old.sealed_ms then
    raise exception 'evidence_logs only grows' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger evidence_logs_kept before update on evidence_logs
  for each row execute function keep_evidence_log();

-- Checkpoints are counted, do not get smaller or older, and sign the root that the log has, or that
-- was signed for the same size before: no fork is stored.
create function follow_checkpoints() returns trigger
language plpgsql as $$
declare
  before evidence_checkpoints%rowtype;
begin
  select * into before from evidence_checkpoints
  where tenant_id = new.tenant_id order by number desc limit 1;
  if new.number <> coalesce(before.number, 0) + 1
     or new.size < coalesce(before.size, 1) or new.time_ms <= coalesce(before.time_ms, 0) then
    raise exception 'a checkpoint follows the one before it' using errcode = 'restrict_violation';
  end if;
  if (new.size, new.root) is distinct from (before.size, before.root) and not exists (
    select from evidence_logs
    where tenant_id = new.tenant_id and size = new.size and root = new.root
  ) then
    raise exception 'a checkpoint signs the root of the log' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger evidence_checkpoints_follow before insert on evidence_checkpoints
  for each row execute function follow_checkpoints();

-- A payload is erased or stays as it is.
create function keep_evidence_payload() returns trigger
language plpgsql as $$
begin
  if (new.tenant_id, new.seq) is distinct from (old.tenant_id, old.seq)
     or old.erased_at is not null or new.erased_at is null then
    raise exception 'a payload is erased, or stays as it is' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger evidence_payloads_kept before update on evidence_payloads
  for each row execute function keep_evidence_payload();

do $$
declare
  name text;
begin
  -- update, delete and truncate are refused
  foreach name in array array[
    'evidence_records', 'evidence_controls', 'evidence_coverage', 'evidence_nodes',
    'evidence_checkpoints'
  ] loop
    execute format(
      'create trigger %1$s_stay before update on %1$I'
      ' for each statement execute function refuse_change_of_evidence()', name);
  end loop;
  foreach name in array array[
    'evidence_logs', 'evidence_records', 'evidence_controls', 'evidence_coverage',
    'evidence_nodes', 'evidence_checkpoints', 'evidence_payloads'
  ] loop
    execute format(
      'create trigger %1$s_remain before delete on %1$I'
      ' for each row execute function refuse_change_of_evidence()', name);
    execute format(
      'create trigger %1$s_whole before truncate on %1$I'
      ' for each statement execute function refuse_change_of_evidence()', name);
  end loop;
  foreach name in array array[
    'evidence_logs', 'evidence_inbox', 'evidence_records', 'evidence_controls', 'evidence_totals',
    'evidence_coverage', 'evidence_nodes', 'evidence_checkpoints', 'evidence_payloads',
    'evidence_coverage_cursors', 'evidence_acts_cursors', 'evidence_outages'
  ] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy %1$s_of_tenant on %1$I'
      ' using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant())', name);
    execute format('grant select, insert on %I to betrace_worker', name);
    execute format('grant select on %I to betrace_app', name);
  end loop;
end
$$;
revoke all on evidence_inbox from betrace_app;
grant select (tenant_id, position, kind, at) on evidence_inbox to betrace_app;

-- What came from Kafka for many tenants is handed over at once, and the sealer asks who waits.
create policy evidence_inbox_of_worker on evidence_inbox to betrace_worker
  using (true) with check (true);
create policy evidence_records_for_worker on evidence_records for select to betrace_worker
  using (true);
create policy evidence_logs_for_worker on evidence_logs for select to betrace_worker using (true);
create policy evidence_checkpoints_for_worker on evidence_checkpoints for select to betrace_worker
  using (true);
create policy evidence_coverage_cursors_for_worker on evidence_coverage_cursors
  for select to betrace_worker using (true);
create policy evidence_acts_cursors_for_worker on evidence_acts_cursors
  for select to betrace_worker using (true);
grant delete on evidence_inbox to betrace_worker;
grant update (root, edge) on evidence_logs to betrace_worker;
grant update (record_count, first_ms, last_ms, last_seq) on evidence_totals to betrace_worker;
grant update (rule_version, covered_ms, ended) on evidence_coverage_cursors to betrace_worker;
grant update (xact, seq) on evidence_acts_cursors to betrace_worker;
grant update (ended_ms, to_size, attempts, cause) on evidence_outages to betrace_worker;
-- Erasing.
grant update (payload, salt, erased_at, erased_by, act_id) on evidence_payloads to betrace_app;
-- What is sealed of the audit log.
grant select (id, tenant_id, xact, seq, at, actor, action, target, outcome) on audit_log
  to betrace_worker;
create policy audit_log_of_worker on audit_log for select to betrace_worker using (true);
