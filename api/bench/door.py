"""The front door alone: OTLP over HTTP (protobuf and JSON) and gRPC, up to Kafka's acknowledgement.

Clients are processes of their own; what they cost is told apart from what the door costs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from api.bench.door_client import DoorClientSettings
from api.bench.machine import Usage, usage_by_group
from api.bench.phases import Delays


class ClientFailed(Exception):
    """A client process did not get as far as sending."""


@dataclass(frozen=True, slots=True)
class DoorFigures:
    """What one protocol carried. cpu_s_per_million_spans: by group of processes."""

    protocol: str
    spans_per_s: float
    mb_per_s: float
    seconds: float
    delay: Delays
    statuses: dict[str, int]
    cpu_s_per_million_spans: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure_door(settings: Sequence[DoorClientSettings], *, roots: dict[str, int]) -> DoorFigures:
    """Let client processes send at once, one for each settings, all of one protocol.

    roots: groups of processes whose CPU is accounted for. Raises ClientFailed.
    """
    clients = [_start(each) for each in settings]
    try:
        before = usage_by_group(roots)
        for client in clients:
            _tell(client, "go")
        results = [_result(client) for client in clients]
        after = usage_by_group(roots)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    return _figures(settings[0].protocol, results, before, after)


def _start(settings: DoorClientSettings) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        [sys.executable, "-m", "api.bench.door_client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _tell(client, json.dumps(asdict(settings)))
    if _line(client) != "ready":
        raise ClientFailed(f"a client process ended with {client.wait()}")
    return client


def _tell(client: subprocess.Popen[str], line: str) -> None:
    assert client.stdin is not None
    client.stdin.write(line + "\n")
    client.stdin.flush()


def _line(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    return client.stdout.readline().strip()


def _result(client: subprocess.Popen[str]) -> dict[str, Any]:
    line = _line(client)
    if not line:
        raise ClientFailed(f"a client process ended with {client.wait()}")
    result: dict[str, Any] = json.loads(line)
    return result


def _figures(
    protocol: str,
    results: Sequence[dict[str, Any]],
    before: dict[str, Usage],
    after: dict[str, Usage],
) -> DoorFigures:
    spans = sum(result["spans"] for result in results)
    seconds = max(result["seconds"] for result in results)
    used = {group: now.cpu_s - before.get(group, Usage()).cpu_s for group, now in after.items()}
    used["clients"] = sum(result["cpu_s"] for result in results)
    statuses: Counter[str] = Counter()
    for result in results:
        statuses.update(result["statuses"])
    return DoorFigures(
        protocol=protocol,
        spans_per_s=round(spans / seconds),
        mb_per_s=round(sum(result["bytes"] for result in results) / seconds / 1e6, 1),
        seconds=round(seconds, 1),
        delay=Delays.of([delay for result in results for delay in result["delays_ms"]]),
        statuses=dict(statuses),
        cpu_s_per_million_spans={
            group: round(cpu_s / max(spans, 1) * 1e6, 3) for group, cpu_s in used.items()
        },
    )
