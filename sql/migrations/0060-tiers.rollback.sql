create or replace function tenant_at_hand(tenant uuid)
returns table (tenant_settings jsonb, delete_after timestamptz)
language plpgsql as $$
begin
  perform set_config('app.tenant_id', tenant::text, true);
  return query
    select t.settings, t.delete_after
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
           case when m.tenant_id = tenant then t.settings end,
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

alter table tenants no force row level security;
update tenants t set settings = effective_settings(t), tier = 'standard';
alter table tenants force row level security;
drop function effective_settings(tenants);
alter table tiers no force row level security;
delete from tiers where name <> 'standard';
alter table tiers force row level security;
alter table tiers drop column quotas;
