-- name: insert!
insert into invitations
  (id, tenant_id, email, role, member_until, token_hash, expires_at, invited_by)
values
  (:id, scope_tenant(), :email, :role, :member_until, :token_hash, now() + :lifetime, :invited_by);

-- name: one^
select id, email, role, member_until, expires_at, invited_by, created_at, mailed_at, accepted_at,
  cancelled_at, issuer, provider_id, expires_at <= now() as expired, mailed_at > now() - :pause as mailed_just_now
from invitations
where tenant_id = scope_tenant() and id = :id;

-- name: page
-- Newest first. ended: those as well that were accepted or cancelled.
select id, email, role, member_until, expires_at, invited_by, created_at, mailed_at, accepted_at,
  cancelled_at, issuer, provider_id, expires_at <= now() as expired
from invitations
where tenant_id = scope_tenant()
  and (:ended or token_hash is not null)
  and (:before_at::timestamptz is null or (created_at, id) < (:before_at, :before_id::uuid))
order by created_at desc, id desc
limit :limit;

-- name: count_open$
select count(*) from invitations where tenant_id = scope_tenant() and token_hash is not null;

-- name: count_lately$
select count(*) from invitations
where tenant_id = scope_tenant() and email = :email and created_at > now() - :window;

-- name: renew!
update invitations
set token_hash = :token_hash, expires_at = now() + :lifetime, mailed_at = null
where tenant_id = scope_tenant() and id = :id and token_hash is not null;

-- name: mailed!
update invitations set mailed_at = now()
where tenant_id = scope_tenant() and id = :id and token_hash is not null;

-- name: sent_by_provider!
update invitations
set mailed_at = now(), issuer = :issuer, provider_id = :provider_id, expires_at = :expires_at
where tenant_id = scope_tenant() and id = :id and token_hash is not null;

-- name: accept_at_provider$
-- By whoever came in with the invited address, which the provider has verified.
update invitations set accepted_at = now(), token_hash = null
where tenant_id = scope_tenant() and issuer = :issuer and email = :email and token_hash is not null
returning id;

-- name: cancel!
update invitations set cancelled_at = now(), token_hash = null
where tenant_id = scope_tenant() and id = :id and token_hash is not null;

-- name: of_token^
-- Whoever holds the link; nothing for one that is over.
select id, tenant_id, email, role, member_until, invited_by, expires_at
from invitations
where token_hash = :token_hash and expires_at > now()
  and (member_until is null or member_until > now());

-- name: tenant_of_token$
-- None of a tenant that is suspended.
select coalesce(t.display_name, t.name) from tenants t
where t.id = scope_tenant() and t.suspended_at is null;

-- name: accept!
update invitations set accepted_at = now(), token_hash = null
where tenant_id = scope_tenant() and token_hash = :token_hash and expires_at > now();

-- name: is_open$
select exists (
  select from invitations
  where tenant_id = scope_tenant() and email = :email and token_hash is not null
);
