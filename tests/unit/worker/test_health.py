"""What the worker's small HTTP door says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.worker.health import KAFKA, POSTGRES, Health, serve
from api.worker.metrics import Metrics


@pytest.fixture
def health() -> Health:
    return Health(Metrics())


@pytest.fixture
def door(health: Health) -> Iterator[httpx.Client]:
    metrics = Metrics()
    metrics.refused.labels("rule_off").inc(3)
    server = serve(health, metrics, host="127.0.0.1", port=0)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    server.server_close()


def test_a_worker_is_ready_once_both_servers_have_answered(
    health: Health, door: httpx.Client
) -> None:
    assert door.get("/health/ready").status_code == 503
    health.answered(KAFKA)
    health.answered(POSTGRES)
    answer = door.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


def test_trouble_is_named(health: Health, door: httpx.Client) -> None:
    health.answered(KAFKA)
    health.failed(POSTGRES, "connection refused")
    answer = door.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        503,
        {"ready": False, "postgres": "connection refused"},
    )


def test_a_worker_without_its_servers_is_alive_and_one_with_a_dead_part_is_not(
    health: Health, door: httpx.Client
) -> None:
    health.failed(KAFKA, "gone")
    assert door.get("/health/live").status_code == 200
    health.died("copier")
    assert door.get("/health/live").status_code == 503


def test_metrics_are_served(door: httpx.Client) -> None:
    assert 'betrace_worker_refused_total{reason="rule_off"} 3.0' in door.get("/metrics").text


def test_any_other_path_is_not_found(door: httpx.Client) -> None:
    assert door.get("/").status_code == 404
