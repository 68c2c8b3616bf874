"""Two bounds on what comes in: bytes held in memory, and each tenant's rate. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_MAX_TENANTS = 10_000


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


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Rate:
    """A token bucket per tenant that may go into debt.

    A request is let in while there are tokens, whatever its size, and then charged: so a request
    larger than the burst is possible, and the average rate holds all the same.
    """

    def __init__(self, per_s: float, *, burst_s: float) -> None:
        self._per_s = per_s
        self._burst = per_s * burst_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, tenant: str, *, now_s: float) -> float:
        """Return in how many seconds the tenant may send again; 0 = now."""
        tokens = self._filled(tenant, now_s).tokens
        return 0.0 if tokens > 0 else (1.0 - tokens) / self._per_s

    def charge(self, tenant: str, amount: float, *, now_s: float) -> None:
        """Take tokens, into debt if need be."""
        self._filled(tenant, now_s).tokens -= amount

    def _filled(self, tenant: str, now_s: float) -> _Bucket:
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = self._buckets[tenant] = _Bucket(self._burst, now_s)
            if len(self._buckets) > _MAX_TENANTS:
                self._buckets.popitem(last=False)  # heard of longest ago, so full again
        else:
            self._buckets.move_to_end(tenant)
        gained = max(now_s - bucket.at_s, 0.0) * self._per_s
        bucket.tokens = min(self._burst, bucket.tokens + gained)
        bucket.at_s = now_s
        return bucket
