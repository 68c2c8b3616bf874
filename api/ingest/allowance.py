"""Two bounds on what comes in: bytes held in memory, and the rates of those who send."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from api.auth.addresses import Address, network_of_address
from api.ingest.credentials import Sender
from api.ingest.limits import IngestLimits
from api.limits.buckets import Answer, Ask, LocalBuckets, Quota
from api.limits.metrics import LimitMetrics
from api.limits.settled import SettledBuckets

_MINUTE_S = 60.0


class Exhausted(Exception):
    """More bytes than the process may hold."""


class Memory:
    """Bytes that requests may hold together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    def lease(self) -> Lease:
        """Begin a request's share, empty."""
        return Lease(self)

    def take(self, size_bytes: int) -> None:
        """Raises Exhausted, and takes nothing, where it would be too much."""
        if self.held_bytes + size_bytes > self._max_bytes:
            raise Exhausted
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Return what was taken."""
        self.held_bytes -= size_bytes


class Lease:
    """The share of one request; closing it twice does no harm."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.size_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Take so many bytes more. Raises Exhausted."""
        self._memory.take(size_bytes)
        self.size_bytes += size_bytes

    def close(self) -> None:
        """Give everything back."""
        self._memory.give_back(self.size_bytes)
        self.size_bytes = 0


def allowance_alone(limits: IngestLimits) -> Allowance:
    """Return the allowance of a process that counts for itself and is watched by nobody."""
    metrics = LimitMetrics(CollectorRegistry())
    return Allowance(limits, SettledBuckets(LocalBuckets(), None, metrics=metrics))


class Allowance:
    """What tenants and their keys may send: spans and bytes a second.

    A request is let in while there is something left, whatever its size, and charged when it was
    read: so a request larger than the burst is possible, and the average holds all the same.
    """

    def __init__(self, limits: IngestLimits, buckets: SettledBuckets) -> None:
        self._limits = limits
        self._buckets = buckets

    def look(self, sender: Sender) -> Answer:
        """Return whether somebody may send now, and take nothing."""
        return self._buckets.peek(self._asks(sender, span_count=1, size_bytes=1))

    def charge(self, sender: Sender, *, span_count: int, size_bytes: int) -> None:
        """Take what was sent, into debt if need be."""
        self._buckets.charge(self._asks(sender, span_count=span_count, size_bytes=size_bytes))

    def look_at_stranger(self, address: Address | None) -> Answer:
        """Return whether an address may present another key that nobody knows."""
        return self._buckets.peek(self._of_address(address))

    def charge_stranger(self, address: Address | None) -> None:
        """Count a key that was presented in vain."""
        self._buckets.charge(self._of_address(address))

    def _asks(self, sender: Sender, *, span_count: int, size_bytes: int) -> list[Ask]:
        limits, own = self._limits, sender.limits
        spans_per_s = own.spans_per_s or limits.tenant_spans_per_s
        bytes_per_s = own.span_bytes_per_s or limits.tenant_bytes_per_s
        asks = [
            Ask("spans", sender.tenant, self._burst(spans_per_s), span_count),
            Ask("span-bytes", sender.tenant, self._burst(bytes_per_s), size_bytes),
        ]
        if sender.principal and limits.key_spans_per_s:
            whose = str(sender.principal.key_id)
            asks.append(Ask("key-spans", whose, self._burst(limits.key_spans_per_s), span_count))
        return asks

    def _of_address(self, address: Address | None) -> list[Ask]:
        per_min = self._limits.address_refusals_per_min
        quota = Quota(per_min, _MINUTE_S)
        return [Ask("refusals", network_of_address(address), quota)] if per_min else []

    def _burst(self, per_s: float) -> Quota:
        burst_s = self._limits.tenant_burst_s
        return Quota(per_s * burst_s, burst_s)
