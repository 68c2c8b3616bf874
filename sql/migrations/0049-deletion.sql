-- A tenant that is to be deleted: for a time it can be read, exported and kept, then all of it goes
-- and a proof is left.

-- deletion_asked_at, deletion_asked_by, delete_after: null: nobody has asked for it.
-- paused_rules: {rule: state before} of the rules that were switched off when it was asked for.
-- purge_began_at: from then on nobody gets in and nothing can be taken back; audit_end: what the
-- audit log held by then; purged: {table: rows deleted so far}.
alter table tenants
  add column deletion_asked_at timestamptz,
  add column deletion_asked_by text,
  add column delete_after timestamptz,
  add column paused_rules jsonb,
  add column purge_began_at timestamptz,
  add column audit_end jsonb,
  add column purged jsonb not null default '{}',
  add constraint tenants_deletion_whole check (
    num_nulls(deletion_asked_at, deletion_asked_by, delete_after, paused_rules) in (0, 4)
  ),
  add constraint tenants_deletion_in_order check (
    delete_after >= deletion_asked_at
    and (purge_began_at is null or (delete_after is not null and suspended_at is not null))
    and (audit_end is null or purge_began_at is not null)
  );
create index tenants_to_delete on tenants (delete_after) where delete_after is not null;
grant update (deletion_asked_at, deletion_asked_by, delete_after, paused_rules) on tenants
  to betrace_app;

-- What is left of a deleted tenant. deleted: {table: rows}; audit_end: {entries, last_id, last_at,
-- sha256} (api/tenants/purge.py).
create table deletion_proofs (
  tenant_id uuid not null,
  name text not null,
  asked_by text not null,
  asked_at timestamptz not null,
  due_at timestamptz not null,
  began_at timestamptz not null,
  completed_at timestamptz not null default clock_timestamp(),
  deleted jsonb not null,
  audit_end jsonb not null,
  constraint deletion_proofs_pkey primary key (tenant_id)
);
create index deletion_proofs_newest on deletion_proofs (completed_at desc, tenant_id);
create trigger deletion_proofs_immutable before update or delete on deletion_proofs
  for each row execute function refuse_change();
create trigger deletion_proofs_kept before truncate on deletion_proofs
  for each statement execute function refuse_change();

alter table deletion_proofs enable row level security;
alter table deletion_proofs force row level security;
create policy deletion_proofs_of_operator on deletion_proofs for select
  using (scope_purpose() = 'operator');
-- The worker passes over what comes late of a tenant that is gone.
create policy deletion_proofs_of_worker on deletion_proofs for select to betrace_worker using (true);
grant select on deletion_proofs to betrace_app;
grant select (tenant_id) on deletion_proofs to betrace_worker;
