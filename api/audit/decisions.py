"""Refusals on the record: a bounded outbox in memory, and the task that empties it.

Noting one never waits. Alike decisions of one minute are one row with a count, which is written
when the minute is over, and at the end of the process. While Postgres is away they stay here.

When `capacity` different ones wait, further different ones are counted in one row for each action
(`audit.overflow`), so their number is never lost; and each decision (of `ingest`, the first of
alike ones in a minute) is a line in the process's log when it is made, whatever becomes of the row.
A process that is killed loses the rows of the last minute, and those of an outage that is not over;
their lines in the log remain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, Literal
from uuid import UUID, uuid4, uuid5

import structlog

from api.audit.origin import Origin
from api.audit.record import Entry, Outcome
from api.audit.trail import insert
from api.database import (
    Connection,
    DatabaseUnavailable,
    Pool,
    QueryTooSlow,
    credential_transaction,
    purpose_transaction,
    queries,
    set_local,
)
from api.operators.principal import OperatorPrincipal

log = structlog.get_logger(__name__)

CAPACITY: Final = 10_000
WINDOW: Final = timedelta(minutes=1)
_ADDRESSES_COUNTED: Final = 100
_BATCH: Final = 500
"""Windows that become rows at a time: each may cost a look at whose credential it was."""
_OVERFLOW: Final = "audit.overflow"


class Lines(Enum):
    """Which refusals are lines in the log of the process as well."""

    EACH = "each"
    FIRST = "first"  # of alike ones in a minute


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented in vain, by the hash under which it would be stored."""

    kind: Literal["key", "session"]
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Somebody was refused.

    credential, user_id: what may tell afterwards whose it is, where nobody is known by now. A
    reason that is the kind of the credential is found out then, too.
    """

    action: str
    reason: str
    origin: Origin
    credential: Credential | None = None
    user_id: UUID | None = None
    permission: str = ""

    @property
    def tenant_id(self) -> UUID | None:
        """The tenant of who was refused, None as long as nobody is known."""
        principal = self.origin.principal
        if principal is None or isinstance(principal, OperatorPrincipal):
            return None
        return principal.scope.tenant_id

    @property
    def likeness(self) -> tuple[object, ...]:
        """What two decisions have in common that are counted as one."""
        origin = self.origin
        return (
            *(self.tenant_id, origin.actor, origin.acting, self.action, self.reason),
            self.permission,
            *(origin.method, origin.route, self.credential, self.user_id),
        )


@dataclass(slots=True)
class _Window:
    """Alike decisions of a minute: the first one, and what is counted."""

    first: Decision
    first_at: datetime
    last_at: datetime
    times: int = 1
    addresses: set[str] = field(default_factory=set)
    id: UUID = field(default_factory=uuid4)

    def add(self, decision: Decision, at: datetime) -> None:
        """Count one more."""
        self.last_at = max(self.last_at, at)
        self.times += 1
        self.see(decision.origin.address)

    def see(self, address: str) -> None:
        """Count an address, as long as there are few."""
        if len(self.addresses) < _ADDRESSES_COUNTED:
            self.addresses.add(address)


class Decisions:
    """The outbox. One instance serves one event loop."""

    def __init__(
        self,
        pool: Pool,
        *,
        capacity: int = CAPACITY,
        lines: Lines = Lines.EACH,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._capacity = capacity
        self._lines = lines
        self._clock = clock
        self._windows: dict[tuple[object, ...], _Window] = {}
        self._batch: list[Entry] = []
        self._turn = asyncio.Lock()

    @property
    def waiting_count(self) -> int:
        """How many rows wait to be written."""
        return len(self._windows) + len(self._batch)

    def note(self, decision: Decision) -> None:
        """Put a refusal on the record, at once and without waiting."""
        now = self._clock()
        key = (_minute(now), *decision.likeness)
        if self._lines is Lines.EACH or key not in self._windows:
            _write_line(decision)
        if key not in self._windows and self.waiting_count >= self._capacity:
            decision = replace(decision, origin=Origin(), credential=None, user_id=None)
            key = (_OVERFLOW, decision.action)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(decision, now, now)
            window.see(decision.origin.address)
            if key[0] is _OVERFLOW:
                log.error("audit.outbox_full", waiting=self.waiting_count)
        else:
            window.add(decision, now)

    async def run(self, *, pause_s: float = 1.0) -> None:
        """Write what is due, until cancelled."""
        while True:
            await asyncio.sleep(pause_s)
            await self.flush()

    async def flush(self, *, whole: bool = False) -> bool:
        """Write the minutes that are over; whole: the current one as well.

        False if Postgres does not answer: everything stays here for the next time.
        """
        async with self._turn:
            try:
                while await self._write_some(whole=whole) and whole:
                    pass
            except (DatabaseUnavailable, QueryTooSlow) as error:
                cause = str(error.__cause__)
                log.error("audit.log_unavailable", waiting=self.waiting_count, cause=cause)
                return False
        return True

    async def _write_some(self, *, whole: bool) -> bool:
        """Write up to a batch of what is due; False if nothing was."""
        if not self._batch:
            await self._gather(whole=whole)
        if not self._batch:
            return False
        async with purpose_transaction(self._pool, "audit") as connection:
            for entry in self._batch:
                await insert(connection, entry)
        self._batch = []
        return True

    async def _gather(self, *, whole: bool) -> None:
        """Find out whose the decisions are, and make rows of them."""
        due = self._take_due(whole=whole)
        rows: dict[tuple[object, ...], Entry] = {}
        try:
            for key, window in due.items():
                for entry in await self._entries(window, overflow=key[0] is _OVERFLOW):
                    like = _likeness(entry)
                    rows[like] = _together(rows[like], entry) if like in rows else entry
            self._batch = list(rows.values())
        finally:
            if not self._batch:
                self._put_back(due)

    def _take_due(self, *, whole: bool) -> dict[tuple[object, ...], _Window]:
        now = _minute(self._clock())
        keys = [
            key for key, window in self._windows.items() if whole or _minute(window.first_at) < now
        ]
        return {key: self._windows.pop(key) for key in keys[:_BATCH]}

    def _put_back(self, windows: dict[tuple[object, ...], _Window]) -> None:
        for key, window in windows.items():
            newer = self._windows.get(key)
            if newer is not None:
                window.last_at = newer.last_at
                window.times += newer.times
            self._windows[key] = window

    async def _entries(self, window: _Window, *, overflow: bool) -> list[Entry]:
        decision = window.first
        known = {"permission": decision.permission, "acting": decision.origin.acting}
        details = {name: text for name, text in known.items() if text}
        if len(window.addresses) > 1:
            details["addresses"] = str(len(window.addresses))
        entry = Entry(
            id=window.id,
            tenant_id=decision.tenant_id,
            at=window.first_at,
            until_at=window.last_at,
            times=window.times,
            actor="betrace" if overflow else decision.origin.actor,
            action=_OVERFLOW if overflow else decision.action,
            target=f"action:{decision.action}" if overflow else "",
            outcome=Outcome.REFUSED,
            reason="outbox.full" if overflow else decision.reason,
            details=details,
            **decision.origin.columns(),
        )
        if decision.credential is not None:
            return [await self._owned(entry, decision.credential)]
        if decision.user_id is not None:
            return await self._of_person(entry, decision.user_id)
        return [entry]

    async def _owned(self, entry: Entry, credential: Credential) -> Entry:
        """Return the row with whose credential it was, if it ever was one."""
        statements = queries("audit")
        async with credential_transaction(self._pool, credential.hash) as connection:
            if credential.kind == "key":
                row = await statements.key_of_hash(connection, hash=credential.hash)
                state = row["reason"] if row else "unknown"
            else:
                row = await statements.session_of_hash(connection, hash=credential.hash)
                state = "over"
        if entry.reason == credential.kind:
            entry = replace(entry, reason=f"{credential.kind}.{state}")
        if row is None:
            return entry
        acting = {"acting": row["acting"]} if row["acting"] else {}
        return replace(
            entry,
            tenant_id=row["tenant_id"],
            actor=row["actor"],
            details={**entry.details, **acting},
        )

    async def _of_person(self, entry: Entry, user_id: UUID) -> list[Entry]:
        """Return a row for each tenant that the person belongs to."""
        async with purpose_transaction(self._pool, "audit") as connection:
            tenants = await _tenants_of(connection, user_id)
        known = replace(entry, target=f"user:{user_id}")
        return [
            replace(known, id=uuid5(entry.id, str(tenant_id)), tenant_id=tenant_id)
            for tenant_id in tenants
        ] or [known]


def _write_line(decision: Decision) -> None:
    log.info(
        "audit.refused",
        action=decision.action,
        reason=decision.reason,
        actor=decision.origin.actor,
        acting=decision.origin.acting or None,
        tenant=str(decision.tenant_id) if decision.tenant_id else None,
        method=decision.origin.method,
        route=decision.origin.route,
        address=decision.origin.address,
    )


async def _tenants_of(connection: Connection, user_id: UUID) -> list[UUID]:
    await set_local(connection, user_id=str(user_id))
    rows = queries("audit").tenants_of_user(connection, user_id=user_id)
    return [row["tenant_id"] async for row in rows]


def _likeness(entry: Entry) -> tuple[object, ...]:
    return (
        *(_minute(entry.at), entry.tenant_id, entry.actor, entry.action, entry.target),
        *(entry.reason, entry.method, entry.route),
        *(entry.details.get("permission"), entry.details.get("acting")),
    )


def _together(one: Entry, other: Entry) -> Entry:
    """Return two alike rows as one."""
    return replace(
        one,
        at=min(one.at, other.at),
        until_at=max(one.until_at, other.until_at),
        times=one.times + other.times,
    )


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
