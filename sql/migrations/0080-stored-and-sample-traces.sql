-- Stored traces are found by what they hold: a row a trace, with numbers for whatever can be asked.
-- And sample traces, to try rules on.

-- How a value is searched: numbers in one spelling, so that 1.50 finds 1.5; all else as it is.
create function search_text(value text) returns text
language sql immutable parallel safe
return case
  when length(value) <= 40 and value ~ '^-?(0|[1-9][0-9]*)(\.[0-9]+)?$'
    then trim_scale(value::numeric)::text
  else value
end;

-- The number of something that a trace of a tenant can hold: the first 64 bits of a SHA-256. The
-- tenant is part of it, so that tenants share no entries of the index.
-- kind: 'service' (value: its name), 'operation' (key: a service or empty, value: a span's name),
-- 'key' (key: of an attribute), 'attribute' (key and value), 'error'.
create function trace_term(tenant uuid, kind text, key text, value text) returns bigint
language sql stable parallel safe
return ('x' || encode(substr(sha256(convert_to(
  tenant::text || kind || length(key) || ':' || key
    || case kind when 'attribute' then search_text(value) else value end,
  'UTF8'
)), 1, 8), 'hex'))::bit(64)::bigint;

-- What the transaction asks for: numbers of terms, each of which a trace must hold; unset: nothing.
create function scope_trace_terms() returns bigint[]
language sql stable parallel safe
return coalesce(nullif(current_setting('app.trace_terms', true), ''), '{}')::bigint[];

-- started_at: as first_span_at of the copy. duration_ns: from the first start to the last end, by the
-- spans' own clocks. services, operations: the most frequent 100 of each. terms: the first 4,000.
create table trace_search (
  tenant_id uuid not null,
  trace_id bytea not null,
  started_at timestamptz not null,
  duration_ns bigint not null,
  error_count integer not null,
  services text[] not null,
  operations text[] not null,
  terms bigint[] not null,
  constraint trace_search_pkey primary key (tenant_id, trace_id),
  constraint trace_search_copy foreign key (tenant_id, trace_id)
    references trace_copies (tenant_id, trace_id) on delete cascade
);
-- Numbers of hashes cannot be compressed.
alter table trace_search alter column terms set storage external;

alter table trace_search enable row level security;
alter table trace_search force row level security;
-- The terms stand in the policy because a statement's own condition on them would not be asked of
-- the index: Postgres asks what is not leakproof only after the policy. They can only narrow it.
create policy trace_search_of_tenant on trace_search
  using (tenant_id = scope_tenant() and terms @> scope_trace_terms());
create policy trace_search_of_worker on trace_search to betrace_worker
  using (true) with check (true);
grant select on trace_search to betrace_app;
grant select, insert, update, delete on trace_search to betrace_worker;

-- Note what a stored trace holds, in place of what was noted before. Values of more than 256
-- characters are not searched, lists by their elements, objects within attributes not at all.
create function index_trace(tenant uuid, trace bytea) returns void
language sql as $$
  with spans as (
    select s.name, s.service, s.status, s.start_ns, s.end_ns, s.attributes, s.resource, s.events
    from trace_spans s
    where s.tenant_id = tenant and s.trace_id = trace
  ),
  held (key, value) as (
    select a.key, a.value from spans s cross join lateral jsonb_each(s.attributes) a
    union
    select a.key, a.value
    from (select distinct resource from spans) r cross join lateral jsonb_each(r.resource) a
    union
    select a.key, a.value
    from spans s
    cross join lateral jsonb_array_elements(s.events) e
    cross join lateral jsonb_each(
      case jsonb_typeof(e -> 'attributes') when 'object' then e -> 'attributes' else '{}' end
    ) a
    where s.events <> '[]'
  ),
  told (key, value) as (
    select h.key, h.value #>> '{}' from held h where jsonb_typeof(h.value) not in ('array', 'object')
    union
    select h.key, e.value #>> '{}'
    from held h
    cross join lateral jsonb_array_elements(
      case jsonb_typeof(h.value) when 'array' then h.value else '[]' end
    ) e
    where jsonb_typeof(e.value) not in ('array', 'object')
  ),
  names as (
    select service, name, count(*) as span_count, count(*) filter (where status = 'error') as failed
    from spans
    group by service, name
  ),
  numbered (rank, term) as (
    select 1, trace_term(tenant, 'error', '', '') from names where failed > 0
    union
    select 1, trace_term(tenant, 'service', '', service) from names where service <> ''
    union
    select 2, trace_term(tenant, 'operation', '', name) from names
    union
    select 2, trace_term(tenant, 'operation', service, name) from names where service <> ''
    union
    select 3, trace_term(tenant, 'key', key, '') from held
    union
    select 4, trace_term(tenant, 'attribute', key, value) from told where length(value) <= 256
  )
  insert into trace_search (
    tenant_id, trace_id, started_at, duration_ns, error_count, services, operations, terms
  )
  select c.tenant_id, c.trace_id, c.first_span_at, t.duration_ns, t.error_count,
    coalesce((
      select array_agg(service) from (
        select service from names where service <> ''
        group by service order by sum(span_count) desc, service limit 100
      ) s
    ), '{}'),
    coalesce((
      select array_agg(name) from (
        select name from names group by name order by sum(span_count) desc, name limit 100
      ) o
    ), '{}'),
    (
      select array_agg(term) from (
        select term from numbered group by term order by min(rank), term limit 4000
      ) n
    )
  from trace_copies c
  cross join (
    select least(greatest(max(end_ns) - min(start_ns), 0), 9223372036854775807)::bigint
        as duration_ns,
      count(*) filter (where status = 'error') as error_count
    from spans
    having count(*) > 0
  ) t
  where c.tenant_id = tenant and c.trace_id = trace
  on conflict on constraint trace_search_pkey do update set
    started_at = excluded.started_at,
    duration_ns = excluded.duration_ns,
    error_count = excluded.error_count,
    services = excluded.services,
    operations = excluded.operations,
    terms = excluded.terms
$$;

revoke all on function index_trace(uuid, bytea) from public;
grant execute on function index_trace(uuid, bytea) to betrace_worker;

-- Those that are stored already. The owner of the tables is bound by their policies as well.
alter table trace_copies no force row level security;
alter table trace_spans no force row level security;
alter table trace_search no force row level security;
do $$
begin
  perform index_trace(tenant_id, trace_id) from trace_copies;
end
$$;
alter table trace_copies force row level security;
alter table trace_spans force row level security;
alter table trace_search force row level security;

create index trace_search_newest on trace_search (tenant_id, started_at desc, trace_id desc);
create index trace_search_longest on trace_search (tenant_id, duration_ns);
-- Without a list of what is still to be put in, which every search would have to read.
create index trace_search_terms on trace_search using gin (terms) with (fastupdate = off);

-- The few signals that are not violated any more, or never were.
create index signals_by_verdict on signals (tenant_id, verdict, trace_id)
  where verdict <> 'violated' and trace_id is not null;

-- A tenant's own samples. spans: entries as in the tests of rules, redacted and without the ids they came with.
create table trace_samples (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  description text not null default '',
  tags text[] not null default '{}',
  spans jsonb not null,
  span_count integer not null,
  trace_count integer not null,
  services text[] not null,
  redaction_version integer not null,
  created_by text not null,
  acting text not null default scope_acting(),
  created_at timestamptz not null default clock_timestamp(),
  version integer not null default 1,
  constraint trace_samples_pkey primary key (tenant_id, id),
  constraint trace_samples_tenant foreign key (tenant_id) references tenants (id),
  constraint trace_samples_lengths check (
    length(name) between 1 and 255 and length(description) <= 4000 and cardinality(tags) <= 20
    and octet_length(spans::text) <= 4194304
  )
);
create index trace_samples_newest on trace_samples (tenant_id, created_at desc, id desc);

alter table trace_samples enable row level security;
alter table trace_samples force row level security;
create policy trace_samples_of_tenant on trace_samples
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
-- What was taken in stays; only what people say of it changes.
grant select, insert, delete, update (name, description, tags, version) on trace_samples
  to betrace_app;
