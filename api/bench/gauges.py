"""Looking at a running stack from outside: memory, state on disk, and what the job accounts for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from api.bench.stack import Stack, StackTrouble, checkpoints

_HTTP_S = 10.0
_HEAP = "Status.JVM.Memory.Heap.Used"
_MB = 1e6
_OPEN_SPANS = """
    select coalesce(sum(open_spans), 0) from (
      select distinct on (lane) open_spans from stats_minutes
      where tenant_id = %(tenant)s order by lane, minute desc
    ) newest
"""
_RECEIVED_SPANS = """
    select coalesce(sum((counts ->> 'received')::bigint), 0) from stats_minutes
    where tenant_id = %(tenant)s
"""


def flink_gauges(flink_url: str) -> dict[str, float]:
    """Return heap_mb of all TaskManagers and the newest checkpoint's figures.

    What does not answer just now is left out: a sample is not worth the run.
    """
    found: dict[str, float] = {}
    with suppress(StackTrouble, httpx.HTTPError):
        newest: Mapping[str, Any] = checkpoints(flink_url).get("latest", {}).get("completed") or {}
        if newest:
            found["checkpoint_state_mb"] = newest["state_size"] / _MB
            found["checkpoint_ms"] = float(newest["end_to_end_duration"])
        found["taskmanager_heap_mb"] = _heap_bytes(flink_url) / _MB
    return found


def rocksdb_mb(stack: Stack) -> dict[str, float]:
    """Return what the state takes on disk; nothing for a stack of foreign servers."""
    folder = Path(stack.environment.get("BETRACE_HOME", "")) / "flink" / "tmp" / "db"
    if not stack.environment.get("BETRACE_HOME") or not folder.is_dir():
        return {}
    return {"rocksdb_mb": folder_bytes(folder) / _MB}


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder, those that vanish meanwhile left out."""
    size_bytes = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                size_bytes += path.stat().st_size
    return size_bytes


def open_spans(dsn: str, *, tenant: str) -> int:
    """Return how many spans of open traces the job accounts for, as of its last accounts."""
    return _number(dsn, _OPEN_SPANS, tenant)


def received_spans(dsn: str, *, tenant: str) -> int:
    """Return how many spans of a tenant the job has accounted for as received."""
    return _number(dsn, _RECEIVED_SPANS, tenant)


def _number(dsn: str, query: str, tenant: str) -> int:
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [tenant])
        row = connection.execute(query, {"tenant": tenant}).fetchone()
    return int(row[0]) if row else 0


def _heap_bytes(flink_url: str) -> int:
    with httpx.Client(base_url=flink_url, timeout=_HTTP_S) as client:
        rows = client.get("/taskmanagers").raise_for_status().json()["taskmanagers"]
        answers = [
            client.get(f"/taskmanagers/{row['id']}/metrics", params={"get": _HEAP}).json()
            for row in rows
        ]
    return sum(int(float(each["value"])) for answer in answers for each in answer)
