"""What a fault takes away for good, and which traces nothing certain can be said of after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

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
        """Traces under way in between were open at the loss, or may have begun before it."""
        shadow_s = SHADOW_MS / 1_000
        return self.since_s - CLOSED_S - _MARGIN_S, self.until_s + shadow_s + _MARGIN_S

    def judged_before(self, judged_at: datetime) -> bool:
        """Whether something was said while nothing was missing yet."""
        return judged_at <= datetime.fromtimestamp(self.judged_until_s, UTC)


class _Extent:
    """From when to when a trace was under way, in seconds since 1970."""

    def __init__(self) -> None:
        self.since_s = inf
        self.until_s = 0.0

    def overlaps(self, since_s: float, until_s: float) -> bool:
        """Tell whether it was under way at some time between two."""
        return self.since_s <= until_s and since_s <= self.until_s


class Exported:
    """When each trace of a tenant began, and when the last of its spans was exported."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._extents: defaultdict[bytes, _Extent] = defaultdict(_Extent)

    def note(self, request: bytes, at_s: float) -> None:
        """Note a request that was taken at a time.

        A trace begins with its first span: the job believes the clock of a root as well.
        """
        for span in _spans(ExportTraceServiceRequest.FromString(request)):
            extent = self._extents[span.trace_id]
            extent.since_s = min(extent.since_s, at_s, span.start_time_unix_nano / 1e9)
            extent.until_s = max(extent.until_s, at_s)

    def doubtful_after(self, loss: Loss | None) -> set[bytes]:
        """Return the traces of which a loss leaves something unknown; none without one."""
        if loss is None:
            return set()
        return {
            trace_id
            for trace_id, extent in self._extents.items()
            if loss.lane in (None, lane_of(self._tenant, trace_id))
            and extent.overlaps(*loss.doubtful_s)
        }


def _spans(request: ExportTraceServiceRequest) -> Iterable[Span]:
    return (
        span
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    )
