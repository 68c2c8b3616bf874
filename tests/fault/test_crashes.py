"""Whatever dies while spans flow: every planted violation is one signal, and no other exists."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api.bench import stack as bench
from api.bench.schedule import Emission
from api.bench.score import Pair
from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.support.flow import CLOSED_S, PATIENCE_MS, SETTLE_MS, Flow, Flowing
from tests.support.job import wait_for
from tests.support.logs import read_log
from tests.support.stack import last_words, running_stack
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.fault

RATE = 1_000
RECOVERY_S = 180
RETRY_S = 0.5


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class Installation:
    """The whole stack, as a client of ingest and a reader of the database see it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._variables = bench.Stack({**os.environ, **stack.environment()})
        self.tenant = self._variables.make_tenant(settle_ms=SETTLE_MS, patience_ms=PATIENCE_MS)
        self._client = httpx.Client(
            base_url=self._variables["BETRACE_OTLP_HTTP"],
            headers={"X-API-Key": self.tenant.key, "Content-Type": "application/x-protobuf"},
            timeout=30,
        )

    def post_rules(self, flow: Flow) -> None:
        """Save the rules of a flow, and let them take effect."""
        self._variables.post_rules(flow.settings.mix, key=self.tenant.key)
        time.sleep(8)

    def send(self, emission: Emission) -> None:
        """Export as an OTLP exporter does: again and again, until it is taken."""
        while True:
            try:
                answer = self._client.post("/v1/traces", content=emission.payload)
            except httpx.TransportError:
                time.sleep(RETRY_S)
                continue
            if answer.status_code == 200:
                assert not answer.content, "ingest refused good spans"
                return
            assert answer.status_code in (429, 502, 503, 504), answer.text
            time.sleep(RETRY_S)

    def survives(self, strike: Callable[[], None]) -> None:
        """Strike, and wait until a signal of what happened afterwards is in the database."""
        strike()
        struck_at = datetime.now(UTC) + timedelta(milliseconds=SETTLE_MS)
        wait_for(
            lambda: self._judged_since(struck_at),
            "a signal judged after the strike",
            timeout_s=RECOVERY_S,
        )

    def violated_rows(self) -> list[Pair]:
        """Return (rule id, trace id) of every row that says violated."""
        query = (
            "select rule_id, trace_id from signals where tenant_id = %s and verdict = 'violated'"
        )
        return [(rule, bytes(trace)) for rule, trace in self._rows(query, self.tenant.id)]

    def violated_on_topic(self) -> list[Pair]:
        """Return (rule id, trace id) of every signal whose highest revision says violated."""
        latest: dict[bytes, wire.Signal] = {}
        prefix = self.stack.settings.topic_prefix
        for record in read_log(self.stack.settings.kafka, f"{prefix}.signals"):
            read = wire.Signal.FromString(record.value)
            known = latest.setdefault(read.id, read)
            if known.revision < read.revision:
                latest[read.id] = read
        return [
            (s.rule_id, s.trace_id) for s in latest.values() if s.verdict == wire.VERDICT_VIOLATED
        ]

    def _judged_since(self, since: datetime) -> bool:
        query = "select count(*) from signals where tenant_id = %s and judged_at > %s"
        return bool(self._rows(query, self.tenant.id, since)[0][0])

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._variables["DATABASE_URL"]) as connection:
            connection.execute("select set_config('app.tenant_id', %s, true)", (self.tenant.id,))
            return connection.execute(query, values).fetchall()


def test_every_planted_violation_is_one_signal_whatever_dies() -> None:
    with running_stack((*SERVERS, *APPS)) as stack:
        installation = Installation(stack)
        flow = Flow(installation.tenant.id, rate=RATE)
        installation.post_rules(flow)
        flowing = Flowing(flow, installation.send)
        try:
            installation.survives(lambda: None)
            installation.survives(lambda: kill(*stack.worker_pids()))
            installation.survives(lambda: kill(stack.pid("taskmanager")))
            installation.survives(lambda: kill(stack.pid("kafka")))
            installation.survives(lambda: kill(stack.pid("jobmanager"), stack.pid("taskmanager")))
            planted = flowing.finish()
            wait_for(
                lambda: set(installation.violated_rows()) == planted,
                "exactly the planted violations in the database",
                timeout_s=RECOVERY_S,
            )
        except AssertionError:
            print(last_words(stack))
            raise
        time.sleep(CLOSED_S)
        assert sorted(installation.violated_rows()) == sorted(planted)
        assert sorted(installation.violated_on_topic()) == sorted(planted)
