"""One change of many signals at once, and taking it back.

It is one transaction: either all that may be changed are, or none. What may not follow (a signal
that is resolved cannot be investigated) is left alone and told. The history of each signal says who
changed it; the audit log has one entry for the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.signals.model import DISPOSITIONS, TRANSITIONS, SignalFilter, Status
from api.signals.service import (
    Keep,
    SignalChange,
    assignee_of,
    check_reason,
    ending_of,
    list_signals,
    parse_signal_id,
)

CHANGED_MAX: Final = 2_000
"""Signals that one change may touch."""
UNDO_HOURS: Final = 24
_TOLD_MAX: Final = 100
_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A signal that was left alone, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkChange:
    """What a change of many did.

    changed, skipped: how many. left: how many more fit the filter than one change may touch.
    details: of those skipped the first ones. undone_at: when it was taken back, None: it was not.
    restored: for how many signals that could be done.
    """

    id: str
    changed: int
    skipped: int
    left: int
    status: Status | None
    disposition: str | None
    assigns: bool
    assignee: str | None
    at: datetime
    actor: str
    undone_at: datetime | None
    undone_by: str | None
    restored: int = 0
    details: tuple[Skipped, ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, details: Sequence[Skipped] = ()) -> Self:
        """Build from a row of signal_bulk_changes."""
        what = row["what"]
        return cls(
            id=str(row["id"]),
            changed=row["changed_count"],
            skipped=what["skipped"],
            left=what["left"],
            status=Status(what["status"]) if what["status"] else None,
            disposition=what["disposition"],
            assigns=what["assigns"],
            assignee=what["assignee"],
            at=row["at"],
            actor=row["actor"],
            undone_at=row["undone_at"],
            undone_by=row["undone_by"],
            restored=what.get("restored", 0),
            details=tuple(details),
        )


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What taking back a change did. left: signals that somebody has changed since."""

    changed: int
    left: int


async def change_many(
    pool: Pool, scope: TenantScope, chosen: SignalFilter | Sequence[str], change: SignalChange
) -> BulkChange:
    """Change the signals with some ids, or the newest CHANGED_MAX that fit a filter.

    change: its version does not count. An open signal that is to be resolved is taken up first.
    Raises ApiError 400 for too many ids, a missing reason, a strange assignee or disposition, or a
    change of nothing.
    """
    _check(change)
    ids, left = await _chosen(pool, scope, chosen)
    number = uuid4()
    async with tenant_transaction(pool, scope, timeout_ms=_TIMEOUT_MS) as connection:
        assignee_id = await assignee_of(connection, change.assignee, current=None)
        found = queries("signals").lock_many(connection, ids=ids)
        rows = [row async for row in found]
        skipped = _missing(ids, rows)
        changing: list[Mapping[str, Any]] = []
        for row in rows:
            why = _obstacle(row, change, assignee_id)
            if why:
                skipped.append(Skipped(bytes(row["id"]).hex(), why))
            else:
                changing.append(row)
        await _apply(connection, changing, change, assignee_id)
        await queries("signals").keep_bulk_change(
            connection,
            id=number,
            actor=scope.actor,
            what=Jsonb(_what(change, skipped=len(skipped), left=left)),
            items=Jsonb(await _items(connection, changing)),
        )
        await record(
            connection,
            scope,
            "signal.many_changed",
            f"bulk:{number}",
            signals=len(changing),
            status=change.status and change.status.value,
            disposition=change.disposition and change.disposition.value,
            assignee=_told_assignee(change, assignee_id),
        )
        made = await queries("signals").bulk_change(connection, id=number)
    return BulkChange.from_row(made, details=skipped[:_TOLD_MAX])


