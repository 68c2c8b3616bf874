"""A trace that lives long: its spans come one by one, and its root, as in life, comes last.

Two promises are planted in it: one is broken by a span that is there, one by a span that is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from api.bench.drafts import OPERATIONS, SpanDraft
from api.bench.encode import encode_record, encode_span
from api.bench.rules import BenchRule
from api.bench.schedule import Emission
from udfs.lanes import lane_of

_ROOT = "POST /checkout"
_STEP = "cache.get"
_NS_PER_MS = 1_000_000
_SPAN_NS = 5 * _NS_PER_MS

BY_PRESENCE = BenchRule(
    0,
    "bench-long-presence",
    'when { order.place.where(order.region == "long") }\n'
    'never { payment.bypass.where(order.region == "long") }',
    "present",
    None,
    0,
)
BY_ABSENCE = BenchRule(
    1,
    "bench-long-absence",
    'when { order.place.where(order.region == "long") }\n'
    'always { audit.log.where(audit.object == "long") }',
    "present",
    None,
    0,
)
LONG_RULES = (BY_PRESENCE, BY_ABSENCE)
LONG_RULE_IDS = frozenset(rule.rule_id for rule in LONG_RULES)


@dataclass(slots=True)
class LongTrace:
    """Yields a span every so often for life_ms, then its root. Times are handed in."""

    tenant: str
    life_ms: int
    every_ms: int
    seed: int = 1
    trace_id: bytes = field(init=False)
    sent: int = field(default=0, init=False)
    finished: bool = field(default=False, init=False)
    _rng: Random = field(init=False)
    _root_id: bytes = field(init=False)
    _begin_ms: int = field(default=0, init=False)
    _next_ms: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)
        self.trace_id = self._rng.randbytes(16)
        self._root_id = self._rng.randbytes(8)

    def begin_at(self, now_ms: int) -> None:
        """Let the first span be due at a time."""
        self._begin_ms = self._next_ms = now_ms

    @property
    def violations(self) -> frozenset[tuple[str, bytes]]:
        """What must be found once all of it was judged as one trace."""
        return frozenset((rule_id, self.trace_id) for rule_id in LONG_RULE_IDS)

    def due(self, now_ms: int) -> Iterator[Emission]:
        """Yield what is due by now; times must not go back."""
        while not self.finished and self._next_ms <= now_ms:
            last = self._next_ms >= self._begin_ms + self.life_ms
            yield self._emission(_ROOT if last else self._name(), at_ms=self._next_ms, root=last)
            self.sent += 1
            self.finished = last
            self._next_ms += self.every_ms

    def _name(self) -> str:
        """What is planted comes first: the longer it lies, the more can go wrong with it."""
        return ("order.place", "payment.bypass")[self.sent] if self.sent < 2 else _STEP

    def _emission(self, name: str, *, at_ms: int, root: bool) -> Emission:
        operation = OPERATIONS[name]
        at_ns = at_ms * _NS_PER_MS
        attributes = operation.neutral(self._rng)
        if name in ("order.place", "payment.bypass"):
            attributes["order.region"] = "long"
        span = SpanDraft(
            operation,
            None,
            self._begin_ms * _NS_PER_MS if root else at_ns - _SPAN_NS,
            at_ns,
            attributes,
        )
        encoded = encode_span(
            span,
            trace_id=self.trace_id,
            span_id=self._root_id if root else self._rng.randbytes(8),
            parent_span_id=b"" if root else self._root_id,
        )
        record = encode_record([(operation.service, [encoded.content])])
        return Emission(record.content, lane_of(self.tenant, self.trace_id), 1)
