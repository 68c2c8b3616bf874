"""The sequencer: what waits goes into the logs in order, and heads are signed when they are due.

Any number of processes run one. Of a tenant one at a time has the turn, a lock that ends with its
transaction; the others go on to the next tenant.

    again and again:  feed what is new ─► seal what waits ─► sign what is due ─► pause if idle
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from api.database import (
    DatabaseUnavailable,
    Pool,
    QueryTooSlow,
    one_statement,
    open_pool,
    tenant_transaction,
)
from api.evidence.checkpointing import (
    PACE,
    Pace,
    create_log,
    list_heads,
    note_outage,
    note_revocations,
    sign_head,
)
from api.evidence.sealing import BATCH, STATEMENT_MS, Batch, lock_log, seal_batch, sealer_of
from api.evidence.statements import statement
from api.keyring.config import KeyConfig
from api.keyring.wiring import Keys, open_keys
from udfs.keysource.trouble import KeyTrouble

log = structlog.get_logger(__name__)

Feeder = Callable[[Pool, int], Awaitable[int]]
"""Hands over what is new of something, given the time in ms; returns how much that was."""
Clock = Callable[[], int]

_PAUSE_S: Final = 1.0
_BACK_OFF_S: Final = 5.0
_BATCHES_A_TURN: Final = 10
"""More of one tenant wait for the next round: others have their turn."""
_FEED_EVERY_S: Final = 5.0


def now_ms() -> int:
    """Return the time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


class SealingMetrics:
    """What a sequencer tells Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "betrace_evidence_records", "Records put into evidence logs.", registry=registry
        )
        self.again = Counter(
            "betrace_evidence_offered_again",
            "What was handed over more than once, and is in a log once.",
            registry=registry,
        )
        self.checkpoints = Counter(
            "betrace_evidence_checkpoints", "Heads of logs that were signed.", registry=registry
        )
        self.late = Counter(
            "betrace_evidence_checkpoints_late",
            "Of these, those that were signed late since the source of keys was away.",
            registry=registry,
        )
        self.late_records = Counter(
            "betrace_evidence_records_signed_late",
            "Records that were pending while the source of keys was away, and are signed now.",
            registry=registry,
        )
        self.unsigned = Counter(
            "betrace_evidence_unsigned",
            "Attempts to sign a head that failed; records are pending meanwhile.",
            registry=registry,
        )
        self.pending = Gauge(
            "betrace_evidence_pending_records",
            "Records of all logs that are under no checkpoint that counts.",
            registry=registry,
        )
        self.broken = Counter(
            "betrace_evidence_broken",
            "Attempts to seal or sign for a tenant that Postgres refused: its log needs a look.",
            registry=registry,
        )
        self.waiting = Gauge(
            "betrace_evidence_waiting_tenants",
            "Tenants for which something waits to be sealed.",
            registry=registry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerSettings:
    """What a sequencer needs to know.

    database_dsn: of the worker's role. site: how names of logs begin, as betrace.example.
    """

    database_dsn: str
    keys: KeyConfig
    site: str
    pace: Pace = PACE
    batch: int = BATCH


class Sequencer:
    """Seals what waits, for all tenants."""

    def __init__(
        self,
        pool: Pool,
        keys: Keys,
        *,
        site: str,
        metrics: SealingMetrics,
        feeders: Sequence[Feeder] = (),
        pace: Pace = PACE,
        batch: int = BATCH,
        clock: Clock = now_ms,
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._site = site
        self._metrics = metrics
        self._feeders = feeders
        self._pace = pace
        self._batch = batch
        self._clock = clock

    async def round(self, *, feeds: bool = True) -> bool:
        """Do once what there is to do; return whether more waits. feeds: ask the feeders as well.

        Raises DatabaseUnavailable, QueryTooSlow.
        """
        if feeds:
            for feeder in self._feeders:
                await feeder(self._pool, self._clock())
        more = False
        waiting = await self._waiting()
        self._metrics.waiting.set(len(waiting))
        for tenant in waiting:
            with self._its_own_trouble(tenant):
                more |= await self._seal(tenant)
        await self._sign()
        return more

    @contextmanager
    def _its_own_trouble(self, tenant: UUID) -> Iterator[None]:
        """Let what Postgres refuses of one tenant's log harm that tenant alone."""
        try:
            yield
        except psycopg.Error as error:
            self._metrics.broken.inc()
            log.error("evidence.broken", tenant=str(tenant), cause=str(error).strip())

    async def seal(self, tenant: UUID) -> Batch | None:
        """Put a batch of what waits into the log of a tenant; None if its turn is not ours."""
        scope = sealer_of(tenant)
        async with tenant_transaction(self._pool, scope, timeout_ms=STATEMENT_MS) as connection:
            locked = await lock_log(connection, tenant)
            if locked is None:
                return None
            batch = await seal_batch(connection, locked, now_ms=self._clock(), most=self._batch)
        self._metrics.records.inc(batch.added)
        self._metrics.again.inc(batch.taken - batch.added)
        return batch

    async def _seal(self, tenant: UUID) -> bool:
        """Seal what waits for a tenant, in its turn; return whether more is left."""
        if not await self._has_log(tenant):
            return False
        for _ in range(_BATCHES_A_TURN):
            batch = await self.seal(tenant)
            if batch is None or batch.taken < self._batch:
                return False
        return True

    async def _has_log(self, tenant: UUID) -> bool:
        async with tenant_transaction(self._pool, sealer_of(tenant)) as connection:
            found = await connection.execute(statement("log"), {"tenant_id": tenant})
            row = await found.fetchone()
        if row is not None:
            return True
        try:
            await create_log(
                self._pool,
                self._keys,
                tenant,
                origin=f"{self._site}/log/{tenant}",
                now_ms=self._clock(),
            )
        except KeyTrouble as trouble:
            self._metrics.unsigned.inc()
            log.error("evidence.no_log", tenant=str(tenant), cause=str(trouble))
            return False
        return True

    async def _sign(self) -> None:
        """Sign the heads that are due; after a source did not answer, the others are not tried."""
        async with one_statement(self._pool) as connection:
            heads = await list_heads(connection)
        self._metrics.pending.set(sum(head.pending for head in heads))
        away: KeyTrouble | None = None
        for head in heads:
            if not head.is_due(self._clock(), self._pace):
                continue
            if away is None:
                try:
                    with self._its_own_trouble(head.tenant):
                        signed = await sign_head(
                            self._pool, self._keys, head.tenant, now_ms=self._clock()
                        )
                        if signed is not None:
                            self._metrics.checkpoints.inc()
                            self._metrics.late.inc(signed.late_ms > 0)
                            self._metrics.late_records.inc(signed.late_records)
                    continue
                except KeyTrouble as trouble:
                    log.error("evidence.unsigned", tenant=str(head.tenant), cause=str(trouble))
                    failed = trouble
                    away = trouble if trouble.retryable else None
            else:
                failed = away
            self._metrics.unsigned.inc()
            await note_outage(self._pool, head, failed, now_ms=self._clock())
            with self._its_own_trouble(head.tenant):
                await note_revocations(self._pool, self._keys, head.tenant, now_ms=self._clock())

    async def _waiting(self) -> list[UUID]:
        async with one_statement(self._pool) as connection:
            rows = await connection.execute(statement("waiting"))
            return [row["tenant_id"] async for row in rows]


