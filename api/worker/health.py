"""Whether the worker can do its work, and the small HTTP door that says so.

Live means: the threads run. Ready means: Kafka and Postgres answered when last asked. A worker
that is not ready loses nothing; it waits. /health/job tells what is wrong with the job that judges.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from api.worker.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KAFKA = "kafka"
POSTGRES = "postgres"
REDACTION = "redaction"
"""Policies and keys of tenants; it is only told of while something waits for it."""


class Health:
    """What answered when last asked. Thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._trouble: dict[str, str] = {KAFKA: "not asked yet", POSTGRES: "not asked yet"}
        self._dead: list[str] = []
        for dependency in self._trouble:
            metrics.available.labels(dependency).set(0)

    def answered(self, dependency: str) -> None:
        """Note that a dependency works."""
        with self._lock:
            if self._trouble.pop(dependency, None) is not None:
                self._metrics.available.labels(dependency).set(1)

    def failed(self, dependency: str, problem: str) -> None:
        """Note that a dependency does not answer, with what it said."""
        with self._lock:
            self._trouble[dependency] = problem
        self._metrics.available.labels(dependency).set(0)
        self._metrics.retries.labels(dependency).inc()

    def died(self, part: str) -> None:
        """Note that a part of the process has ended by a bug."""
        with self._lock:
            self._dead.append(part)

    @property
    def live(self) -> bool:
        """Whether every part of the process still runs."""
        return not self._dead

    def trouble(self) -> dict[str, str]:
        """Return what does not answer, with why; empty when ready."""
        with self._lock:
            return {**self._trouble, **dict.fromkeys(self._dead, "ended by an error")}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Scrapes are not worth a line each."""


Alarms = Callable[[], Sequence[str]]


def serve(
    health: Health, metrics: Metrics, *, host: str, port: int, alarms: Alarms = tuple
) -> WSGIServer:
    """Serve /metrics and /health/live, ready and job in a thread; port 0 takes a free one.

    alarms: what is wrong with the job, each with the next step.
    """
    server = make_server(
        host,
        port,
        _application(health, metrics, alarms),
        server_class=_Server,
        handler_class=_Quiet,
    )
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _application(
    health: Health, metrics: Metrics, alarms: Alarms
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    scrape = make_wsgi_app(metrics.registry)

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                page: Iterable[bytes] = scrape(environ, start)
                return page
            case "/health/live":
                return _answer(start, ok=health.live, body={"live": health.live})
            case "/health/ready":
                trouble = health.trouble()
                return _answer(start, ok=not trouble, body={"ready": not trouble, **trouble})
            case "/health/job":
                found = list(alarms())
                return _answer(start, ok=not found, body={"alarms": found})
            case _:
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"not found\n"]

    return application


def _answer(start: StartResponse, *, ok: bool, body: dict[str, object]) -> list[bytes]:
    status = "200 OK" if ok else "503 Service Unavailable"
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode()]
