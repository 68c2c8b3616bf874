-- Keys of tenants (udfs/keysource): what they are for, and what became of them. Private parts are
-- here only wrapped by a master key that is elsewhere, or by name if they are elsewhere themselves.

-- generation: counts the keys of a tenant and purpose; the highest is in use, unless it was revoked.
-- Of several processes that make the next one, tenant_keys_one_of_generation lets one do it.
-- provider, master, form, sealed: how the private part is wrapped, all null once it is destroyed.
-- untrusted_from: signatures of then and later count for nothing.
create table tenant_keys (
  tenant_id uuid not null,
  id uuid not null,
  purpose text not null,
  generation integer not null,
  provider text,
  master text,
  form text,
  sealed bytea,
  public_key bytea,
  created_at timestamptz not null default clock_timestamp(),
  created_by text not null,
  revoked_at timestamptz,
  revoked_by text,
  revoked_reason text,
  untrusted_from timestamptz,
  destroyed_at timestamptz,
  constraint tenant_keys_pkey primary key (tenant_id, id),
  constraint tenant_keys_one_of_generation unique (tenant_id, purpose, generation),
  constraint tenant_keys_tenant foreign key (tenant_id) references tenants (id),
  constraint tenant_keys_purpose check (purpose in ('signing', 'data', 'redaction')),
  constraint tenant_keys_generation check (generation >= 1),
  constraint tenant_keys_form check (form in ('wrapped', 'held', 'inside')),
  constraint tenant_keys_lengths check (
    length(provider) between 1 and 40 and length(master) <= 2048
    and octet_length(sealed) between 1 and 8192 and length(created_by) between 1 and 300
    and length(revoked_by) between 1 and 300 and length(revoked_reason) between 1 and 1000
  ),
  constraint tenant_keys_public_of_signing check (
    (public_key is not null) = (purpose = 'signing') and octet_length(public_key) = 32
  ),
  constraint tenant_keys_sealed_until_destroyed check (
    num_nulls(provider, master, form, sealed) = case when destroyed_at is null then 0 else 4 end
  ),
  constraint tenant_keys_revocation_whole check (
    num_nulls(revoked_at, revoked_by, revoked_reason, untrusted_from) in (0, 4)
    and untrusted_from <= revoked_at
  )
);

-- What a key is never changes, a revocation only gets earlier, and what is destroyed stays so.
create function keep_tenant_key() returns trigger
language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.purpose, new.generation, new.created_at, new.created_by)
       is distinct from
     (old.tenant_id, old.id, old.purpose, old.generation, old.created_at, old.created_by)
     or new.public_key is distinct from old.public_key then
    raise exception 'what a key is does not change' using errcode = 'restrict_violation';
  end if;
  if old.destroyed_at is not null and new.destroyed_at is distinct from old.destroyed_at then
    raise exception 'a key that is destroyed stays so' using errcode = 'restrict_violation';
  end if;
  if old.revoked_at is not null and (
       (new.revoked_at, new.revoked_by, new.revoked_reason)
         is distinct from (old.revoked_at, old.revoked_by, old.revoked_reason)
       or new.untrusted_from > old.untrusted_from) then
    raise exception 'a revocation is not taken back' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger tenant_keys_kept before update on tenant_keys
  for each row execute function keep_tenant_key();

-- No key is made for a tenant whose deletion has begun: it would be left in the key service.
create function refuse_keys_of_the_gone() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  purpose text := current_setting('app.purpose', true);
  going boolean;
begin
  perform set_config('app.purpose', 'purge', true);
  -- Whose deletion begins at this moment is waited for.
  select purge_began_at is not null into going
  from tenants where id = new.tenant_id for key share;
  perform set_config('app.purpose', coalesce(purpose, ''), true);
  if going then
    raise exception 'tenant % is being deleted', new.tenant_id
      using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
create trigger tenant_keys_of_those_there before insert on tenant_keys
  for each row execute function refuse_keys_of_the_gone();

alter table tenant_keys enable row level security;
alter table tenant_keys force row level security;
create policy tenant_keys_of_tenant on tenant_keys
  using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant());
grant select, insert on tenant_keys to betrace_app, betrace_worker;
grant update (
  provider, master, form, sealed, revoked_at, revoked_by, revoked_reason, untrusted_from,
  destroyed_at
) on tenant_keys to betrace_app;
-- Keys are made where one is needed first, the worker's included, and that is on the audit log.
grant insert on audit_log to betrace_worker;
