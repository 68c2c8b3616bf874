-- depends: 0081-cases

-- A few ordinary traces of each tenant are stored as well, so that what is usual can be looked at, and
-- rules be tried on it. sampled: nothing but chance asked for the copy when it was made.
alter table trace_copies add column sampled boolean not null default false;
create index trace_copies_sampled on trace_copies (tenant_id, copied_at) where sampled;

-- When some worker looks for ordinary traces next.
create table sampling_rounds (
  id integer not null,
  next_at timestamptz not null,
  constraint sampling_rounds_pkey primary key (id),
  constraint sampling_rounds_one check (id = 1)
);
insert into sampling_rounds (id, next_at) values (1, now());
alter table sampling_rounds enable row level security;
alter table sampling_rounds force row level security;
create policy sampling_rounds_of_worker on sampling_rounds to betrace_worker
  using (true) with check (true);
grant select, update on sampling_rounds to betrace_worker;
