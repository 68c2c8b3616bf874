"""What a tenant's own people change about it: what it is called, and how its traces are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError
from api.tenants.service import Tenant, tenant_of
from api.tenants.settings import OPERATORS, QUOTAS, TenantSettings
from api.tenants.turns import take_turn

NAME_LENGTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChange:
    """What is to be other than it is. display_name: None: as it is. settings: by name.

    Raises ValueError for a name that none can have, and for settings that are the operator's.
    """

    display_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.display_name
        if name is not None and (
            not 1 <= len(name) <= NAME_LENGTH or not name.isprintable() or name != name.strip()
        ):
            raise ValueError(f"a tenant's name has 1 to {NAME_LENGTH} printable characters")
        if operators := sorted(OPERATORS & self.settings.keys()):
            raise ValueError(f"only the operator sets {', '.join(operators)}")


async def change_tenant(pool: Pool, scope: TenantScope, change: TenantChange) -> Tenant:
    """Store what is other, and leave a record for the job if it must know. Nothing is published.

    Raises ApiError 400 for values outside their limits, 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await take_turn(connection)
        before = tenant_of(row)
        after = _merged(before.settings, change.settings)
        fields = await _store(connection, scope, before, after, own=row["own"])
        if change.display_name not in (None, before.title):
            await queries("tenants").rename(connection, display_name=change.display_name)
            fields.append("name")
        if fields:
            await record(
                connection,
                scope,
                "tenant.changed",
                f"tenant:{scope.tenant_id}",
                fields=", ".join(fields),
            )
        return tenant_of(await queries("tenants").own(connection))


async def _store(
    connection: Connection,
    scope: TenantScope,
    before: Tenant,
    after: TenantSettings,
    *,
    own: Mapping[str, Any],
) -> list[str]:
    """Store and announce settings; return the names of those that are other.

    own: as stored. Of quotas it keeps what it has: none becomes the tenant's by being written back.
    """
    old, new = before.settings.to_dict(), after.to_dict()
    fields = [name for name, value in new.items() if old[name] != value]
    if fields:
        people = {name: value for name, value in new.items() if name not in QUOTAS}
        await queries("tenants").update_settings(connection, settings=Jsonb({**own, **people}))
        await queries("outbox").enqueue(
            connection,
            rule_id=None,
            rule_version=None,
            record=after.log_record(scope.tenant_id),
        )
    return fields


def _merged(before: TenantSettings, changes: Mapping[str, Any]) -> TenantSettings:
    try:
        return TenantSettings.from_dict({**before.to_dict(), **changes})
    except ValueError as error:
        raise ApiError(400, "tenant.settings", f"{error}.") from error
