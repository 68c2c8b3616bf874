-- Deleting all rows of a tenant. The services' roles may delete hardly anything; these functions
-- run as the owner of the tables, on the tenant of the transaction, and only once it is due.

-- The owner is bound by row-level security as well. The purpose 'purge' is of these functions, and
-- worth nothing to another role.
do $$
declare
  policy text;
begin
  foreach policy in array array[
    'tenants_of_purge on tenants to %I using (scope_purpose() = ''purge'')',
    'users_of_purge on users to %I using (scope_purpose() = ''purge'')',
    'memberships_of_purge on memberships for select to %I using (scope_purpose() = ''purge'')',
    'trace_budgets_of_purge on trace_budgets to %I'
      ' using (scope_purpose() = ''purge'' and tenant_id = scope_tenant())',
    'audit_log_of_purge on audit_log for delete to %I'
      ' using (scope_purpose() = ''purge'' and tenant_id = scope_tenant())',
    'deletion_proofs_of_purge on deletion_proofs for insert to %I'
      ' with check (scope_purpose() = ''purge'')',
    'deletion_proofs_for_purge on deletion_proofs for select to %I'
      ' using (scope_purpose() = ''purge'')'
  ] loop
    execute format('create policy ' || policy, current_user);
  end loop;
end
$$;

-- Every table whose rows belong to tenants, those first that refer to others. whole: its rows refer
-- to one another, and go at once.
create function tables_to_purge() returns table (name text, whole boolean)
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  with recursive tenants_tables as (
    select c.oid, c.relname::text as name
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and c.relname <> 'deletion_proofs'
  ),
  refers as (
    select conrelid as child, confrelid as parent from pg_constraint where contype = 'f'
  ),
  placed (oid, place) as (
    select oid, 0 from tenants_tables
    union
    select r.parent, p.place + 1
    from placed p join refers r on r.child = p.oid and r.parent <> r.child
    where p.place < 50
  )
  select t.name, exists (select from refers r where r.child = t.oid and r.parent = t.oid)
  from tenants_tables t join placed p on p.oid = t.oid
  group by t.oid, t.name
  order by max(p.place), t.name
$$;
revoke all on function tables_to_purge() from public;

-- Let nobody of the tenant in any more. Called again it changes nothing. The row stays locked until
-- the transaction ends: whoever writes into the audit log of the tenant waits.
create function begin_purge() returns void
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  doomed tenants%rowtype;
begin
  perform set_config('app.purpose', 'purge', true);
  select * into doomed from tenants where id = scope_tenant() for update;
  if doomed.delete_after is null or doomed.delete_after > now() then
    raise exception 'tenant % is not to be deleted now', scope_tenant()
      using errcode = 'restrict_violation';
  end if;
  update tenants
  set suspended_at = coalesce(suspended_at, now()), purge_began_at = coalesce(purge_began_at, now())
  where id = doomed.id;
end
$$;

-- Note what the audit log of the tenant held when its deletion began.
create function end_audit(what jsonb) returns void
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  perform set_config('app.purpose', 'purge', true);
  update tenants set audit_end = coalesce(audit_end, what)
  where id = scope_tenant() and purge_began_at is not null;
end
$$;

-- Of people those who belong to no other tenant go with their membership, and what is theirs.
create function purge_people(most integer) returns jsonb
language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
  batch uuid[];
  lonely uuid[];
begin
  -- Whoever lets one of them into another tenant at this moment comes before or after.
  batch := array(
    select u.id from users u join memberships m on m.user_id = u.id
    where m.tenant_id = scope_tenant() order by u.id limit most for update of u
  );
  lonely := array(
    select id from unnest(batch) as b (id)
    where not exists (
      select from memberships m where m.user_id = b.id and m.tenant_id <> scope_tenant()
    )
  );
  delete from memberships where tenant_id = scope_tenant() and user_id = any (batch);
  delete from users where id = any (lonely);
  return jsonb_build_object('memberships', cardinality(batch), 'users', cardinality(lonely));
end
$$;
revoke all on function purge_people(integer) from public;

create function added(counts jsonb, more jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, public, pg_temp as $$
  select counts || coalesce(
    jsonb_object_agg(key, coalesce((counts ->> key)::bigint, 0) + value::bigint)
      filter (where value::bigint > 0), '{}')
  from jsonb_each_text(more)
$$;

-- Delete up to so many rows of the first table that has some, and count them in the tenant's row;
-- when none has any, leave the proof and delete the tenant. Returns what was deleted, null at last.
-- The lock on the tenant's row keeps others from adding rows that refer to it.
create function purge_some(most integer) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  doomed tenants%rowtype;
  place record;
  gone jsonb;
  gone_count bigint;
begin
  perform set_config('app.purpose', 'purge', true);
  select * into doomed from tenants where id = scope_tenant() for update;
  if not found then
    return null;
  end if;
  if doomed.audit_end is null then
    raise exception 'the deletion of tenant % has not begun', doomed.id
      using errcode = 'restrict_violation';
  end if;
  for place in select * from tables_to_purge() loop
    if place.name = 'memberships' then
      gone := purge_people(most);
      gone_count := (gone ->> 'memberships')::bigint;
    else
      execute format(
        'delete from %1$I where ctid = any (array('
        'select ctid from %1$I where tenant_id = $1 limit $2))', place.name
      ) using doomed.id, case when not place.whole then most end;
      get diagnostics gone_count = row_count;
      gone := jsonb_build_object(place.name, gone_count);
    end if;
    if gone_count > 0 then
      update tenants set purged = added(purged, gone) where id = doomed.id;
      return gone;
    end if;
  end loop;
  insert into deletion_proofs (
    tenant_id, name, asked_by, asked_at, due_at, began_at, deleted, audit_end
  ) values (
    doomed.id, doomed.name, doomed.deletion_asked_by, doomed.deletion_asked_at,
    doomed.delete_after, doomed.purge_began_at,
    added(doomed.purged, jsonb_build_object('tenants', 1)), doomed.audit_end
  );
  delete from tenants where id = doomed.id;
  return null;
end
$$;

-- The audit log of a tenant ends when its deletion begins: later rows, such as those of refusals
-- that were noted before, are not written.
create function refuse_audit_of_the_gone() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  purpose text := current_setting('app.purpose', true);
  gone boolean;
begin
  if new.tenant_id is null then
    return new;
  end if;
  perform set_config('app.purpose', 'purge', true);
  -- Whose deletion is under way is waited for.
  perform from tenants where id = new.tenant_id and purge_began_at is null for key share;
  gone := not found and exists (
    select from tenants where id = new.tenant_id
    union all
    select from deletion_proofs where tenant_id = new.tenant_id
  );
  perform set_config('app.purpose', coalesce(purpose, ''), true);
  return case when not gone then new end;
end
$$;
create trigger audit_log_of_those_there before insert on audit_log
  for each row execute function refuse_audit_of_the_gone();

do $$
declare
  callable text;
begin
  foreach callable in array array['begin_purge()', 'end_audit(jsonb)', 'purge_some(integer)'] loop
    execute format('revoke all on function %s from public', callable);
    execute format('grant execute on function %s to betrace_app', callable);
  end loop;
end
$$;
