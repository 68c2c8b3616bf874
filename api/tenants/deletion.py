"""Asking for the deletion of a tenant, and keeping it after all.

From the asking on, for the grace, the tenant takes no spans, its rules are off, and people read
and export what it has; keeping it puts the rules back. After the grace comes `api.tenants.purge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from psycopg.types.json import Jsonb

from api.audit.origin import current_origin
from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.retention.terms import HoldBy
from api.rules.model import RuleState
from api.rules.service import current_rule, restate
from api.tenants.turns import take_turn

_PATIENCE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Whether a tenant is to be deleted. asked_at, asked_by, due_at: None: it is not.

    name: what operators call it; title: what its people call it. asker: the address of whoever
    asked, if they are a member. began: nothing can be taken back. held_by: who lets nothing of it
    be deleted: it waits for them.
    """

    tenant_id: UUID
    name: str
    title: str
    asked_at: datetime | None
    asked_by: str | None
    due_at: datetime | None
    asker: str | None
    began: bool
    held_by: HoldBy | None

    @classmethod
    def from_row(cls, tenant_id: UUID, row: Mapping[str, Any]) -> Self:
        """Read a row of `asked` in sql/queries/deletion.sql."""
        return cls(
            tenant_id=tenant_id,
            name=row["name"],
            title=row["title"],
            asked_at=row["deletion_asked_at"],
            asked_by=row["deletion_asked_by"],
            due_at=row["delete_after"],
            asker=row["asker"],
            began=row["purge_began_at"] is not None,
            held_by=row["held_by"],
        )


async def read_deletion(pool: Pool, scope: TenantScope) -> Deletion:
    """Return whether the tenant is to be deleted. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, scope)


async def ask_for_deletion(
    pool: Pool, scope: TenantScope, *, typed: str, grace: timedelta
) -> Deletion:
    """Let a tenant be deleted after the grace, and switch its rules off. Nothing is published.

    typed: the tenant's name as its people or its operators know it, as a proof that this one is
    meant. Raises ApiError 404, 400 for another name, 409 if it was asked for already.
    """
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        await take_turn(connection)
        before = await _read(connection, scope)
        if typed.strip() not in (before.title, before.name):
            raise ApiError(
                400,
                "tenant.name",
                f"Type the name of the tenant as it is written, {before.title!r}, to say that this "
                "one is meant.",
            )
        if before.due_at is not None:
            raise ApiError(
                409,
                "tenant.to_be_deleted",
                f"The deletion was asked for already, for {before.due_at.isoformat()}.",
            )
        paused = await pause_rules(connection, scope)
        await queries("deletion").ask(
            connection, asked_by=_actor(scope), grace=grace, paused_rules=Jsonb(paused)
        )
        after = await _read(connection, scope)
        await record(
            connection,
            scope,
            "tenant.deletion_asked",
            f"tenant:{scope.tenant_id}",
            after=after.due_at,
            rules_paused=len(paused),
        )
        return after


async def keep_tenant(pool: Pool, scope: TenantScope) -> Deletion:
    """Let a tenant go on whose deletion was asked for, with its rules. Nothing is published.

    A rule that somebody changed meanwhile stays as it is.
    Raises ApiError 404, 409 if there is nothing to take back, or it is too late.
    """
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        await take_turn(connection)
        row = await queries("deletion").asked(connection)
        before = Deletion.from_row(scope.tenant_id, row)
        if before.due_at is None:
            raise ApiError(409, "tenant.not_to_be_deleted", "Nobody has asked for its deletion.")
        if before.began:
            raise deletion_began()
        resumed = await _resume_rules(connection, scope, row["paused_rules"])
        await queries("deletion").keep(connection)
        await record(
            connection,
            scope,
            "tenant.deletion_cancelled",
            f"tenant:{scope.tenant_id}",
            rules_resumed=resumed,
        )
        return await _read(connection, scope)


def deletion_began() -> ApiError:
    """Return the refusal of what would have kept a tenant."""
    return ApiError(409, "tenant.deletion_began", "It is too late: the deletion has begun.")


async def admins_of(pool: Pool, scope: TenantScope) -> list[str]:
    """Return the addresses of those who look after the tenant."""
    async with tenant_transaction(pool, scope) as connection:
        return [row["email"] async for row in queries("deletion").admins(connection)]


async def pause_rules(connection: Connection, scope: TenantScope) -> dict[str, str]:
    """Switch off what is judged, and return the states before by id.

    connection: of a transaction that has its turn.
    """
    ids = [row["id"] async for row in queries("deletion").judging_rules(connection)]
    paused = {}
    for rule_id in ids:
        rule = await current_rule(connection, rule_id)
        if rule is not None:
            paused[rule_id] = rule.state.value
            off = RuleState.OFF
            await restate(connection, scope, rule, state=off, wanted=off.value)
    return paused


async def _resume_rules(
    connection: Connection, scope: TenantScope, paused: Mapping[str, str]
) -> int:
    resumed = 0
    for rule_id, state in paused.items():
        rule = await current_rule(connection, rule_id)
        if rule is not None and not rule.deleted and rule.state is RuleState.OFF:
            await restate(connection, scope, rule, state=RuleState(state), wanted=state)
            resumed += 1
    return resumed


async def _read(connection: Connection, scope: TenantScope) -> Deletion:
    row = await queries("deletion").asked(connection)
    if row is None:
        raise not_found("tenant")
    return Deletion.from_row(scope.tenant_id, row)


def _actor(scope: TenantScope) -> str:
    """Return who asks as the audit log has it: an id, and no address of mail."""
    origin = current_origin()
    return origin.actor if origin else scope.actor