async def get_bulk_change(pool: Pool, scope: TenantScope, bulk_id: str) -> BulkChange:
    """Return a change of the last UNDO_HOURS hours. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("signals").bulk_change(connection, id=_parse_id(bulk_id))
    if row is None:
        raise not_found("change")
    return BulkChange.from_row(row)


async def take_back(pool: Pool, scope: TenantScope, bulk_id: str) -> TakenBack:
    """Give signals back what they were, those that nobody has changed since.

    Raises ApiError 404; 409 for a change that was taken back already.
    """
    wanted = _parse_id(bulk_id)
    async with tenant_transaction(pool, scope, timeout_ms=_TIMEOUT_MS) as connection:
        row = await queries("signals").lock_bulk_change(connection, id=wanted)
        if row is None:
            raise not_found("change")
        if row["undone_at"] is not None:
            raise ApiError(409, "signals.undone", "This change was taken back already.")
        returned = queries("signals").take_back(connection, id=wanted)
        changed = len([one async for one in returned])
        await queries("signals").note_undone(
            connection, id=wanted, actor=scope.actor, restored=changed
        )
        await record(connection, scope, "signal.many_undone", f"bulk:{wanted}", signals=changed)
    return TakenBack(changed, row["changed_count"] - changed)


def _check(change: SignalChange) -> None:
    if change.status is None and isinstance(change.assignee, Keep):
        raise ApiError(400, "signals.nothing", "Say what to change: a status or an assignee.")
    if change.status is not None:
        check_reason(change.status, change.reason)
        ending_of(change, change.status)


async def _chosen(
    pool: Pool, scope: TenantScope, chosen: SignalFilter | Sequence[str]
) -> tuple[list[bytes], int]:
    """Return ids, and whether more fit than may be changed at once (then 1, else 0)."""
    if not isinstance(chosen, SignalFilter):
        ids = sorted({parse_signal_id(one) for one in chosen})
        if len(ids) > CHANGED_MAX:
            raise ApiError(
                400,
                "signals.too_many",
                f"{len(ids):,} signals are too many at once: {CHANGED_MAX:,} at most.",
            )
        return ids, 0
    page = await list_signals(pool, scope, chosen, limit=CHANGED_MAX)
    return [bytes.fromhex(signal.id) for signal in page.items], int(page.next_cursor is not None)


def _missing(ids: Sequence[bytes], rows: Sequence[Mapping[str, Any]]) -> list[Skipped]:
    there = {bytes(row["id"]) for row in rows}
    return [Skipped(one.hex(), "There is no such signal.") for one in ids if one not in there]


def _obstacle(row: Mapping[str, Any], change: SignalChange, assignee_id: UUID | None) -> str:
    """Return why a signal cannot be changed so, or needs no change; empty if it can."""
    before = Status(row["status"])
    after = change.status
    is_given = not isinstance(change.assignee, Keep)
    assignee_stays = not is_given or row["assignee_id"] == assignee_id
    if after is None or after is before:
        ending_stays = after is None or (row["disposition"], row["until_regression"]) == (
            ending_of(change, before)
            if before in DISPOSITIONS
            else (row["disposition"], row["until_regression"])
        )
        return "It is so already." if assignee_stays and ending_stays else ""
    if after in TRANSITIONS[before] or _by_way(before, after):
        return ""
    return f"A signal that is {before} cannot become {after}."


def _by_way(before: Status, after: Status) -> bool:
    """Return whether a status is reached by investigating first."""
    return before is Status.OPEN and after is Status.RESOLVED


async def _apply(
    connection: Connection,
    rows: Sequence[Mapping[str, Any]],
    change: SignalChange,
    assignee_id: UUID | None,
) -> None:
    """Write the change; who is resolved from open on is investigating for a moment on record."""
    assigns = not isinstance(change.assignee, Keep)
    nothing = {
        "reason": None,
        "disposition": None,
        "until_regression": False,
        "assigns": False,
        "assignee_id": None,
    }
    if change.status is Status.RESOLVED:
        opened = [bytes(row["id"]) for row in rows if row["status"] == Status.OPEN]
        if opened:
            await queries("signals").change_many(
                connection, ids=opened, status=Status.INVESTIGATING.value, **nothing
            )
    if not rows:
        return
    disposition, until_regression = (
        ending_of(change, change.status) if change.status else (None, False)
    )
    await queries("signals").change_many(
        connection,
        ids=[bytes(row["id"]) for row in rows],
        status=change.status and change.status.value,
        reason=change.reason,
        disposition=disposition,
        until_regression=until_regression,
        assigns=assigns,
        assignee_id=assignee_id,
    )


async def _items(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is needed to take the change back, now that it is made."""
    ids = [bytes(row["id"]) for row in rows]
    found = queries("signals").versions(connection, ids=ids)
    versions = {bytes(row["id"]): row["version"] async for row in found}
    return [
        {
            "id": bytes(row["id"]).hex(),
            "status": row["status"],
            "status_reason": row["status_reason"],
            "disposition": row["disposition"],
            "until_regression": row["until_regression"],
            "assignee_id": str(row["assignee_id"]) if row["assignee_id"] else None,
            "version": versions[bytes(row["id"])],
        }
        for row in rows
    ]


def _what(change: SignalChange, *, skipped: int, left: int) -> dict[str, Any]:
    assigns = not isinstance(change.assignee, Keep)
    return {
        "status": change.status and change.status.value,
        "disposition": change.disposition and change.disposition.value,
        "assigns": assigns,
        "assignee": change.assignee if assigns else None,
        "skipped": skipped,
        "left": left,
    }


def _told_assignee(change: SignalChange, assignee_id: UUID | None) -> str | None:
    if isinstance(change.assignee, Keep):
        return None
    return f"user:{assignee_id}" if assignee_id else "nobody"


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found("change") from error
