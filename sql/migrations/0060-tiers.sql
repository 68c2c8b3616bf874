-- What a tenant may have by its tier, and what its operator has set for it alone.

-- quotas: settings of a tenant that say how much it may have, none of which the job needs to know;
-- what is not in it is as the installation has it.
alter table tiers add column quotas jsonb not null default '{}';
grant update (quotas) on tiers to betrace_app;

alter table tiers no force row level security;
insert into tiers (name, position, quotas, retention) values
  ('free', 2, '{
    "monthly_spans": 100000, "max_rules": 10, "max_members": 3,
    "requests_per_min": 300, "person_requests_per_min": 150, "key_requests_per_min": 100,
    "spans_per_s": 1000, "span_bytes_per_s": 1048576
  }', '{
    "signals": {"days": 30, "least": 1, "most": 30},
    "open_signals": {"days": 90, "least": 7, "most": 90},
    "dead_letters": {"days": 7, "least": 1, "most": 14},
    "backtests": {"days": 7, "least": 1, "most": 14},
    "accounts": {"days": 35, "least": 35, "most": 62},
    "usage": {"days": 400, "least": 400, "most": 400},
    "audit": {"days": 90, "least": 30, "most": 400}
  }'),
  ('team', 3, '{
    "monthly_spans": 10000000, "max_rules": 100, "max_members": 50,
    "requests_per_min": 10000, "person_requests_per_min": 600, "key_requests_per_min": 10000,
    "spans_per_s": 20000, "span_bytes_per_s": 20971520
  }', '{
    "signals": {"days": 90, "least": 1, "most": 365},
    "open_signals": {"days": null, "least": 7, "most": null},
    "dead_letters": {"days": 30, "least": 1, "most": 90},
    "backtests": {"days": 30, "least": 1, "most": 90},
    "accounts": {"days": 62, "least": 35, "most": 400},
    "usage": {"days": 800, "least": 400, "most": 3650},
    "audit": {"days": 400, "least": 30, "most": 3650}
  }'),
  ('enterprise', 4, '{
    "max_rules": 10000,
    "requests_per_min": 100000, "person_requests_per_min": 1200, "key_requests_per_min": 100000
  }', '{
    "signals": {"days": 365, "least": 1, "most": null},
    "open_signals": {"days": null, "least": 7, "most": null},
    "dead_letters": {"days": 30, "least": 1, "most": 365},
    "backtests": {"days": 90, "least": 1, "most": 365},
    "accounts": {"days": 400, "least": 35, "most": 800},
    "usage": {"days": 800, "least": 400, "most": null},
    "audit": {"days": 2555, "least": 30, "most": null}
  }');
alter table tiers force row level security;

-- Until now the settings of a tenant held every quota. What is as it was for everybody is the tier's
-- from now on; what is left was set for the tenant alone.
alter table tenants no force row level security;
update tenants t set settings = coalesce((
  select jsonb_object_agg(s.key, s.value)
  from jsonb_each(t.settings) s
  where not s.key in ('monthly_spans', 'max_rules', 'requests_per_min', 'person_requests_per_min',
                      'key_requests_per_min', 'spans_per_s', 'span_bytes_per_s')
    or (s.value <> 'null' and not (s.key = 'max_rules' and s.value = '1000'))
), '{}');
alter table tenants force row level security;

-- The settings that hold: of the tier, and over them those of the tenant. Each request asks; in this
-- language Postgres keeps the plan.
create function effective_settings(t tenants) returns jsonb
language plpgsql stable as $$
begin
  return (select r.quotas || t.settings from tiers r where r.name = t.tier);
end
$$;

-- As in 0058, with the settings that hold.
create or replace function tenant_at_hand(tenant uuid)
returns table (tenant_settings jsonb, delete_after timestamptz)
language plpgsql as $$
begin
  perform set_config('app.tenant_id', tenant::text, true);
  return query
    select effective_settings(t), t.delete_after
    from tenants t where t.id = tenant and t.suspended_at is null;
end
$$;

create or replace function member_at_hand(person uuid, tenant uuid, most integer)
returns table (
  email text, name text, tenant_id uuid, role text, tenant_name text, tenant_settings jsonb,
  delete_after timestamptz
)
language plpgsql as $$
begin
  perform set_config('app.user_id', person::text, true),
          set_config('app.tenant_id', tenant::text, true);
  return query
    select u.email, u.name, m.tenant_id, m.role, coalesce(t.display_name, t.name),
           case when m.tenant_id = tenant then effective_settings(t) end,
           case when m.tenant_id = tenant then t.delete_after end
    from users u
    join memberships m on m.user_id = u.id
    join tenants t on t.id = m.tenant_id
    where u.id = person and u.disabled_at is null and t.suspended_at is null
      and (m.expires_at is null or m.expires_at > now())
    order by m.tenant_id <> tenant, lower(coalesce(t.display_name, t.name)), t.id
    limit most;
end
$$;
