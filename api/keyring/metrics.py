"""Figures of the keys of a process: how often they were at hand, and what could not be rotated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from udfs.keysource.ring import KeyRing


class RingFigures(Collector):
    """Tells Prometheus what became of questions to a ring, whenever it asks.

    of: newest, records, secrets or signers. outcome: hits, misses, evictions, or late, which is by
    an old answer since the key service or Postgres was away.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the figures."""
        family = CounterMetricFamily(
            "betrace_keys_asked", "What became of questions for keys.", labels=["of", "outcome"]
        )
        for of, counts in self._ring.counts.items():
            for outcome, count in asdict(counts).items():
                family.add_metric([of, outcome], count)
        yield family
