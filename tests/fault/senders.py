"""Ways in which spans may come that must not change a verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.bench.schedule import Emission

Export = Callable[[bytes, int], None]
"""Takes a request and the number of its spans."""

_HELD = 12
_SKEW_NS = 5 * 60 * 1_000_000_000


class Sender:
    """Exports records as they are."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._random = Random(1)

    def send(self, emission: Emission) -> None:
        """Send a record, or keep it for a while."""
        self._export(emission.payload, emission.spans)

    def close(self) -> None:
        """Send what was kept."""


class TwiceAndShuffled(Sender):
    """Exports every record twice, among others and out of order."""

    def __init__(self, export: Export) -> None:
        super().__init__(export)
        self._held: deque[Emission] = deque()

    def send(self, emission: Emission) -> None:
        """Put a record among those held back, and send one of these."""
        self._held += (emission, emission)
        while len(self._held) > _HELD:
            self._held.rotate(self._random.randrange(len(self._held)))
            super().send(self._held.popleft())

    def close(self) -> None:
        """Send all that is held back."""
        while self._held:
            super().send(self._held.popleft())


class OfSkewedClocks(Sender):
    """Exports spans as if the clock of each of their resources were up to five minutes wrong.

    A clock is wrong by the same in every span: one that is sent again is the same span.
    """

    def __init__(self, export: Export) -> None:
        super().__init__(export)
        self._skews_ns: dict[bytes, int] = {}

    def send(self, emission: Emission) -> None:
        """Send a record whose spans are all at another time."""
        request = ExportTraceServiceRequest.FromString(emission.payload)
        for of_resource in request.resource_spans:
            clock = of_resource.resource.SerializeToString(deterministic=True)
            drawn_ns = self._random.randint(-_SKEW_NS, _SKEW_NS)
            skew_ns = self._skews_ns.setdefault(clock, drawn_ns)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    span.start_time_unix_nano += skew_ns
                    span.end_time_unix_nano += skew_ns
        self._export(request.SerializeToString(), emission.spans)
