"""Snoozes begun, ended and listed.

A rule has one at a time: another one takes its place. What counts is when a violation was judged,
so neither the worker's lag nor a replay changes what was silent; what was silent does not alert
afterwards.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.redaction.redactors import Redactors
from api.redaction.service import redacted_text
from api.snoozes.model import LISTED_MAX, LONGEST, REASON_MAX, Snooze


async def list_snoozes(pool: Pool, scope: TenantScope, rule_id: str) -> tuple[Snooze, ...]:
    """Return the snoozes of a rule, newest first. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        await _rule(connection, rule_id, deleted_too=True)
        return await _read(connection, rule_id)


async def running_snoozes(pool: Pool, scope: TenantScope) -> dict[str, Snooze]:
    """Return what silences rules at this moment, by rule."""
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("snoozes").running(connection)
        return {row["rule_id"]: Snooze.from_row(row) async for row in rows}


async def snooze_rule(
    pool: Pool,
    redactors: Redactors,
    scope: TenantScope,
    rule_id: str,
    *,
    until: datetime,
    reason: str,
) -> Snooze:
    """Let a rule alert nobody until a moment; ends what silences it already.

    Raises ApiError 404; 400 without a reason; 422 for a moment that is over or too far off.
    """
    told = reason.replace("\0", "").strip()
    if not told:
        raise ApiError(400, "snooze.no_reason", "Say why the rule is to be silent.")
    told = (await redacted_text(redactors, scope, told[:REASON_MAX]))[:REASON_MAX]
    id_ = uuid4()
    async with tenant_transaction(pool, scope) as connection:
        now = await _rule(connection, rule_id)
        _check_until(until, now)
        await _end(connection, scope, rule_id)
        await queries("snoozes").add(
            connection, id=id_, rule_id=rule_id, until_at=until, reason=told, actor=scope.actor
        )
        await record(connection, scope, "rule.snoozed", f"rule:{rule_id}", until=until.isoformat())
        return (await _read(connection, rule_id))[0]


async def wake_rule(pool: Pool, scope: TenantScope, rule_id: str) -> Snooze:
    """End what silences a rule. Raises ApiError 404, 409 if nothing does."""
    async with tenant_transaction(pool, scope) as connection:
        await _rule(connection, rule_id)
        if not await _end(connection, scope, rule_id):
            raise ApiError(409, "snooze.none", "The rule is not snoozed; it alerts as it is.")
        await record(connection, scope, "rule.woken", f"rule:{rule_id}")
        return (await _read(connection, rule_id))[0]


async def _rule(connection: Connection, rule_id: str, *, deleted_too: bool = False) -> datetime:
    """Lock a rule; return the time of the transaction. Raises ApiError 404."""
    row = await queries("snoozes").lock_rule(connection, rule_id=rule_id)
    if row is None or (row["deleted"] and not deleted_too):
        raise not_found("rule")
    at: datetime = row["at"]
    return at


async def _read(connection: Connection, rule_id: str) -> tuple[Snooze, ...]:
    rows = queries("snoozes").of_rule(connection, rule_id=rule_id, limit=LISTED_MAX)
    return tuple([Snooze.from_row(row) async for row in rows])


async def _end(connection: Connection, scope: TenantScope, rule_id: str) -> bool:
    rows = queries("snoozes").end_running(connection, rule_id=rule_id, actor=scope.actor)
    return bool([row async for row in rows])


def _check_until(until: datetime, now: datetime) -> None:
    if until <= now:
        raise ApiError(422, "snooze.over", "The end lies in the past: choose a later one.")
    if until > now + LONGEST:
        raise ApiError(
            422,
            "snooze.too_long",
            f"A rule is silent for {LONGEST.days} days at most. Switch it into shadow, or make an "
            "exception of what is no problem.",
        )
