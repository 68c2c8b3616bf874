-- Verifications of evidence that somebody asked for, and notices about evidence: of a control of
-- which nothing is seen any more, and of a target that takes no checkpoints.

-- asked: the numbers of records, or the filter and where its page began. head_*: the checkpoint that
-- records were followed to, null while there was none. act_id: the row of the audit log that tells
-- of it. next_cursor: where the page after this one begins, null: there is none.
create table evidence_verifications (
  tenant_id uuid not null,
  id uuid not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  acting text not null default scope_acting(),
  asked jsonb not null,
  head_number bigint,
  head_size bigint,
  valid_count integer not null,
  invalid_count integer not null,
  unsigned_count integer not null,
  unverified_count integer not null,
  next_cursor text,
  act_id uuid not null,
  constraint evidence_verifications_pkey primary key (tenant_id, id),
  constraint evidence_verifications_tenant foreign key (tenant_id) references tenants (id),
  constraint evidence_verifications_head check (num_nulls(head_number, head_size) in (0, 2)),
  constraint evidence_verifications_lengths check (
    length(actor) between 1 and 320 and length(asked::text) <= 100000
    and length(next_cursor) <= 200
  )
);
create index evidence_verifications_newest on evidence_verifications (tenant_id, at desc, id desc);

-- What was found of a record. seq may be one that the log does not have.
create table evidence_verified (
  tenant_id uuid not null,
  verification_id uuid not null,
  seq bigint not null,
  badge text not null,
  code text not null,
  reason text not null,
  constraint evidence_verified_pkey primary key (tenant_id, verification_id, seq),
  constraint evidence_verified_verification foreign key (tenant_id, verification_id)
    references evidence_verifications (tenant_id, id),
  constraint evidence_verified_badge check (
    badge in ('valid', 'invalid', 'unsigned', 'unverified')
  ),
  constraint evidence_verified_reason check (
    (badge = 'valid') = (code = '') and length(code) <= 100 and length(reason) <= 1000
  )
);
create index evidence_verified_of_record on evidence_verified (tenant_id, seq);

do $$
declare
  name text;
begin
  foreach name in array array['evidence_verifications', 'evidence_verified'] loop
    execute format(
      'create trigger %1$s_stay before update on %1$I'
      ' for each statement execute function refuse_change_of_evidence()', name);
    execute format(
      'create trigger %1$s_remain before delete on %1$I'
      ' for each row execute function refuse_change_of_evidence()', name);
    execute format(
      'create trigger %1$s_whole before truncate on %1$I'
      ' for each statement execute function refuse_change_of_evidence()', name);
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy %1$s_of_tenant on %1$I'
      ' using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant())', name);
    execute format('grant select, insert on %I to betrace_app', name);
  end loop;
end
$$;

-- subject: of a control its id and its last evidence, of a target its id and since when it fails;
-- so each is told once, and again only after it was otherwise in between.
alter table notices
  drop constraint notices_kind,
  drop constraint notices_about,
  add constraint notices_kind check (
    kind in ('over_budget', 'quota', 'quiet_control', 'failing_target')
  ),
  add constraint notices_about check (
    case kind
      when 'over_budget' then subject is null and rule_id is not null and rule_version is not null
      else subject is not null and rule_id is null and acted_at is not null
    end
  );
drop index notices_newest;
create index notices_newest on notices (tenant_id, acted_at desc, id desc)
  where quarantined_version is not null or kind <> 'over_budget';
drop policy notices_of_quota on notices;
grant update (acknowledged_at, acknowledged_by) on notices to betrace_worker;
create policy notices_of_app on notices for insert to betrace_app
  with check (tenant_id = scope_tenant() and kind <> 'over_budget');
