"""People of a provider, here: found by issuer and subject, made at their first sign-in, and members
of the tenants that their claims grant.

The address of mail never tells who somebody is: it can change hands, and a provider may let people
write it themselves. An account that has a password is linked by its own person while signed in
(`link`), or, where the operator wants that, by an address that the provider has verified.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import structlog
from psycopg.errors import UniqueViolation

from api.audit.trail import record, record_of_person
from api.auth.principal import Role, grant_scope
from api.database import Connection, Pool, queries, set_local, vouched_transaction
from api.identity.claims import Identified
from api.identity.grants import Kind, granted_roles
from api.identity.refusals import refused

log = structlog.get_logger(__name__)


class People:
    """Accounts of people whom one provider has vouched for."""

    def __init__(self, pool: Pool, *, link_verified_mail: bool = False) -> None:
        self._pool = pool
        self._link_verified_mail = link_verified_mail

    async def enter(self, who: Identified) -> UUID:
        """Return the person, with the memberships that the claims give now.

        Raises ApiError: identity.not_granted, no_mail, mail_taken, disabled; acting, where somebody
        in the person's place would make or link the account.
        """
        try:
            return await self._enter(who)
        except UniqueViolation:
            # The same person in two tabs: the other one was faster, and is found now.
            return await self._enter(who)

    async def link(self, who: Identified, user_id: UUID) -> None:
        """Let a person sign in by the provider from now on. Raises ApiError 403, 409."""
        if who.acting:
            raise refused("acting", user_id=user_id)
        try:
            async with vouched_transaction(
                self._pool, issuer=who.issuer, subject=who.subject
            ) as connection:
                known = await queries("identity").identity(connection)
                if known is not None and known != user_id:
                    raise refused("linked_elsewhere", user_id=user_id)
                if known is None:
                    await _become(connection, user_id)
                    await _add_identity(connection, user_id, by="person")
        except UniqueViolation as error:
            raise refused("linked_already", user_id=user_id) from error

    async def _enter(self, who: Identified) -> UUID:
        async with vouched_transaction(
            self._pool, issuer=who.issuer, subject=who.subject
        ) as connection:
            granted = await granted_roles(
                connection, who.standing, kind=Kind.GROUP, names=who.standing.groups
            )
            user_id: UUID | None = await queries("identity").identity(connection)
            if user_id is None:
                if not granted:
                    raise refused("not_granted")
                user_id = await self._first_time(connection, who)
            await _become(connection, user_id)
            user = await queries("identity").user(connection)
            await _renew_memberships(connection, user_id, granted, who=who)
            members = [row async for row in queries("identity").memberships(connection)]
        # Memberships that ended are gone for good, whatever is refused now.
        if user["disabled_at"] is not None:
            raise refused("disabled", user_id=user_id)
        if not members:
            raise refused("not_granted", user_id=user_id)
        return user_id

    async def _first_time(self, connection: Connection, who: Identified) -> UUID:
        """Return the account of somebody whom nobody here has seen, or whose account is linked."""
        if who.acting:
            raise refused("acting")
        if not who.email:
            raise refused("no_mail")
        await set_local(connection, email=who.email)
        namesake = await queries("auth").user_by_email(connection, email=who.email)
        if namesake is not None:
            return await self._link_by_mail(connection, who, namesake["id"])
        user_id = uuid4()
        await _become(connection, user_id)
        await queries("auth").insert_user(
            connection, id=user_id, email=who.email, name=who.name, password_hash=""
        )
        await queries("identity").insert_identity(connection, user_id=user_id)
        log.info("identity.person_made", user_id=str(user_id))
        return user_id

    async def _link_by_mail(self, connection: Connection, who: Identified, user_id: UUID) -> UUID:
        """Return the account with the address, if that is enough to be its person.

        It is not if the account has a second factor, which the mail would lead past.
        """
        await _become(connection, user_id)
        user = await queries("identity").user(connection)
        if (
            not (self._link_verified_mail and who.email_verified and user["has_password"])
            or user["disabled_at"] is not None
            or await queries("accounts").has_factor(connection)
            or await _is_linked(connection, issuer=who.issuer)
        ):
            raise refused("mail_taken", user_id=user_id)
        await _add_identity(connection, user_id, by="verified mail")
        return user_id


async def unlink(connection: Connection, user_id: UUID, *, issuer: str) -> None:
    """Let a person sign in by a provider no more, in a transaction of theirs. Raises ApiError."""
    if await queries("identity").drop_identity(connection, issuer=issuer) == 0:
        raise refused("not_linked")
    await record_of_person(connection, user_id, "identity.unlinked", issuer=issuer)


async def _renew_memberships(
    connection: Connection, user_id: UUID, granted: dict[UUID, Role], *, who: Identified
) -> None:
    """Give and end what the provider's claims decide; memberships given by hand stay."""
    before = {row["tenant_id"]: row async for row in queries("identity").any_membership(connection)}
    for tenant_id, role in granted.items():
        await set_local(connection, tenant_id=str(tenant_id))
        if await queries("identity").put_membership(
            connection, tenant_id=tenant_id, role=role.value
        ):
            await _record(connection, tenant_id, user_id, "member.changed", role.value, who=who)
        if not who.acting and who.email_verified:
            await _accept_invitation(connection, tenant_id, user_id, who=who)
    for tenant_id, row in before.items():
        if row["issuer"] == who.issuer and tenant_id not in granted:
            await set_local(connection, tenant_id=str(tenant_id))
            await queries("identity").drop_membership(connection, tenant_id=tenant_id)
            await _record(connection, tenant_id, user_id, "member.removed", row["role"], who=who)


async def _accept_invitation(
    connection: Connection, tenant_id: UUID, user_id: UUID, *, who: Identified
) -> None:
    """Write down that the provider's invitation has done its work: the claims let its person in."""
    invitation_id = await queries("invitations").accept_at_provider(
        connection, issuer=who.issuer, email=who.email
    )
    if invitation_id is not None:
        actor = f"user:{user_id}"
        scope = grant_scope(tenant_id, actor=actor)
        await record(
            connection, scope, "invitation.accepted", f"invitation:{invitation_id}", actor=actor
        )


async def _record(
    connection: Connection,
    tenant_id: UUID,
    user_id: UUID,
    action: str,
    role: str,
    *,
    who: Identified,
) -> None:
    actor = f"user:{user_id}"
    scope = grant_scope(tenant_id, actor=actor)
    facts = {"role": role, "issuer": who.issuer, "acting": who.acting or None}
    await record(connection, scope, action, actor, actor=actor, **facts)


async def _add_identity(connection: Connection, user_id: UUID, *, by: str) -> None:
    """Link an account that there was already."""
    await queries("identity").insert_identity(connection, user_id=user_id)
    await record_of_person(connection, user_id, "identity.linked", by=by)


async def _is_linked(connection: Connection, *, issuer: str) -> bool:
    rows = queries("identity").of_user(connection)
    return issuer in {row["issuer"] async for row in rows}


async def _become(connection: Connection, user_id: UUID) -> None:
    """Go on as a person."""
    await set_local(connection, user_id=str(user_id))
