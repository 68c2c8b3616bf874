"""Signals that have to do with one: linked by people, of the same trace, of the same group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.signals.model import Signal
from api.signals.service import parse_signal_id, signals_by_ids

SHOWN_MAX: Final = 20
"""Of each kind."""
COUNTED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Related:
    """Signals by what they have in common with one, newest first; at most SHOWN_MAX of each.

    group_count: how many signals its group has with this one, at most COUNTED_MAX; 0 until the
    group is known. first_at, last_at: when the first and the last of those were raised.
    """

    linked: tuple[Signal, ...]
    of_trace: tuple[Signal, ...]
    of_group: tuple[Signal, ...]
    group_count: int
    first_at: datetime | None
    last_at: datetime | None


async def related_signals(pool: Pool, scope: TenantScope, signal_id: str) -> Related:
    """Return what has to do with a signal. Raises ApiError 404."""
    wanted = parse_signal_id(signal_id)
    async with tenant_transaction(pool, scope) as connection:
        await _look_for(connection, wanted)
        return await _related(connection, wanted)


async def link_signals(pool: Pool, scope: TenantScope, one: str, other: str) -> Related:
    """Say that two signals belong together; to say it again changes nothing.

    Raises ApiError 404 if either is not there; 400 for one and the same.
    """
    return await _change(pool, scope, one, other, change="linked")


async def unlink_signals(pool: Pool, scope: TenantScope, one: str, other: str) -> Related:
    """Take back that two signals belong together. Raises ApiError 404, 400 as `link_signals`."""
    return await _change(pool, scope, one, other, change="unlinked")


async def _change(pool: Pool, scope: TenantScope, one: str, other: str, *, change: str) -> Related:
    first, second = parse_signal_id(one), parse_signal_id(other)
    if first == second:
        raise ApiError(400, "signal.link", "A signal cannot be linked to itself.")
    async with tenant_transaction(pool, scope) as connection:
        for each in (first, second):
            await _look_for(connection, each)
        statement = queries("signals").link if change == "linked" else queries("signals").unlink
        if await statement(connection, one=first, other=second, actor=scope.actor):
            await queries("signals").note_link(
                connection, one=first, other=second, actor=scope.actor, change=change
            )
            target = f"signal:{first.hex()}"
            await record(connection, scope, f"signal.{change}", target, other=second.hex())
        return await _related(connection, first)


async def _related(connection: Connection, wanted: bytes) -> Related:
    rows = queries("signals").related(connection, id=wanted, limit=SHOWN_MAX)
    found = [(row["how"], bytes(row["id"])) async for row in rows]
    signals = await signals_by_ids(connection, list({signal_id for _, signal_id in found}))
    figures = await queries("signals").group_figures(connection, id=wanted, most=COUNTED_MAX)

    def of_kind(how: str) -> tuple[Signal, ...]:
        ids = (signal_id.hex() for kind, signal_id in found if kind == how)
        return tuple(signals[signal_id] for signal_id in ids if signal_id in signals)

    return Related(
        linked=of_kind("linked"),
        of_trace=of_kind("trace"),
        of_group=of_kind("group"),
        group_count=figures["signal_count"],
        first_at=figures["first_at"],
        last_at=figures["last_at"],
    )


async def _look_for(connection: Connection, signal_id: bytes) -> None:
    if await queries("signals").version_of(connection, id=signal_id) is None:
        raise not_found("signal")
