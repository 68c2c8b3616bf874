-- Who operates the installation from outside of it: keys that only a command on the host makes, and
-- sessions of browsers in which such a key was shown. They belong to no tenant, and open one
-- function that counts what tenants have.

create table operator_keys (
  id uuid not null,
  name text not null,
  key_hash bytea not null,
  networks cidr[] not null default '{}',
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  last_used_at timestamptz,
  constraint operator_keys_pkey primary key (id),
  -- for ever: records name operators by it
  constraint operator_keys_name_unique unique (name),
  constraint operator_keys_name_form check (name ~ '^[a-z0-9][a-z0-9._-]{0,49}$'),
  constraint operator_keys_hash_unique unique (key_hash),
  constraint operator_keys_hash_length check (length(key_hash) = 32)
);
create table operator_sessions (
  token_hash bytea not null,
  key_id uuid not null,
  csrf_token text not null,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint operator_sessions_pkey primary key (token_hash),
  constraint operator_sessions_key foreign key (key_id) references operator_keys (id) on delete cascade,
  constraint operator_sessions_hash_length check (length(token_hash) = 32)
);
create index operator_sessions_by_key on operator_sessions (key_id);
create index operator_sessions_by_expiry on operator_sessions (expires_at);

alter table operator_sessions enable row level security;
alter table operator_sessions force row level security;
create policy operator_sessions_of_credential on operator_sessions
  using (token_hash = scope_credential());
create policy operator_sessions_of_host on operator_sessions using (scope_purpose() = 'operator');
create policy operator_sessions_expired on operator_sessions for select
  using (scope_purpose() = 'housekeeping' and expires_at < now());
create policy operator_sessions_expire on operator_sessions for delete
  using (scope_purpose() = 'housekeeping' and expires_at < now());
grant select, insert, update (last_seen_at), delete on operator_sessions to betrace_app;

alter table operator_keys enable row level security;
alter table operator_keys force row level security;
create policy operator_keys_of_credential on operator_keys using (key_hash = scope_credential());
create policy operator_keys_of_session on operator_keys for select using (
  exists (
    select from operator_sessions s
    where s.key_id = operator_keys.id and s.token_hash = scope_credential()
  )
);
create policy operator_keys_of_host on operator_keys using (scope_purpose() = 'operator');
grant select, insert, update (last_used_at, revoked_at) on operator_keys to betrace_app;

-- What the function below reads, as the owner and for no other purpose.
do $$
declare
  read text;
begin
  foreach read in array array['tenants', 'usage_days', 'stats_minutes', 'signals', 'memberships'] loop
    execute format(
      'create policy %I on %I for select to %I using (scope_purpose() = ''overview'')',
      read || '_of_overview', read, current_user);
  end loop;
end
$$;

-- Tenants with what they have, in numbers, by name. The transaction must present the credential of
-- an operator, and is told nothing without. only_id: this one alone; after: names behind it.
create function tenants_overview(only_id uuid, sought text, after text, most integer)
returns table (
  id uuid, name text, display_name text, tier text, own_quotas jsonb, quotas jsonb,
  created_at timestamptz, suspended_at timestamptz, delete_after timestamptz,
  held_at timestamptz, held_by text,
  spans_this_month bigint, rule_count bigint, quarantined_count bigint, member_count bigint,
  last_span_at timestamptz, last_signal_at timestamptz
)
language plpgsql security definer set search_path = pg_catalog, public as $$
#variable_conflict use_column
begin
  if not exists (
    select from operator_keys k
    where k.revoked_at is null and k.expires_at > now()
      and (k.key_hash = scope_credential() or exists (
        select from operator_sessions s
        where s.key_id = k.id and s.token_hash = scope_credential() and s.expires_at > now()
      ))
  ) then
    raise exception 'this is for operators' using errcode = 'insufficient_privilege';
  end if;
  perform set_config('app.purpose', 'overview', true);
  return query
  select t.id, t.name, t.display_name, t.tier, t.settings, effective_settings(t),
    t.created_at, t.suspended_at, t.delete_after, t.held_at, t.held_by,
    (select coalesce(sum(u.spans), 0)::bigint from usage_days u
     where u.tenant_id = t.id and u.day >= date_trunc('month', now() at time zone 'UTC')::date),
    r.rule_count, r.quarantined_count,
    (select count(*) from memberships m
     where m.tenant_id = t.id and (m.expires_at is null or m.expires_at > now())),
    (select m.minute from stats_minutes m where m.tenant_id = t.id
     order by m.minute desc limit 1),
    (select g.occurred_at from signals g where g.tenant_id = t.id and g.raised
     order by g.occurred_at desc limit 1)
  from tenants t
  cross join lateral (
    select count(*) as rule_count, count(*) filter (where state = 'quarantined') as quarantined_count
    from rules where tenant_id = t.id and deleted_at is null
  ) r
  where (only_id is null or t.id = only_id)
    and (sought = '' or position(lower(sought) in lower(t.name || ' ' || coalesce(t.display_name, ''))) > 0)
    and (after is null or t.name > after)
  order by t.name
  limit most;
  perform set_config('app.purpose', '', true);
end
$$;
revoke all on function tenants_overview(uuid, text, text, integer) from public;
grant execute on function tenants_overview(uuid, text, text, integer) to betrace_app;
