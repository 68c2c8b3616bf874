"""What a tenant may have and has: its tier, and each quota with what is used of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.tenants.settings import TenantSettings

QUOTA_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "monthly_spans": "Spans a month, for warnings",
        "max_rules": "Rules",
        "max_members": "Members and invitations",
        "requests_per_min": "Requests a minute",
        "person_requests_per_min": "Requests of one person a minute",
        "key_requests_per_min": "Requests of one API key a minute",
        "spans_per_s": "Spans a second",
        "span_bytes_per_s": "Bytes of spans a second",
    }
)
"""Every quota, in the order in which they are shown."""
_UNBOUNDED: Final = frozenset({"monthly_spans", "max_members"})
"""Of the others the installation has limits for everybody."""


def quota_text(name: str, most: int | None) -> str:
    """Return a quota in words."""
    if most is None:
        return "none" if name in _UNBOUNDED else "as installed"
    return f"{most:,}"


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota. most: None: none, or as the installation has it. used: None: it is a rate.

    own: it is the tenant's alone, and not the tier's.
    """

    name: str
    most: int | None
    used: int | None
    own: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """The tier of a tenant, and its quotas."""

    tier: str
    quotas: tuple[Quota, ...]


async def read_allowance(pool: Pool, scope: TenantScope) -> Allowance:
    """Return what the tenant may have. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("tenants").own(connection)
        if row is None:
            raise not_found("tenant")
        used = {
            "max_rules": await queries("rules").count_in_use(connection),
            "max_members": await _people(connection),
        }
    settings = TenantSettings.from_dict(row["settings"])
    return Allowance(
        row["tier"],
        tuple(
            Quota(name, getattr(settings, name), used.get(name), name in row["own"])
            for name in QUOTA_LABELS
        ),
    )


async def refuse_full(connection: Connection, *, joining: bool = False) -> None:
    """Refuse one more member than the tenant of the transaction may have, which has its turn.

    joining: by an invitation, which is counted no more. Raises ApiError 409.
    """
    settings = TenantSettings.from_dict(await queries("tenants").settings(connection))
    most = settings.max_members
    if most is None:
        return
    count = await (queries("members").count(connection) if joining else _people(connection))
    if count >= most:
        raise ApiError(
            409,
            "member.too_many",
            f"This tenant may have {most:,} members, invitations that are open among them, and has "
            f"{count:,}. Remove somebody, cancel an invitation, or ask your operator for more.",
            limit=most,
        )


async def _people(connection: Connection) -> int:
    members: int = await queries("members").count(connection)
    invited: int = await queries("invitations").count_open(connection)
    return members + invited
