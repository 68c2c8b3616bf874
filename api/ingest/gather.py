"""Gathers parts of requests into records of one tenant and one lane.

Pure: it is told when to let go (`flush`), and returns what became ready. The owner keeps the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from api.ingest.request_wire import SPAN_FRAME_BYTES, Group, Origin, encode
from api.ingest.split import MAX_RECORD_BYTES, Part

FULL_BYTES = 512 * 1024


class Waiting(Protocol):
    """Someone who waits for all records that hold something of his."""

    def hold(self) -> None:
        """One more record holds something."""


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Record(Generic[W]):
    """One record for Kafka, at most max_record_bytes, and who waits for it."""

    tenant: str
    lane: int
    value: bytes
    span_count: int
    waiting: tuple[W, ...]


@dataclass(slots=True)
class _Buffer(Generic[W]):
    """Spans of one tenant and lane; those of one origin are kept together, whoever sent them."""

    spans: dict[Origin, list[bytes]] = field(default_factory=dict)
    waiting: list[W] = field(default_factory=list)
    span_count: int = 0
    size_bytes: int = 0

    def add(self, part: Part, waiter: W) -> None:
        for origin, spans in part.groups:
            kept = self.spans.get(origin)
            if kept is None:
                self.spans[origin] = list(spans)
            else:
                kept.extend(spans)
        self.span_count += part.span_count
        self.size_bytes += part.size_bytes
        self.waiting.append(waiter)
        waiter.hold()


class Gatherer(Generic[W]):
    """Buffers per tenant and lane. Not safe for several threads."""

    def __init__(
        self, *, full_bytes: int = FULL_BYTES, max_record_bytes: int = MAX_RECORD_BYTES
    ) -> None:
        self._full_bytes = full_bytes
        self._max_record_bytes = max_record_bytes
        self._tenants: dict[str, dict[int, _Buffer[W]]] = {}

    def add(self, tenant: str, parts: dict[int, Part], waiter: W) -> list[Record[W]]:
        """Take in one request's parts; return the records that became full."""
        lanes = self._tenants.setdefault(tenant, {})
        ready: list[Record[W]] = []
        for lane, part in parts.items():
            for piece in _cut(part, self._max_record_bytes):
                buffer = lanes.get(lane)
                if buffer and buffer.size_bytes + piece.size_bytes > self._max_record_bytes:
                    ready.append(_record(tenant, lane, lanes.pop(lane)))
                    buffer = None
                if buffer is None:
                    buffer = lanes[lane] = _Buffer()
                buffer.add(piece, waiter)
                if buffer.size_bytes >= self._full_bytes:
                    ready.append(_record(tenant, lane, lanes.pop(lane)))
        return ready

    def holds(self, tenant: str) -> bool:
        """Whether anything of the tenant waits for a flush."""
        return bool(self._tenants.get(tenant))

    def flush(self, tenant: str) -> list[Record[W]]:
        """Return all that the tenant has, as records, and forget the tenant."""
        lanes = self._tenants.pop(tenant, {})
        return [_record(tenant, lane, buffer) for lane, buffer in lanes.items()]

    def flush_all(self) -> list[Record[W]]:
        """Return everything, as records."""
        return [record for tenant in list(self._tenants) for record in self.flush(tenant)]


def _record(tenant: str, lane: int, buffer: _Buffer[W]) -> Record[W]:
    value = encode(buffer.spans.items())
    return Record(tenant, lane, value, buffer.span_count, tuple(buffer.waiting))


def _cut(part: Part, max_bytes: int) -> Iterator[Part]:
    """Cut a part into pieces of at most max_bytes; each single span fits by `split`."""
    if part.size_bytes <= max_bytes:
        yield part
        return
    piece = Part()
    for origin, span in _spans(part.groups):
        if (
            piece.groups
            and piece.size_bytes + origin.size_bytes + len(span) + SPAN_FRAME_BYTES > max_bytes
        ):
            yield piece
            piece = Part()
        piece.add(origin, [span])
    yield piece


def _spans(groups: list[Group]) -> Iterator[tuple[Origin, bytes]]:
    for origin, spans in groups:
        for span in spans:
            yield origin, span
