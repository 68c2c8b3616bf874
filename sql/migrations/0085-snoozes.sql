-- depends: 0084-rules-with-controls

-- Times in which a rule alerts nobody, because somebody said so. What it finds meanwhile is on record
-- with the snooze that silenced it (signals.exception: reason, owner, until, snooze). Of no version of
-- the rule: the rule is as it was. ended_at: when somebody ended it before its time.
create table rule_snoozes (
  tenant_id uuid not null,
  id uuid not null,
  rule_id text not null,
  from_at timestamptz not null default now(),
  until_at timestamptz not null,
  reason text not null,
  actor text not null,
  acting text not null default scope_acting(),
  ended_at timestamptz,
  ended_by text,
  constraint rule_snoozes_pkey primary key (tenant_id, id),
  constraint rule_snoozes_rule foreign key (tenant_id, rule_id)
    references rules (tenant_id, id) on delete cascade,
  constraint rule_snoozes_span check (from_at < until_at),
  constraint rule_snoozes_reason check (length(reason) between 1 and 500),
  constraint rule_snoozes_ended check ((ended_at is null) = (ended_by is null))
);
create index rule_snoozes_newest on rule_snoozes (tenant_id, rule_id, from_at desc);

alter table rule_snoozes enable row level security;
alter table rule_snoozes force row level security;
create policy rule_snoozes_of_tenant on rule_snoozes
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
create policy rule_snoozes_for_worker on rule_snoozes for select to betrace_worker using (true);
grant select, insert on rule_snoozes to betrace_app;
grant update (ended_at, ended_by) on rule_snoozes to betrace_app;
grant select on rule_snoozes to betrace_worker;
