"""Signals as they happen: what changed in a tenant, from a remembered place on.

The database writes an entry for every change (trigger) and notifies. One connection a process
listens; readers wake up and read their tenant's entries below the oldest running transaction, so a
reader that comes back with the id of its last event misses nothing and sees nothing twice. Entries
stay for a day; whoever was away for longer, or comes with an id of another database, is told to
load anew.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection

from api.auth.principal import TenantScope
from api.database import (
    Connection,
    Pool,
    cancel_count,
    queries,
    raise_if_cancelled,
    tenant_transaction,
)
from api.signals.model import Signal
from api.signals.service import signals_by_ids

log = structlog.get_logger(__name__)

CHANNEL: Final = "signals"
RETENTION_S: Final = 23 * 60 * 60
_BATCH: Final = 500
_IDLE_LOOK_S: Final = 15.0
_UNSETTLED_LOOK_S: Final = 0.05
_RECONNECT_S: Final = 1.0


class Change(StrEnum):
    """What an event says. RELOAD: the place is not known any more, read the list again."""

    RAISED = "raised"
    CHANGED = "changed"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the feed: transaction, number within all entries, second it was written."""

    xact: int
    seq: int
    at_s: int

    def __str__(self) -> str:
        return f"{self.xact}-{self.seq}-{self.at_s}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the place that `str` wrote, or None."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        xact, seq, at_s = map(int, parts)
        return cls(xact, seq, at_s) if max(xact, seq, at_s) < 2**63 else None


@dataclass(frozen=True, slots=True)
class SignalEvent:
    """One event: its id to come back with, what happened, and the signal as it is now."""

    id: str
    change: Change
    signal: Signal | None


@dataclass(frozen=True, slots=True)
class _Found:
    events: list[SignalEvent]
    place: Place
    look_again_s: float


class FeedHub:
    """Listens for notifications and wakes the readers of the tenant concerned."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._readers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled, reconnecting as often as it takes."""
        cancels = cancel_count()
        while True:
            try:
                await self._listen()
            except psycopg.OperationalError as error:
                raise_if_cancelled(cancels)
                log.warning("feed.listen_failed", cause=str(error))
            await asyncio.sleep(_RECONNECT_S)

    @asynccontextmanager
    async def reader(self, tenant_id: UUID) -> AsyncIterator[asyncio.Event]:
        """Lend an event that is set whenever something of the tenant may have changed."""
        woken = asyncio.Event()
        self._readers[tenant_id].add(woken)
        try:
            yield woken
        finally:
            self._readers[tenant_id].discard(woken)
            if not self._readers[tenant_id]:
                del self._readers[tenant_id]

    async def _listen(self) -> None:
        connection = await AsyncConnection.connect(
            self._dsn, autocommit=True, application_name="betrace-feed"
        )
        async with connection:
            await connection.execute(f"listen {CHANNEL}")
            for readers in self._readers.values():
                _wake(readers)
            async for notification in connection.notifies():
                try:
                    tenant_id = UUID(notification.payload)
                except ValueError:
                    continue
                _wake(self._readers.get(tenant_id, set()))


class SignalFeed:
    """The feed of signals, for one process."""

    def __init__(self, pool: Pool, hub: FeedHub) -> None:
        self._pool = pool
        self._hub = hub

    async def place(self, scope: TenantScope) -> str:
        """Return the id to start from after having read a list: later changes lie behind it.

        Ask for it before reading the list.
        """
        async with tenant_transaction(self._pool, scope) as connection:
            return str(await _now(connection))

    async def events(
        self, scope: TenantScope, *, last_event_id: str | None = None
    ) -> AsyncIterator[SignalEvent]:
        """Yield what changes in the tenant, for ever, oldest first.

        last_event_id: what was seen last; None begins now. Of several changes of one signal read at
        once only the last is told. Raises DatabaseUnavailable.
        """
        async with self._hub.reader(scope.tenant_id) as woken:
            place, reload = await self._begin(scope, last_event_id)
            if reload:
                yield SignalEvent(str(place), Change.RELOAD, None)
            while True:
                woken.clear()
                found = await self._read(scope, place)
                place = found.place
                for event in found.events:
                    yield event
                await _wait(woken, found.look_again_s)

    async def _begin(self, scope: TenantScope, last_event_id: str | None) -> tuple[Place, bool]:
        async with tenant_transaction(self._pool, scope) as connection:
            now = await _now(connection)
        if last_event_id is None:
            return now, False
        last = Place.parse(last_event_id)
        if last is None or last.xact > now.xact or last.at_s < now.at_s - RETENTION_S:
            return now, True
        return last, False

    async def _read(self, scope: TenantScope, place: Place) -> _Found:
        async with tenant_transaction(self._pool, scope) as connection:
            rows = [
                row
                async for row in queries("feed").after(
                    connection, xact=str(place.xact), seq=place.seq, limit=_BATCH
                )
            ]
            place = _place_of(rows[-1]) if rows else place
            newest = {bytes(row["signal_id"]): row for row in rows}
            signals = await signals_by_ids(connection, list(newest)) if newest else {}
            unsettled = await queries("feed").unsettled(
                connection, xact=str(place.xact), seq=place.seq
            )
        raised = {bytes(row["signal_id"]) for row in rows if row["change"] == Change.RAISED}
        events = [
            SignalEvent(
                str(_place_of(row)),
                Change.RAISED if signal_id in raised else Change.CHANGED,
                signals[signal_id.hex()],
            )
            for signal_id, row in sorted(newest.items(), key=lambda item: _place_of(item[1]))
            if signal_id.hex() in signals
        ]
        return _Found(events, place, _look_again_s(full=len(rows) == _BATCH, unsettled=unsettled))


async def _now(connection: Connection) -> Place:
    row = await queries("feed").now(connection)
    return Place(row["xact"], 0, row["at_s"])


def _place_of(row: dict[str, int]) -> Place:
    return Place(row["xact"], row["seq"], row["at_s"])


def _look_again_s(*, full: bool, unsettled: bool) -> float:
    if full:
        return 0.0
    return _UNSETTLED_LOOK_S if unsettled else _IDLE_LOOK_S


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(woken.wait(), seconds)


def _wake(readers: set[asyncio.Event]) -> None:
    for reader in readers:
        reader.set()
