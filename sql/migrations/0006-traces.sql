-- Copies of traces, written whole by the worker: a copy replaces the one before it.

create table trace_copies (
  tenant_id uuid not null,
  trace_id bytea not null,
  root_name text not null default '',
  root_service text not null default '',
  services text[] not null default '{}',
  span_count integer not null,
  -- false: the log no longer held all of it
  whole boolean not null,
  first_span_at timestamptz not null,
  last_span_at timestamptz not null,
  log_partition integer not null,
  log_first_offset bigint not null,
  log_last_offset bigint not null,
  copied_at timestamptz not null default now(),
  constraint trace_copies_pkey primary key (tenant_id, trace_id),
  constraint trace_copies_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint trace_copies_trace_id_length check (length(trace_id) = 16)
);
create index trace_copies_newest on trace_copies (tenant_id, first_span_at desc);

alter table trace_copies enable row level security;
alter table trace_copies force row level security;
create policy trace_copies_of_tenant on trace_copies using (tenant_id = scope_tenant());
create policy trace_copies_of_worker on trace_copies to betrace_worker using (true) with check (true);
grant select on trace_copies to betrace_app;
grant select, insert, update, delete on trace_copies to betrace_worker;

-- ordinal: place in the copy by start, then span id. A span id may occur twice with another kind or
-- name (shared ids). Times are the spans' own clocks in unix nanoseconds, unsigned 64 bit.
-- attributes, resource, scope: {key: value}; events: [{name, time_ns, attributes}];
-- links: [{trace_id, span_id, attributes}].
create table trace_spans (
  tenant_id uuid not null,
  trace_id bytea not null,
  ordinal integer not null,
  span_id bytea not null,
  parent_span_id bytea,
  name text not null,
  service text not null default '',
  kind text not null,
  status text not null,
  status_message text not null default '',
  start_ns numeric(20, 0) not null,
  end_ns numeric(20, 0) not null,
  attributes jsonb not null default '{}',
  resource jsonb not null default '{}',
  scope jsonb not null default '{}',
  events jsonb not null default '[]',
  links jsonb not null default '[]',
  dropped_attributes_count bigint not null default 0,
  constraint trace_spans_pkey primary key (tenant_id, trace_id, ordinal),
  constraint trace_spans_copy foreign key (tenant_id, trace_id)
    references trace_copies (tenant_id, trace_id) on delete cascade,
  constraint trace_spans_span_id_length check (length(span_id) = 8),
  constraint trace_spans_parent_length check (parent_span_id is null or length(parent_span_id) = 8),
  constraint trace_spans_kind check (
    kind in ('unspecified', 'internal', 'server', 'client', 'producer', 'consumer')
  ),
  constraint trace_spans_status check (status in ('unset', 'ok', 'error'))
);

alter table trace_spans enable row level security;
alter table trace_spans force row level security;
create policy trace_spans_of_tenant on trace_spans using (tenant_id = scope_tenant());
create policy trace_spans_of_worker on trace_spans to betrace_worker using (true) with check (true);
grant select on trace_spans to betrace_app;
grant select, insert, update, delete on trace_spans to betrace_worker;
