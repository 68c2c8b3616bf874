-- Spans of each tenant and day, out of the accounts that the job keeps by minute and lane; and
-- notices about what is used up.

-- day: in UTC, of event time. Counted anew while the day can still grow.
create table usage_days (
  tenant_id uuid not null,
  day date not null,
  spans bigint not null,
  counted_at timestamptz not null default now(),
  constraint usage_days_pkey primary key (tenant_id, day),
  constraint usage_days_tenant foreign key (tenant_id) references tenants (id) on delete cascade,
  constraint usage_days_spans check (spans >= 0)
);
alter table usage_days enable row level security;
alter table usage_days force row level security;
create policy usage_days_of_tenant on usage_days using (tenant_id = scope_tenant());
grant select, insert, update (spans, counted_at) on usage_days to betrace_app;

-- subject: what a notice is about that is about no rule; told once.
alter table notices
  add column subject text,
  alter column rule_id drop not null,
  alter column rule_version drop not null,
  drop constraint notices_kind,
  add constraint notices_kind check (kind in ('over_budget', 'quota')),
  add constraint notices_about check (
    case kind when 'quota' then subject is not null and rule_id is null and acted_at is not null
    else subject is null and rule_id is not null and rule_version is not null end
  ),
  add constraint notices_subject_once unique (tenant_id, kind, subject);
drop index notices_newest;
create index notices_newest on notices (tenant_id, acted_at desc, id desc)
  where quarantined_version is not null or kind = 'quota';
create policy notices_of_quota on notices for insert to betrace_app
  with check (tenant_id = scope_tenant() and kind = 'quota');
grant insert on notices to betrace_app;