def run_sequencer(
    settings: SequencerSettings,
    *,
    registry: CollectorRegistry,
    stop: threading.Event,
    feeders: Sequence[Feeder] = (),
) -> None:
    """Seal until `stop` is set. In a thread of its own, with a loop of its own."""
    asyncio.run(_run(settings, registry=registry, stop=stop, feeders=feeders))


async def _run(
    settings: SequencerSettings,
    *,
    registry: CollectorRegistry,
    stop: threading.Event,
    feeders: Sequence[Feeder],
) -> None:
    async with open_pool(settings.database_dsn, size=4, name="betrace worker evidence") as pool:
        keys = open_keys(settings.keys, pool)
        assert keys is not None, "settings of keys make keys"
        sequencer = Sequencer(
            pool,
            keys,
            site=settings.site,
            metrics=SealingMetrics(registry),
            feeders=feeders,
            pace=settings.pace,
            batch=settings.batch,
        )
        fed_s = 0.0
        while not stop.is_set():
            feeds = time.monotonic() - fed_s >= _FEED_EVERY_S
            try:
                more = await sequencer.round(feeds=feeds)
                fed_s = time.monotonic() if feeds else fed_s
                pause_s = 0.0 if more else _PAUSE_S
            except (DatabaseUnavailable, QueryTooSlow) as error:
                log.warning("evidence.waits", cause=str(error.__cause__))
                pause_s = _BACK_OFF_S
            await _until(stop, pause_s)


async def _until(stop: threading.Event, pause_s: float) -> None:
    """Wait for so long, or until told to stop."""
    ends_s = time.monotonic() + pause_s
    while not stop.is_set() and time.monotonic() < ends_s:
        await asyncio.sleep(min(0.2, pause_s))
