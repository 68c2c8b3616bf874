"""Our own processes in the stack, each the `betrace` command with the stack's variables."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.embedded.component import Command, Component, Service, Task
from deploy.embedded.endpoint import http_ok
from deploy.embedded.job import detect
from deploy.embedded.layout import Layout
from deploy.embedded.settings import REPOSITORY, StackSettings


def betrace(*arguments: str, environment: dict[str, str]) -> Command:
    """The `betrace` command of this Python environment."""
    program = Path(sys.executable).parent / "betrace"
    return Command(argv=(str(program), *arguments), environment=environment, folder=REPOSITORY)


def apps(
    settings: StackSettings, layout: Layout, environment: dict[str, str]
) -> tuple[Component, ...]:
    """Schema and topics, then ingest, worker, API and job, as far as the settings name them."""
    schema = Task(
        name="schema",
        command=betrace("db", "migrate", environment=environment),
        needs=("database",),
    )
    topics = Task(
        name="topics",
        command=betrace("topics", "create", environment=environment),
        needs=("kafka",),
    )
    parts: dict[str, Component] = {
        "ingest": _ingest(settings, environment),
        "worker": _worker(settings, environment),
        "api": _api(settings, environment),
        "job": detect(settings, layout, environment),
    }
    chosen = tuple(part for name, part in parts.items() if name in settings.components)
    return (schema, topics, *chosen) if chosen else ()


def _ingest(settings: StackSettings, environment: dict[str, str]) -> Service:
    return Service(
        name="ingest",
        command=lambda: betrace(
            "ingest",
            environment={
                **environment,
                "BETRACE_METRICS_PORT": str(settings.ports.ingest_metrics),
            },
        ),
        ready=lambda: http_ok(f"http://127.0.0.1:{settings.ports.otlp_http}/health/ready"),
        needs=("schema", "topics"),
    )


def _worker(settings: StackSettings, environment: dict[str, str]) -> Service:
    port = settings.ports.worker_metrics
    return Service(
        name="worker",
        command=lambda: betrace(
            "worker", environment={**environment, "BETRACE_METRICS_PORT": str(port)}
        ),
        ready=lambda: http_ok(f"http://127.0.0.1:{port}/health/ready"),
        needs=("schema", "topics"),
    )


def _api(settings: StackSettings, environment: dict[str, str]) -> Service:
    return Service(
        name="api",
        command=lambda: betrace("api", environment=environment),
        ready=lambda: http_ok(f"{settings.url}/health/ready"),
        needs=("schema", "topics"),
    )
