-- Anchors: checkpoints handed to a time-stamping authority, or to a sink that the customer holds.

-- Where checkpoints go. place: a URL, s3://bucket/prefix or an address; options: what else is to be
-- known of it, by kind. secret: sealed by the data key secret_key_id of the tenant. every_s: the
-- least time between two checkpoints that go there. failures, failing_since, last_error,
-- next_try_at: since it last worked. busy_until: until then somebody else is at it. removed_at: it
-- is used no more, and only named by anchors.
create table anchor_targets (
  tenant_id uuid not null,
  id uuid not null,
  kind text not null,
  place text not null,
  options jsonb not null default '{}',
  secret_key_id uuid,
  secret bytea,
  every_s integer not null,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  created_by text not null,
  removed_at timestamptz,
  failures integer not null default 0,
  failing_since timestamptz,
  last_error text,
  next_try_at timestamptz,
  last_done_at timestamptz,
  busy_until timestamptz,
  constraint anchor_targets_pkey primary key (tenant_id, id),
  constraint anchor_targets_tenant foreign key (tenant_id) references tenants (id),
  constraint anchor_targets_kind check (kind in ('tsa', 'webhook', 's3', 'mail')),
  constraint anchor_targets_lengths check (
    length(place) between 1 and 2100 and octet_length(secret) between 1 and 1000
    and length(options::text) <= 100000 and length(last_error) <= 1000
    and length(created_by) between 1 and 320
  ),
  constraint anchor_targets_every check (every_s between 60 and 604800),
  constraint anchor_targets_secret check ((secret is null) = (secret_key_id is null)),
  constraint anchor_targets_secret_of_kind check (
    (secret is null) = (kind in ('tsa', 'mail') or removed_at is not null)
  ),
  constraint anchor_targets_failing check (
    (failures = 0) = (failing_since is null) and (failures = 0) = (last_error is null)
  )
);
create unique index anchor_targets_once on anchor_targets (tenant_id, kind, place)
  where removed_at is null;

alter table anchor_targets enable row level security;
alter table anchor_targets force row level security;
create policy anchor_targets_of_tenant on anchor_targets
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy anchor_targets_of_worker on anchor_targets to betrace_worker
  using (true) with check (true);
grant select, insert on anchor_targets to betrace_app;
grant update (
  options, secret_key_id, secret, every_s, enabled, removed_at, failures, failing_since,
  last_error, next_try_at, last_done_at, busy_until
) on anchor_targets to betrace_app;
grant select on anchor_targets to betrace_worker;
grant update (failures, failing_since, last_error, next_try_at, last_done_at, busy_until)
  on anchor_targets to betrace_worker;

-- One checkpoint at one target. kind, place: as they were. imprint: SHA-256 of the note that was
-- handed over. answer: of an authority its DER TimeStampResp, else what the sink said. reason: why
-- it is not done yet, or was given up. stamped_at: when an authority says that it saw it.
create table anchors (
  tenant_id uuid not null,
  id uuid not null,
  target_id uuid not null,
  kind text not null,
  place text not null,
  checkpoint bigint not null,
  checkpoint_size bigint not null,
  checkpoint_ms bigint not null,
  state text not null default 'pending',
  attempts integer not null default 0,
  reason text,
  imprint bytea,
  answer bytea,
  stamped_at timestamptz,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint anchors_pkey primary key (tenant_id, id),
  constraint anchors_once unique (tenant_id, target_id, checkpoint),
  constraint anchors_target foreign key (tenant_id, target_id)
    references anchor_targets (tenant_id, id),
  constraint anchors_state check (state in ('pending', 'done', 'failed')),
  constraint anchors_finished check ((state = 'pending') = (finished_at is null)),
  constraint anchors_done check (
    (state = 'done') = (answer is not null) and (state = 'done') = (imprint is not null)
  ),
  constraint anchors_stamped check ((stamped_at is not null) = (state = 'done' and kind = 'tsa')),
  constraint anchors_reason check ((state = 'failed') <= (reason is not null)),
  constraint anchors_lengths check (
    length(reason) <= 1000 and octet_length(answer) <= 65536 and octet_length(imprint) = 32
  )
);
create index anchors_pending on anchors (tenant_id, target_id, attempts, checkpoint)
  where state = 'pending';
create index anchors_of_checkpoint on anchors (tenant_id, checkpoint desc, target_id);

-- What is handed to whom never changes, and what is done stays done.
create function keep_anchor() returns trigger
language plpgsql as $$
begin
  if old.state = 'done' then
    raise exception 'an anchor that is done stays as it is' using errcode = 'restrict_violation';
  end if;
  if (new.tenant_id, new.id, new.target_id, new.kind, new.place, new.checkpoint,
        new.checkpoint_size, new.checkpoint_ms, new.created_at)
       is distinct from
     (old.tenant_id, old.id, old.target_id, old.kind, old.place, old.checkpoint,
        old.checkpoint_size, old.checkpoint_ms, old.created_at) then
    raise exception 'what an anchor is of does not change' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger anchors_kept before update on anchors
  for each row execute function keep_anchor();
-- As the log itself they go with their tenant alone.
create trigger anchors_remain before delete on anchors
  for each row execute function refuse_change_of_evidence();
create trigger anchors_whole before truncate on anchors
  for each statement execute function refuse_change_of_evidence();

alter table anchors enable row level security;
alter table anchors force row level security;
create policy anchors_of_tenant on anchors
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy anchors_of_worker on anchors to betrace_worker using (true) with check (true);
grant select, insert on anchors to betrace_app, betrace_worker;
grant update (state, attempts, reason, imprint, answer, stamped_at, finished_at)
  on anchors to betrace_app, betrace_worker;
