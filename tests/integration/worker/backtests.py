"""A log of some hours in a moment, and backtests on it as the API asks for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from api.auth.principal import TenantScope
from api.backtests.model import Backtest, BacktestState, Result, ResultFilter
from api.backtests.service import (
    BacktestRequest,
    cancel_backtest,
    create_backtest,
    get_backtest,
    list_results,
)
from api.database import Pool, open_pool
from api.kafka.log_times import LogTimes
from api.kafka.topics import TopicAdmin, TopicNames, TopicSpec, topic_specs
from api.redaction.redactors import Redactors
from api.rules.definitions import Form, read_definition
from api.rules.outbox import Publisher
from api.rules.service import save_rule
from api.tenants.service import create_tenant
from api.tenants.settings import TenantSettings
from api.worker.backtests.process import Runner, RunnerSettings
from api.worker.redaction import WorkerRedactors
from tests.support.engine import SpanDraft, export_request, trace_id
from tests.support.kafka import Broker
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import scope_of
from udfs.lanes import LANES, lane_of

MINUTE_MS = 60_000
FROM_MS, TO_MS, END_MS = 60 * MINUTE_MS, 90 * MINUTE_MS, 150 * MINUTE_MS
"""The range of a backtest, and the end of the log, in ms after the log's beginning."""
LIFE = TenantSettings(
    settle_ms=2_000, patience_ms=20_000, max_life_ms=10 * MINUTE_MS, lateness_ms=5 * MINUTE_MS
)
_T = TypeVar("_T")


def timed_topics(broker: Broker, prefix: str) -> TopicNames:
    """Make topics whose records bear the times that the writer gives them."""
    names = TopicNames(prefix)
    timed = {"message.timestamp.type": "CreateTime"}
    specs = [
        TopicSpec(spec.name, spec.partitions, required=timed)
        if spec.name in (names.spans, names.rules)
        else spec
        for spec in topic_specs(names)
    ]
    with TopicAdmin(broker.address) as admin:
        admin.create(specs, replication=1)
    return names


@dataclass
class TimedLog:
    """Writes spans at times of one's own, given in ms after `origin_ms`."""

    broker: Broker
    topics: TopicNames
    origin_ms: int

    def __post_init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": self.broker.address, "acks": "all"})

    def send(self, at_ms: int, tenant: str, *spans: SpanDraft) -> None:
        """Append spans of one trace."""
        lane = lane_of(tenant, trace_id(spans[0].trace))
        headers = {"tenant": tenant, "lane": str(lane), "n": str(len(spans)), "v": "1"}
        self._producer.produce(
            self.topics.spans,
            export_request(spans),
            partition=lane % LANES,
            timestamp=self.origin_ms + at_ms,
            headers=[(name, value.encode()) for name, value in headers.items()],
        )

    def beat(self, at_ms: int) -> None:
        """Append a heartbeat to every partition: time has come so far."""
        for partition in range(LANES):
            self._producer.produce(
                self.topics.spans, b"", partition=partition, timestamp=self.origin_ms + at_ms
            )
        self.flush()

    def append_rules(self, *records: bytes) -> None:
        """Append to the rules log, before everything else."""
        for record in records:
            self._producer.produce(
                self.topics.rules, record, partition=0, timestamp=self.origin_ms - MINUTE_MS
            )
        self.flush()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(30) == 0

    def at(self, at_ms: int) -> str:
        """Return a time of the log as a request writes it."""
        return datetime.fromtimestamp((self.origin_ms + at_ms) / 1000, UTC).isoformat()


@dataclass(frozen=True)
class World:
    """Backtests on a database and a log."""

    broker: Broker
    topics: TopicNames
    database: Database

    def tenant(self) -> TenantScope:
        """Make a tenant."""

        async def make(pool: Pool) -> TenantScope:
            name = f"tenant-{datetime.now(UTC).timestamp()}"
            return scope_of((await create_tenant(pool, name, LIFE, grant=scope_of)).id)

        return self._with_pool(make)

    def save(self, scope: TenantScope, rule_id: str, text: str, **fields: Any) -> None:
        """Save a rule; nobody but the database hears of it."""
        import json

        body = json.dumps({"id": rule_id, "rule": text, **fields})

        async def save(pool: Pool) -> None:
            definition = read_definition(body, form=Form.JSON)
            await save_rule(pool, Publisher(pool, MemoryRulesLog()), scope, definition)

        self._with_pool(save)

    def ask(
        self, scope: TenantScope, *rules: Mapping[str, Any], hours_max: int = 24, **wanted: Any
    ) -> Backtest:
        """Ask for a backtest as the API does."""
        request = BacktestRequest(rules=rules, **wanted)
        admin = AdminClient({"bootstrap.servers": self.broker.address})
        return self._with_pool(
            lambda pool: create_backtest(
                pool,
                scope,
                request,
                redactors=Redactors(pool, None),
                log_times=LogTimes(admin, self.topics.spans),
                now=datetime.now(UTC),
                hours_max=hours_max,
            )
        )

    def read(self, scope: TenantScope, backtest_id: UUID) -> Backtest:
        """Look at a backtest."""
        return self._with_pool(lambda pool: get_backtest(pool, scope, backtest_id))

    def cancel(self, scope: TenantScope, backtest_id: UUID) -> Backtest:
        """Call a backtest off."""
        return self._with_pool(lambda pool: cancel_backtest(pool, scope, backtest_id))

    def results(
        self, scope: TenantScope, backtest_id: UUID, *, limit: int = 500, **wanted: Any
    ) -> Sequence[Result]:
        """Return all results, page by page."""

        async def read(pool: Pool) -> list[Result]:
            found: list[Result] = []
            cursor: str | None = None
            while True:
                page = await list_results(
                    pool,
                    scope,
                    backtest_id,
                    ResultFilter(**wanted),
                    explained=True,
                    cursor=cursor,
                    limit=limit,
                )
                found += page.items
                cursor = page.next_cursor
                if cursor is None:
                    return found

        return self._with_pool(read)

    @contextmanager
    def runner(self) -> Iterator[Runner]:
        """A runner that works when it is told to."""
        settings = RunnerSettings(
            self.database.worker, self.broker.address, self.topics.prefix, share=1.0
        )
        redactors = WorkerRedactors(self.database.worker, None)
        runner = Runner(settings, redactors=redactors, stop=threading.Event())
        try:
            yield runner
        finally:
            runner.close()

    def run(self, scope: TenantScope, backtest_id: UUID) -> Backtest:
        """Do a backtest to its end."""
        with self.runner() as runner:
            while runner.turn():
                pass
        done = self.read(scope, backtest_id)
        assert done.state is BacktestState.DONE, (done.state, done.problem)
        return done

    def _with_pool(self, act: Callable[[Pool], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            async with open_pool(self.database.app, size=2) as pool:
                return await act(pool)

        return asyncio.run(run())
