"""Signals as they happen: what changed in a tenant, from a remembered place on.

The database writes an entry for every change (trigger) and notifies. One connection a process
listens. Of each tenant that somebody watches one task reads the entries below the oldest running
transaction, at most four times a second, and keeps the last ones; all readers of the tenant take
them from there, so a thousand cost the database what one does. A reader that comes back with the id
of its last event, or that was too slow for what is kept, reads for itself until it has caught up:
it misses nothing and sees nothing twice. Of several changes of one signal it is told the last one.
Entries stay for a day; whoever was away for longer, or comes with an id of another database, is
told to load anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection

from api.auth.principal import TenantScope
from api.database import (
    Connection,
    DatabaseUnavailable,
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
PACE_S: Final = 0.25
"""From one reading of a tenant's entries to the next, once some were told.

What many readers cost is by the batch."""
KEPT_MAX: Final = 4_000
"""Events of a tenant that readers may be behind by, before they read for themselves."""
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
class Batch:
    """Events told at once, in order. Readers in step are given the same one.

    rendered: for whoever sends it, what others who send the same have made of it.
    """

    events: tuple[SignalEvent, ...]
    rendered: dict[object, bytes] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read: the events after a place, up to another."""

    batch: Batch
    since: Place
    place: Place
    is_full: bool
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


class _Channel:
    """The last events of a tenant, kept by one task for all its readers."""

    def __init__(self, since: Place) -> None:
        self.since = since
        self.place = since
        self.is_over = False
        self.error: DatabaseUnavailable | None = None
        self._kept: deque[_Found] = deque()
        self._count = 0
        self._readers: set[asyncio.Event] = set()

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        """Lend an event that is set whenever there is something new."""
        woken = asyncio.Event()
        self._readers.add(woken)
        try:
            yield woken
        finally:
            self._readers.discard(woken)

    @property
    def reader_count(self) -> int:
        """How many listen."""
        return len(self._readers)

    def end(self, error: DatabaseUnavailable | None) -> None:
        """Let the readers know that nobody reads for them any more."""
        self.is_over, self.error = True, error
        _wake(self._readers)

    def add(self, found: _Found) -> None:
        """Keep what was read, and let go of what is too much."""
        self.place = found.place
        if not found.batch.events:
            return
        self._kept.append(found)
        self._count += len(found.batch.events)
        while self._count > KEPT_MAX and len(self._kept) > 1:
            gone = self._kept.popleft()
            self.since = gone.place
            self._count -= len(gone.batch.events)
        _wake(self._readers)

    def after(self, place: Place) -> tuple[Batch | None, Place]:
        """Return what lies after a place that is not before `since`, and how far that reaches.

        Somebody one batch behind gets that batch; somebody further behind the last of each signal.
        """
        behind = [found for found in self._kept if found.place > place]
        if not behind:
            return None, max(place, self.place)
        if len(behind) == 1 and behind[0].since >= place:
            return behind[0].batch, behind[0].place
        events = [
            event for found in behind for event in found.batch.events if _lies_after(event, place)
        ]
        return Batch(_last_of_each(events)), behind[-1].place


