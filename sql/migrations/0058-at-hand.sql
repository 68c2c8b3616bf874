-- What a presented credential opens, found in one question instead of one after the other: each
-- function says who is asking, reads what that opens, says who it is then, and reads on.
--
-- They run with the rights of their caller, so row-level security holds for every statement in them
-- as if the application had sent it. Called on their own they are a transaction by themselves: what
-- they say of who is asking ends with them, with a transaction pooler in between as well.

-- A tenant, unless it is suspended.
create function tenant_at_hand(tenant uuid)
returns table (tenant_settings jsonb, delete_after timestamptz)
language plpgsql as $$
begin
  perform set_config('app.tenant_id', tenant::text, true);
  return query
    select t.settings, t.delete_after
    from tenants t where t.id = tenant and t.suspended_at is null;
end
$$;

-- A person in a tenant: their tenants by name, that one first, and only of it settings and end.
create function member_at_hand(person uuid, tenant uuid, most integer)
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

-- The person of a session that is neither over nor idle for too long, as member_at_hand tells. A
-- session that was seen a while ago is written down as seen from an address, unless that is null.
-- If the server crashes and loses that, no harm is done: nobody waits for the disk.
create function session_at_hand(hash bytea, idle interval, seen_from text, most integer)
returns table (
  user_id uuid, csrf_token text, acting text, session_tenant_id uuid, session_ends_at timestamptz,
  email text, name text, tenant_id uuid, role text, tenant_name text, tenant_settings jsonb,
  delete_after timestamptz
)
language plpgsql as $$
declare
  held record;
begin
  perform set_config('app.credential', encode(hash, 'hex'), true);
  select s.user_id, s.tenant_id, s.csrf_token, s.acting, s.expires_at,
         s.last_seen_at < now() - interval '1 minute' as seen_a_while_ago
  into held
  from sessions s
  where s.token_hash = hash and s.expires_at > now() and s.last_seen_at > now() - idle;
  if not found then
    return;
  end if;
  if held.seen_a_while_ago then
    perform set_config('synchronous_commit', 'off', true);
    update sessions s set last_seen_at = now(), address = coalesce(seen_from, s.address)
    where s.token_hash = hash;
  end if;
  return query
    select held.user_id, held.csrf_token, held.acting, held.tenant_id, held.expires_at,
           m.email, m.name, m.tenant_id, m.role, m.tenant_name, m.tenant_settings, m.delete_after
    from member_at_hand(held.user_id, held.tenant_id, most) m;
end
$$;

-- An API key that is neither revoked nor over, of a tenant that is not suspended; else nothing.
-- left_s: until the key ends by itself; null: it does not.
create function key_at_hand(hash bytea)
returns table (
  id uuid, tenant_id uuid, name text, role text, scopes text[], networks text[],
  expires_at timestamptz, left_s numeric, tenant_settings jsonb, delete_after timestamptz
)
language plpgsql as $$
declare
  held api_keys;
begin
  perform set_config('app.credential', encode(hash, 'hex'), true);
  select k.* into held
  from api_keys k
  where k.key_hash = hash and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > now());
  if not found then
    return;
  end if;
  return query
    select held.id, held.tenant_id, held.name, held.role, held.scopes, held.networks::text[],
           held.expires_at, extract(epoch from held.expires_at - now()), t.tenant_settings,
           t.delete_after
    from tenant_at_hand(held.tenant_id) t;
end
$$;

-- What claims of a provider grant, one row for each grant that fits, in a transaction that has named
-- the provider. organisations, names: what the claims say.
create function granted(grant_kind text, organisations text[], names text[])
returns table (tenant_id uuid, role text)
language sql stable as $$
  select g.tenant_id, g.role
  from provider_grants g
  where g.issuer = scope_issuer()
    and g.kind = grant_kind
    and (g.organisation = '' or g.organisation = any(organisations))
    and (g.value = any(names) or (g.kind = 'group' and g.value = '*'))
$$;

-- Whoever holds an access token of a provider: a program by its client id, else a person who is
-- known by the subject, else whatever has the subject. What the claims grant, and of which tenants a
-- person is a member (issuer: whose claims gave that, null: given by hand); the application decides.
create function holder_at_hand(
  issuer text, subject text, client text, organisations text[], groups text[]
)
returns table (
  kind text, user_id uuid, email text, active boolean,
  granted_tenants uuid[], granted_roles text[],
  member_tenants uuid[], member_roles text[], member_issuers text[]
)
language plpgsql as $$
declare
  names text[];
begin
  perform set_config('app.issuer', issuer, true), set_config('app.subject', subject, true);
  if client = '' then
    select i.user_id into user_id
    from identities i where i.issuer = scope_issuer() and i.subject = scope_subject();
  end if;
  kind := case when client <> '' then 'client' when user_id is null then 'subject' else 'group' end;
  names := case kind
    when 'client' then array[client] when 'subject' then array[subject] else groups end;
  select coalesce(array_agg(g.tenant_id), '{}'), coalesce(array_agg(g.role), '{}')
  into granted_tenants, granted_roles
  from granted(kind, organisations, names) g;
  if user_id is not null then
    perform set_config('app.user_id', user_id::text, true);
    select u.email, u.disabled_at is null into email, active
    from users u where u.id = scope_user();
    select coalesce(array_agg(m.tenant_id), '{}'), coalesce(array_agg(m.role), '{}'),
           coalesce(array_agg(m.issuer), '{}')
    into member_tenants, member_roles, member_issuers
    from memberships m
    where m.user_id = scope_user() and (m.expires_at is null or m.expires_at > now());
  end if;
  return next;
end
$$;

revoke all on function
  tenant_at_hand(uuid), member_at_hand(uuid, uuid, integer),
  session_at_hand(bytea, interval, text, integer), key_at_hand(bytea),
  granted(text, text[], text[]), holder_at_hand(text, text, text, text[], text[])
from public;
grant execute on function
  tenant_at_hand(uuid), member_at_hand(uuid, uuid, integer),
  session_at_hand(bytea, interval, text, integer), key_at_hand(bytea),
  granted(text, text[], text[]), holder_at_hand(text, text, text, text[], text[])
to betrace_app;
