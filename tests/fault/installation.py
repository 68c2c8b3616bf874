"""The whole stack, as a client of ingest, an operator and a reader of the database see it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import psycopg

from api.bench import stack as bench
from api.bench.schedule import Emission
from api.bench.score import Pair
from deploy.embedded.stack import Stack
from tests.fault.losses import Exported, Loss
from tests.support.flow import PATIENCE_MS, SETTLE_MS, Flow
from tests.support.job import wait_for
from tests.support.logs import LogRecord, read_log
from udfs.accounts import SETTLED
from udfs.wire import betrace_pb2 as wire

RECOVERY_S = 900
RETRY_S = 0.5
USUAL = bench.Lifetimes(settle_ms=SETTLE_MS, patience_ms=PATIENCE_MS)


def kill(*pids: int) -> None:
    """End processes as a power cut would."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class Row(NamedTuple):
    """A signal in the database that says violated: (rule id, trace id), and when it was judged."""

    pair: Pair
    judged_at: datetime


class Accounts(NamedTuple):
    """received: spans. still_open: those of traces that are not closed. unbalanced: rows whose
    buckets do not add up."""

    received: int
    still_open: int
    unbalanced: int


class Installation:
    """A stack and a new tenant of it."""

    def __init__(self, stack: Stack, lifetimes: bench.Lifetimes = USUAL) -> None:
        self.stack = stack
        self._variables = bench.Stack({**os.environ, **stack.environment()})
        self.tenant = self._variables.make_tenant(lifetimes)
        self.spans_topic = self._variables.spans_topic
        self._door = self._client("BETRACE_OTLP_HTTP")
        self._door.headers["Content-Type"] = "application/x-protobuf"
        self._api = self._client("BETRACE_URL")
        self.sent = 0
        """Spans that ingest has taken; a retry may have brought it more."""
        self.exported = Exported(self.tenant.id)
        self.loss: Loss | None = None
        """What a fault took away, if it took something."""

    def post_rules(self, flow: Flow) -> None:
        """Save the rules of a flow, and wait until they judge."""
        self._variables.post_rules(flow.settings.mix, key=self.tenant.key)
        wait_for(self._all_active, "every rule is active", timeout_s=RECOVERY_S)

    def save_rule(self, rule_id: str, text: str) -> None:
        """Save a new version of a rule."""
        body = {"id": rule_id, "name": rule_id, "severity": "low", "rule": text}
        answer = self._api.put(f"/api/v1/rules/{rule_id}", json=body)
        if answer.status_code == 404:
            answer = self._api.post("/api/v1/rules", json=body)
        assert answer.status_code < 300, answer.text

    def send(self, emission: Emission) -> None:
        """Export as an OTLP exporter does: again and again, until it is taken."""
        self.export(emission.payload, emission.spans)

    def export(self, request: bytes, spans: int) -> None:
        """Send a request until it is taken. AssertionError if it is refused for what it holds."""
        while True:
            try:
                answer = self._door.post("/v1/traces", content=request)
            except httpx.TransportError:
                time.sleep(RETRY_S)
                continue
            if answer.status_code == 200:
                assert not answer.content, "ingest refused good spans"
                self.sent += spans
                self.exported.note(request, time.time())
                return
            assert answer.status_code in (429, 502, 503, 504), answer.text
            time.sleep(RETRY_S)

    def recovers_from(self, strike: Callable[[], None]) -> float:
        """Strike, and wait until a signal of what came afterwards is in the database.

        Returns the seconds between.
        """
        strike()
        struck_at = datetime.now(UTC) + timedelta(milliseconds=SETTLE_MS)
        began = time.monotonic()
        wait_for(
            lambda: self._judged_since(struck_at),
            "a signal judged after the strike",
            timeout_s=RECOVERY_S,
        )
        return time.monotonic() - began

    def violated_rows(self) -> list[Pair]:
        """Return (rule id, trace id) of every row that says violated."""
        return [row.pair for row in self.judged_rows()]

    def judged_rows(self) -> list[Row]:
        """Return every row that says violated."""
        query = (
            "select rule_id, trace_id, judged_at from signals "
            "where tenant_id = %s and verdict = 'violated'"
        )
        found = self._rows(query, self.tenant.id)
        return [Row((rule, bytes(trace)), judged_at) for rule, trace, judged_at in found]

    def certain(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Return, sorted, those of traces that no lost span can have belonged to."""
        doubtful = self.exported.doubtful_after(self.loss)
        return sorted(pair for pair in pairs if pair[1] not in doubtful)

    def false_after_loss(self, planted: set[Pair]) -> list[Pair]:
        """Return what was said without ground of the other traces, once spans were lost.

        A signal from before stays where the span that would withdraw it is lost.
        """
        doubtful = self.exported.doubtful_after(self.loss)
        return [
            row.pair
            for row in self.judged_rows()
            if self.loss
            and row.pair[1] in doubtful
            and row.pair not in planted
            and not self.loss.judged_before(row.judged_at)
        ]

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
            (s.rule_id, s.trace_id)
            for s in latest.values()
            if s.verdict == wire.VERDICT_VIOLATED and s.tenant == self.tenant.id
        ]

    def inconclusive(self) -> int:
        """Return how many verdicts of promises on traces were inconclusive."""
        query = "select coalesce(sum(inconclusive), 0) from rule_stats_minutes where tenant_id = %s"
        return int(self._rows(query, self.tenant.id)[0][0])

    def log(self) -> list[LogRecord]:
        """Return what the spans log holds."""
        return read_log(self.stack.settings.kafka, self.spans_topic)

    def spans_in(self, records: Iterable[LogRecord], *, since_s: float = 0) -> int:
        """Return how many spans of the tenant are in records of a time or later."""
        return sum(
            int(record.headers["n"])
            for record in records
            if record.headers.get("tenant") == self.tenant.id.encode()
            and since_s <= record.time_ms / 1_000
        )

    def dead_letters(self) -> list[wire.DeadLetter]:
        """Return what Kafka has of the tenant's dead letters, each once."""
        topic = f"{self.stack.settings.topic_prefix}.dead-letters"
        values = {record.value for record in read_log(self.stack.settings.kafka, topic)}
        letters = [wire.DeadLetter.FromString(value) for value in values]
        return [letter for letter in letters if letter.tenant == self.tenant.id]

    def accounts(self) -> Accounts:
        """Return what became of the spans received so far, of all lanes and minutes."""
        query = (
            "select counts, open_before, open_spans, minute = max(minute) over (partition by lane) "
            "from stats_minutes where tenant_id = %s"
        )
        received = still_open = unbalanced = 0
        for counts, open_before, open_spans, newest in self._rows(query, self.tenant.id):
            came, ended = counts.get("received", 0), sum(counts.get(name, 0) for name in SETTLED)
            received += came
            still_open += open_spans if newest else 0
            unbalanced += open_before + came != open_spans + ended
        return Accounts(received, still_open, unbalanced)

    def _client(self, address: str) -> httpx.Client:
        return httpx.Client(
            base_url=self._variables[address], headers={"X-API-Key": self.tenant.key}, timeout=30
        )

    def _all_active(self) -> bool:
        items = self._api.get("/api/v1/rules", params={"limit": 200}).json()["items"]
        return all(item["active_since"] for item in items)

    def _judged_since(self, since: datetime) -> bool:
        query = "select count(*) from signals where tenant_id = %s and judged_at > %s"
        try:
            return bool(self._rows(query, self.tenant.id, since)[0][0])
        except psycopg.OperationalError:  # Postgres is among what is struck
            return False

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._variables["DATABASE_URL"]) as connection:
            connection.execute("select set_config('app.tenant_id', %s, true)", (self.tenant.id,))
            return connection.execute(query, values).fetchall()
