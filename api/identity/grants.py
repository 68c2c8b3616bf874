"""Grants: what claims of a provider's people and programs give them here.

A grant belongs to a tenant, and an operator makes it. It names a provider, and of it the members of
a group (`*`: anybody) or one program, by its client id or its subject, with or without an
organisation; and it gives them one role. Of several roles in one tenant the first of `Role` counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from api.audit.trail import record
from api.auth.principal import Role, TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.identity.claims import Standing
from api.problems import ApiError, not_found

_ORDER: Final = {role: place for place, role in enumerate(Role)}


class Kind(StrEnum):
    """Of whom a grant speaks."""

    GROUP = "group"
    CLIENT = "client"
    SUBJECT = "subject"


ROLES: Final[Mapping[Kind, frozenset[Role]]] = {
    Kind.GROUP: frozenset(Role) - {Role.API_CLIENT, Role.AUDITOR},
    Kind.CLIENT: frozenset(Role) - {Role.AUDITOR},
    Kind.SUBJECT: frozenset(Role) - {Role.AUDITOR},
}
"""Auditors are members for a time, which a claim does not tell."""
ANYBODY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantee:
    """Of whom a grant speaks, which has one grant in a tenant.

    value: the group (`*`: anybody), client id or subject. organisation: empty for any.
    """

    issuer: str
    organisation: str = ""
    kind: Kind
    value: str

    def __post_init__(self) -> None:
        if self.kind is not Kind.GROUP and self.value == ANYBODY:
            raise ApiError(400, "identity.program", "A grant for programs names one of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Grantee):
    """What somebody is given."""

    role: Role

    def __post_init__(self) -> None:
        Grantee.__post_init__(self)
        if self.role not in ROLES[self.kind]:
            allowed = ", ".join(role for role in Role if role in ROLES[self.kind])
            raise ApiError(
                400,
                "identity.role",
                f"A {self.kind} cannot be granted the role {self.role}: choose of {allowed}.",
            )


async def granted_roles(
    connection: Connection, standing: Standing, *, kind: Kind, names: Iterable[str]
) -> dict[UUID, Role]:
    """Return the role that claims give in each tenant, in a transaction that knows the issuer.

    names: the groups of a person, or what names a program.
    """
    rows = queries("identity").granted(
        connection,
        kind=kind.value,
        organisations=sorted(standing.organisations),
        names=sorted(names),
    )
    return first_roles([(row["tenant_id"], row["role"]) async for row in rows])


def first_roles(granted: Iterable[tuple[UUID, str]]) -> dict[UUID, Role]:
    """Return one role for each tenant out of what several grants give."""
    roles: dict[UUID, Role] = {}
    for tenant_id, name in granted:
        role = Role(name)
        roles[tenant_id] = min(roles.get(tenant_id, role), role, key=_ORDER.__getitem__)
    return roles


async def put_grant(pool: Pool, scope: TenantScope, grant: Grant) -> None:
    """Make a grant; again changes its role."""
    async with tenant_transaction(pool, scope) as connection:
        await queries("identity").put_grant(
            connection, **_key(grant), role=grant.role.value, created_by=scope.actor
        )
        await record(
            connection, scope, "grant.changed", _target(grant), role=grant.role.value,
            issuer=grant.issuer, organisation=grant.organisation or None,
        )  # fmt: skip


async def drop_grant(pool: Pool, scope: TenantScope, whose: Grantee) -> None:
    """Take a grant back. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        if await queries("identity").drop_grant(connection, **_key(whose)) == 0:
            raise not_found("grant")
        await record(
            connection, scope, "grant.removed", _target(whose),
            issuer=whose.issuer, organisation=whose.organisation or None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody of the provider's has a role here: in an organisation, with a group."""

    organisation: str
    group: str


async def place_of_role(pool: Pool, scope: TenantScope, *, issuer: str, role: Role) -> Place | None:
    """Return where the provider must put somebody for them to have a role in the tenant.

    None if no grant for an organisation and a group gives that role.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("identity").place_of_role(connection, issuer=issuer, role=role.value)
    return Place(row["organisation"], row["group_name"]) if row else None


async def list_grants(pool: Pool, scope: TenantScope) -> list[Grant]:
    """Return the tenant's grants."""
    async with tenant_transaction(pool, scope) as connection:
        return [
            Grant(
                issuer=row["issuer"],
                organisation=row["organisation"],
                kind=Kind(row["kind"]),
                value=row["value"],
                role=Role(row["role"]),
            )
            async for row in queries("identity").grants(connection)
        ]


def _key(whose: Grantee) -> dict[str, str]:
    return {
        "issuer": whose.issuer,
        "organisation": whose.organisation,
        "kind": whose.kind.value,
        "value": whose.value,
    }


def _target(whose: Grantee) -> str:
    return f"{whose.kind}:{whose.value}"