class SignalFeed:
    """The feed of signals, for one process."""

    def __init__(self, pool: Pool, hub: FeedHub) -> None:
        self._pool = pool
        self._hub = hub
        self._channels: dict[UUID, _Channel] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def place(self, scope: TenantScope) -> str:
        """Return the id to start from after having read a list: later changes lie behind it.

        Ask for it before reading the list.
        """
        async with tenant_transaction(self._pool, scope) as connection:
            return str(await _now(connection))

    async def events(
        self, scope: TenantScope, *, last_event_id: str | None = None
    ) -> AsyncIterator[SignalEvent]:
        """Yield what changes in the tenant, for ever, oldest first. As `batches`, one by one."""
        async for batch in self.batches(scope, last_event_id=last_event_id):
            for event in batch.events:
                yield event

    async def batches(
        self, scope: TenantScope, *, last_event_id: str | None = None
    ) -> AsyncIterator[Batch]:
        """Yield what changes in the tenant, for ever, oldest first, as much as there is at a time.

        last_event_id: what was seen last; None begins now. Of several changes of one signal read at
        once only the last is told. Raises DatabaseUnavailable.
        """
        place, reload = await self._begin(scope, last_event_id)
        if reload:
            yield Batch((SignalEvent(str(place), Change.RELOAD, None),))
        while True:
            channel = self._channel(scope, place)
            with channel.reader() as woken:
                while place >= channel.since and not channel.is_over:
                    woken.clear()
                    batch, place = channel.after(place)
                    if batch is not None:
                        yield batch
                    else:
                        await woken.wait()
            if channel.error is not None:
                raise channel.error
            found = await self._read(scope, place)
            if found.batch.events:
                yield found.batch
            # Whatever lay before the channel began is settled, and read now unless there is more.
            place = found.place if found.is_full else max(found.place, channel.since)

    def watched(self, scope: TenantScope) -> int:
        """Return how many readers of the tenant are in step with one another."""
        channel = self._channels.get(scope.tenant_id)
        return channel.reader_count if channel is not None else 0

    async def close(self) -> None:
        """End what reads for others."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _channel(self, scope: TenantScope, place: Place) -> _Channel:
        """Return what is read for the tenant; begun at a place, if nobody reads yet."""
        channel = self._channels.get(scope.tenant_id)
        if channel is None or channel.is_over:
            channel = self._channels[scope.tenant_id] = _Channel(place)
            self._tasks[scope.tenant_id] = asyncio.create_task(
                self._keep(scope), name=f"feed-{scope.tenant_id}"
            )
        return channel

    async def _keep(self, scope: TenantScope) -> None:
        """Read for all readers of a tenant, as long as there are some."""
        channel = self._channels[scope.tenant_id]
        error = None
        try:
            async with self._hub.reader(scope.tenant_id) as woken:
                while channel.reader_count:
                    woken.clear()
                    next_s = time.monotonic() + PACE_S
                    found = await self._read(scope, channel.place)
                    channel.add(found)
                    if found.batch.events and not found.is_full:
                        await asyncio.sleep(next_s - time.monotonic())
                    await _wait(woken, 0.0 if found.is_full else found.look_again_s)
        except DatabaseUnavailable as unavailable:
            error = unavailable
        finally:
            channel.end(error)
            if self._channels.get(scope.tenant_id) is channel:
                del self._channels[scope.tenant_id], self._tasks[scope.tenant_id]

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
        since = place
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
        events = tuple(
            SignalEvent(
                str(_place_of(row)),
                Change.RAISED if signal_id in raised else Change.CHANGED,
                signals[signal_id.hex()],
            )
            for signal_id, row in sorted(newest.items(), key=lambda item: _place_of(item[1]))
            if signal_id.hex() in signals
        )
        again_s = _UNSETTLED_LOOK_S if unsettled else _IDLE_LOOK_S
        return _Found(Batch(events), since, place, len(rows) == _BATCH, again_s)


def _lies_after(event: SignalEvent, place: Place) -> bool:
    at = Place.parse(event.id)
    return at is not None and (at.xact, at.seq) > (place.xact, place.seq)


def _last_of_each(events: Sequence[SignalEvent]) -> tuple[SignalEvent, ...]:
    """Return the last event of each signal, in order; raised is what was raised meanwhile."""
    last: dict[str, SignalEvent] = {}
    raised: set[str] = set()
    for event in events:
        if event.signal is None:
            continue
        last.pop(event.signal.id, None)
        last[event.signal.id] = event
        if event.change is Change.RAISED:
            raised.add(event.signal.id)
    return tuple(
        SignalEvent(event.id, Change.RAISED, event.signal) if signal_id in raised else event
        for signal_id, event in last.items()
    )


async def _now(connection: Connection) -> Place:
    row = await queries("feed").now(connection)
    return Place(row["xact"], 0, row["at_s"])


def _place_of(row: dict[str, int]) -> Place:
    return Place(row["xact"], row["seq"], row["at_s"])


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(woken.wait(), seconds)


def _wake(readers: set[asyncio.Event]) -> None:
    for reader in readers:
        reader.set()
