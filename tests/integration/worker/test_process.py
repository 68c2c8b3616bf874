"""`betrace worker` as its supervisor sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.kafka.topics import TopicNames
from tests.integration.worker.running import wait_until
from tests.integration.worker.test_copier import (
    CHARGE,
    PARTITION,
    ROOT,
    Log,
    a_request,
    a_span,
    names,
    spans_of,
)
from tests.integration.worker.test_intake import committed, stats
from tests.integration.worker.world import a_signal, rows, send, send_signals
from tests.support.kafka import Broker, free_port
from tests.support.postgres import Database

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]


class RunningWorker:
    """A worker process and its metrics door."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> httpx.Response | None:
        """Return an answer, None while the door is not open."""
        assert self.process.poll() is None, "the worker has ended"
        try:
            return httpx.get(self.url + path)
        except httpx.TransportError:
            return None

    def metric(self, name: str) -> float:
        """Return a counter or gauge, 0 while the door is not open."""
        answer = self.get("/metrics")
        found = re.search(rf"^{name} (\S+)$", answer.text, re.M) if answer else None
        return float(found[1]) if found else 0.0

    def is_ready(self) -> bool:
        answer = self.get("/health/ready")
        return answer is not None and answer.status_code == 200

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def worker(
    broker: Broker, topics: TopicNames, database: Database, **settings: str
) -> Iterator[RunningWorker]:
    """Run a worker until the block ends. settings: more variables of its environment."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.command import main; main()", "worker"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "DATABASE_URL": database.app,
            "BETRACE_DATABASE_WORKER_URL": database.worker,
            "BETRACE_KAFKA": broker.address,
            "BETRACE_TOPIC_PREFIX": topics.prefix,
            "BETRACE_METRICS_PORT": str(port),
            **settings,
        },
    )
    try:
        yield RunningWorker(process, port)
    finally:
        process.kill()
        process.wait()


def test_a_worker_stores_signals_accounts_and_traces_and_ends_in_order(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    log = Log(broker, topics)
    first = log.append(a_request(a_span(1, "POST /pay", ROOT)))
    last = log.append(a_request(a_span(1, "payment.charge", CHARGE, ROOT, after_ms=1)))
    with worker(broker, topics, seeded) as running:
        wait_until(running.is_ready, what="the worker is ready")
        violation = a_signal(1, partition=PARTITION, first_offset=first, last_offset=last)
        send_signals(broker.address, topics, [violation])
        send(broker.address, topics.stats, [(b"k", stats(1, received=2).SerializeToString())])
        wait_until(lambda: len(spans_of(seeded, 1)) == 2, what="the trace is copied")
        wait_until(
            lambda: rows(seeded.admin, "select revision from stats_minutes") == [{"revision": 1}],
            what="accounts are stored",
        )
        metrics = running.get("/metrics")
        assert metrics is not None
        assert 'betrace_worker_trace_copies_total{outcome="copied"} 1.0' in metrics.text
        assert running.stop() == 0
    assert names(spans_of(seeded, 1)) == ["POST /pay", "payment.charge"]
    assert rows(seeded.admin, "select trace_state, explain_mismatch from signals") == [
        {"trace_state": "copied", "explain_mismatch": False}
    ]
    assert committed(broker, topics, "signals", topics.signals) == 1


def test_workers_killed_again_and_again_leave_each_signal_once(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    total = 3_000
    sender = threading.Thread(
        target=send_signals,
        args=(broker.address, topics, [a_signal(n) for n in range(total)]),
    )
    sender.start()
    stored = 0
    for _ in range(2):
        with worker(broker, topics, seeded) as running:
            wait_until(
                lambda before=stored: count(seeded) > before or running.process.poll() is not None,
                what="some signals are stored",
            )
            running.process.kill()
        stored = count(seeded)
        if stored == total:
            break
    sender.join()
    with worker(broker, topics, seeded):
        wait_until(lambda: count(seeded) == total, what="all signals are stored")
    assert rows(seeded.admin, "select count(*) from signal_history") == [{"count": 0}]
    assert rows(seeded.admin, "select sum(taken)::int as taken from trace_budgets") == [
        {"taken": total}
    ]


def count(database: Database) -> int:
    return int(rows(database.admin, "select count(*) from signals")[0]["count"])
