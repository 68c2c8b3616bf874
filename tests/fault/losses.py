"""What a fault takes away for good, and which traces nothing certain can be said of after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.flow import CLOSED_S
from udfs.lanes import lane_of
from udfs.losses import SHADOW_MS

_MARGIN_S = 2.0
"""Between the clock of a sender and that of the broker, and what a request takes."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Spans that were never matched. Times are in seconds since 1970.

    since_s, until_s: between these they were exported. judged_until_s: what was judged before it
    was judged before the loss, and stands. lane: of these alone; None: of all. spans: at most so
    many.
    """

    since_s: float
    judged_until_s: float
    until_s: float
    spans: int
    lane: int | None = None

    @property
    def doubtful_s(self) -> tuple[float, float]:
        """Traces that had spans in between were open at the loss, or may have begun before it."""
        shadow_s = SHADOW_MS / 1_000
        return self.since_s - CLOSED_S - _MARGIN_S, self.until_s + shadow_s + _MARGIN_S

    def judged_before(self, judged_at: datetime) -> bool:
        """Whether something was said while nothing was missing yet."""
        return judged_at <= datetime.fromtimestamp(self.judged_until_s, UTC)


class Exported:
    """When the spans of each trace of a tenant were exported."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._times_s: defaultdict[bytes, list[float]] = defaultdict(list)

    def note(self, request: bytes, at_s: float) -> None:
        """Note a request that was taken at a time."""
        for trace_id in set(_trace_ids(ExportTraceServiceRequest.FromString(request))):
            self._times_s[trace_id].append(at_s)

    def doubtful_after(self, loss: Loss | None) -> set[bytes]:
        """Return the traces of which a loss leaves something unknown; none without one."""
        if loss is None:
            return set()
        since_s, until_s = loss.doubtful_s
        return {
            trace_id
            for trace_id, times_s in self._times_s.items()
            if loss.lane in (None, lane_of(self._tenant, trace_id))
            and any(since_s <= at_s <= until_s for at_s in times_s)
        }


def _trace_ids(request: ExportTraceServiceRequest) -> Iterable[bytes]:
    return (
        span.trace_id
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    )
