-- The audit log: who was let in or refused, and who changed what. Written by the application and
-- never changed; what is older than the owner of the installation wants is forgotten by one
-- function, and by nothing else.

-- Auditors are members for a time.
alter table memberships
  add column expires_at timestamptz,
  drop constraint memberships_role,
  add constraint memberships_role check (
    role in ('admin', 'developer', 'sre', 'compliance-viewer', 'auditor', 'viewer')
  ),
  add constraint memberships_auditor_ends check (role <> 'auditor' or expires_at is not null);
grant update (expires_at) on memberships to betrace_app;

-- tenant_id is null where nobody knows whose it is (a made-up key): such rows no tenant sees, and
-- a tenant that is deleted leaves its rows behind, so there is no foreign key.
-- at, until_at: of the first and the last of `times` alike decisions within one minute.
-- actor: user:<id>, key:<id>, anonymous, operator:<account>, or betrace itself; target: kind:<id>.
-- Neither holds a name or an address of mail: readers see those of people who are members still.
-- (xact, seq) orders rows so that a reader below the oldest running transaction misses none.
create table audit_log (
  id uuid not null,
  xact xid8 not null default pg_current_xact_id(),
  seq bigint generated always as identity,
  tenant_id uuid,
  at timestamptz not null,
  until_at timestamptz not null,
  times integer not null default 1,
  actor text not null,
  action text not null,
  target text not null default '',
  outcome text not null,
  reason text not null default '',
  method text not null default '',
  route text not null default '',
  address text not null default '',
  user_agent text not null default '',
  request_id text not null default '',
  details jsonb not null default '{}',
  constraint audit_log_pkey primary key (id),
  constraint audit_log_outcome check (outcome in ('allowed', 'refused')),
  constraint audit_log_times check (times >= 1 and until_at >= at),
  constraint audit_log_lengths check (
    length(actor) between 1 and 300 and length(action) between 1 and 100
    and length(target) <= 300 and length(reason) <= 300 and length(method) <= 20
    and length(route) <= 300 and length(address) <= 100 and length(user_agent) <= 200
    and length(request_id) <= 64 and length(details::text) <= 4000
  )
);
create index audit_log_newest on audit_log (tenant_id, at desc, id desc);
create index audit_log_by_actor on audit_log (tenant_id, actor, at desc, id desc);
create index audit_log_by_target on audit_log (tenant_id, target, at desc, id desc);
create index audit_log_by_age on audit_log (at);

create trigger audit_log_immutable before update on audit_log
  for each row execute function refuse_change();

alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy audit_log_of_tenant on audit_log for select using (tenant_id = scope_tenant());
create policy audit_log_by_tenant on audit_log for insert with check (tenant_id = scope_tenant());
-- The outbox of decisions writes those of all tenants, and reads none.
create policy audit_log_by_outbox on audit_log for insert with check (scope_purpose() = 'audit');
grant select, insert on audit_log to betrace_app;

-- Only the owner may delete, and only what is old.
do $$
begin
  execute format(
    'create policy audit_log_old_read on audit_log for select to %I'
    ' using (at < now() - interval ''30 days'')', current_user);
  execute format(
    'create policy audit_log_old_forget on audit_log for delete to %I'
    ' using (at < now() - interval ''30 days'')', current_user);
  execute format(
    'create policy audit_log_forgotten on audit_log for insert to %I'
    ' with check (action = ''audit.forgotten'')', current_user);
end
$$;

-- Forget what is older than so many days, and leave a row for each tenant that says how much.
create function forget_audit(days integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  forgotten bigint;
begin
  if days < 30 then
    raise exception 'the audit log is kept for 30 days at least, not %', days
      using errcode = 'invalid_parameter_value';
  end if;
  with gone as (
    delete from audit_log where at < now() - make_interval(days => days) returning tenant_id, times
  ), counted as (
    select tenant_id, count(*) as row_count from gone group by tenant_id
  ), told as (
    insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome, reason, details)
    select gen_random_uuid(), tenant_id, now(), now(), 'betrace', 'audit.forgotten', 'allowed',
           'retention', jsonb_build_object('rows', row_count::text, 'days', days::text)
    from counted
  )
  select coalesce(sum(row_count), 0) into forgotten from counted;
  return forgotten;
end
$$;
revoke all on function forget_audit(integer) from public;
grant execute on function forget_audit(integer) to betrace_app;

