"""Reading tiers, putting tenants into them, and changing what they grant. For operators."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from psycopg.types.json import Jsonb

from api.audit.trail import record, record_of_operators
from api.auth.principal import TenantScope
from api.database import (
    Connection,
    Pool,
    purpose_transaction,
    queries,
    tenant_transaction,
)
from api.problems import ApiError, not_found
from api.retention.terms import Kind, Term
from api.tenants.settings import QUOTAS, TenantSettings
from api.tenants.turns import take_turn
from api.tiers.model import Tier, stored_settings


async def list_tiers(pool: Pool) -> list[Tier]:
    """Return every tier, the first one first."""
    async with purpose_transaction(pool, "operator") as connection:
        return [Tier.from_row(row) async for row in queries("tiers").tiers(connection)]


async def read_tier(pool: Pool, name: str) -> Tier:
    """Return a tier. Raises ApiError 404."""
    async with purpose_transaction(pool, "operator") as connection:
        return await tier_in(connection, name)


async def tier_in(connection: Connection, name: str) -> Tier:
    """As `read_tier`, within any transaction."""
    row: dict[str, Any] | None = await queries("tiers").tier(connection, name=name)
    if row is None:
        raise not_found("tier")
    return Tier.from_row(row)


async def put_into_tier(pool: Pool, scope: TenantScope, name: str) -> bool:
    """Let a tenant have what a tier grants from now on; False if it does already.

    What was set for it alone stays so. Nothing that it has too much of is taken away.
    Raises ApiError 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        before = (await take_turn(connection))["tier"]
        tier = await tier_in(connection, name)
        if before == tier.name:
            return False
        await queries("tiers").put_into(connection, name=tier.name)
        await record(
            connection,
            scope,
            "tenant.tier",
            f"tenant:{scope.tenant_id}",
            before=before,
            tier=tier.name,
        )
    return True


async def drop_own_quotas(pool: Pool, scope: TenantScope) -> bool:
    """Let a tenant have what its tier grants and nothing else; False if that is so already."""
    async with tenant_transaction(pool, scope) as connection:
        own = (await take_turn(connection))["own"]
        dropped = QUOTAS & own.keys()
        if not dropped:
            return False
        kept = {name: value for name, value in own.items() if name not in QUOTAS}
        await queries("tenants").update_settings(connection, settings=Jsonb(kept))
        await record(
            connection,
            scope,
            "tenant.changed",
            f"tenant:{scope.tenant_id}",
            fields=", ".join(sorted(dropped)),
        )
    return True


async def set_own_quotas(
    pool: Pool, scope: TenantScope, changes: Mapping[str, int | None], *, as_tier: Collection[str]
) -> None:
    """Set quotas for a tenant alone, and take others back, which are as its tier says from then on.

    changes: None: there is no such quota, or it is as the installation has it.
    Raises ApiError 400 for what cannot be.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await take_turn(connection)
        quotas = (await tier_in(connection, row["tier"])).quotas
        own = {name: value for name, value in row["own"].items() if name not in as_tier}
        try:
            settings = TenantSettings.from_dict({**quotas, **own, **changes})
        except ValueError as error:
            raise ApiError(400, "tenant.quotas", f"{error}.") from error
        stored = stored_settings(settings, quotas)
        stored = {name: stored[name] for name in stored if name in QUOTAS or name in own}
        if stored == row["own"]:
            return
        await queries("tenants").update_settings(connection, settings=Jsonb(stored))
        await record(
            connection,
            scope,
            "tenant.changed",
            f"tenant:{scope.tenant_id}",
            fields=", ".join(sorted({*changes, *as_tier})),
        )


async def change_quotas(pool: Pool, name: str, changes: Mapping[str, Any], *, actor: str) -> Tier:
    """Let a tier grant other quotas; it holds for all of its tenants within seconds.

    changes: by the names of settings; None: there is no such quota, or it is the installation's.
    Raises ApiError 404, 400 for what cannot be.
    """
    if unknown := sorted(changes.keys() - QUOTAS):
        raise ApiError(400, "tier.quotas", f"{', '.join(unknown)}: no quota of a tier.")
    async with purpose_transaction(pool, "operator") as connection:
        tier = await tier_in(connection, name)
        quotas = {**tier.quotas, **changes}
        quotas = {quota: value for quota, value in quotas.items() if value is not None}
        try:
            TenantSettings.from_dict(quotas)
        except ValueError as error:
            raise ApiError(400, "tier.quotas", f"{error}.") from error
        await queries("tiers").update_quotas(connection, name=name, quotas=Jsonb(quotas))
        return await _changed(connection, name, actor=actor, fields=", ".join(sorted(changes)))


async def change_term(pool: Pool, name: str, kind: Kind, term: Term, *, actor: str) -> Tier:
    """Let tenants of a tier keep things of a kind for other times. Raises ApiError 404."""
    async with purpose_transaction(pool, "operator") as connection:
        tier = await tier_in(connection, name)
        terms = {**tier.retention, kind: term}
        stored = {each: of_kind.to_dict() for each, of_kind in terms.items()}
        await queries("tiers").update_retention(connection, name=name, retention=Jsonb(stored))
        return await _changed(connection, name, actor=actor, fields=f"retention of {kind}")


async def _changed(connection: Connection, name: str, *, actor: str, fields: str) -> Tier:
    """Write that an operator changed a tier, and return what it grants now."""
    tier = await tier_in(connection, name)
    await record_of_operators(
        connection, "tier.changed", f"tier:{name}", actor=actor, fields=fields
    )
    return tier
