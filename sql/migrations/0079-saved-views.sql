-- What people keep of the list of signals, and what they do to many at once.

-- A view is a query string of the console with a name. owner: as the audit log names people. One
-- that is not shared is its owner's alone.
create table saved_views (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  query text not null,
  owner text not null,
  shared boolean not null default false,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  constraint saved_views_pkey primary key (tenant_id, id),
  constraint saved_views_name check (length(name) between 1 and 80),
  constraint saved_views_query check (length(query) <= 2000)
);
create unique index saved_views_of_owner on saved_views (tenant_id, owner, lower(name))
  where not shared;
create unique index saved_views_shared on saved_views (tenant_id, lower(name)) where shared;

alter table saved_views enable row level security;
alter table saved_views force row level security;
create policy saved_views_of_tenant on saved_views
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
grant select, insert, update, delete on saved_views to betrace_app;

-- One change of many signals. items: for each that was changed its id (hex), what it was before
-- and the version it has since, so that the change can be taken back where nobody changed it again.
create table signal_bulk_changes (
  tenant_id uuid not null,
  id uuid not null,
  actor text not null,
  acting text not null default scope_acting(),
  at timestamptz not null default now(),
  what jsonb not null,
  items jsonb not null,
  undone_at timestamptz,
  undone_by text,
  constraint signal_bulk_changes_pkey primary key (tenant_id, id),
  constraint signal_bulk_changes_undone check ((undone_at is null) = (undone_by is null))
);
create index signal_bulk_changes_by_age on signal_bulk_changes (at);

alter table signal_bulk_changes enable row level security;
alter table signal_bulk_changes force row level security;
create policy signal_bulk_changes_of_tenant on signal_bulk_changes
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy signal_bulk_changes_old on signal_bulk_changes for select
  using (scope_purpose() = 'housekeeping' and at < now() - interval '1 day');
create policy signal_bulk_changes_forget on signal_bulk_changes for delete
  using (scope_purpose() = 'housekeeping' and at < now() - interval '1 day');
grant select, insert, delete on signal_bulk_changes to betrace_app;
grant update (what, undone_at, undone_by) on signal_bulk_changes to betrace_app;
