"""What redaction costs, on one core: spans with nothing to take out, and spans with something.

    without = a request taken apart by lane, and its record compressed, as `ingest` does it
    with    = the same, and the record redacted in between

All times are CPU times of this process, each the least of some repeats. Clean spans are those of
the bench's own mix; for the others an attribute with a mail address is added to a share of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.bench.plan import LoadSettings, plan
from api.bench.traffic import TrafficSettings
from api.ingest.request_wire import encode
from api.ingest.split import split
from udfs.garbage import spare_the_living
from udfs.payload import compress
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.tokens import RedactionKey

TARGET_SPANS_PER_S: Final = 200_000
RECORD_SPANS: Final = 450
SHARES: Final = (0.0, 0.01, 0.1, 1.0)
_TENANT: Final = "00000000-0000-4000-8000-0000000bec40"
_LANE_RECORDS: Final = 2
_LANES: Final = 32
_MAIL: Final = KeyValue(key="app.note", value=AnyValue(string_value="of ada@example.com"))


@dataclass(frozen=True, slots=True)
class ShareFigures:
    """Spans of which a share holds a mail address.

    redaction_spans_per_s: the redaction alone; it is the scan alone where the share is 0.
    replaced: values that were replaced in one pass.
    """

    share: float
    redaction_spans_per_s: int
    without_spans_per_s: int
    with_spans_per_s: int
    replaced: int


@dataclass(frozen=True, slots=True)
class RedactionFigures:
    """What was measured. made_ms: how long making a redactor takes, its patterns compiled."""

    record_spans: int
    span_bytes: int
    made_ms: float
    rows: tuple[ShareFigures, ...]
    target_spans_per_s: int = TARGET_SPANS_PER_S

    @property
    def within_target(self) -> bool:
        """Whether the scan of clean spans is fast enough."""
        return self.rows[0].redaction_spans_per_s >= self.target_spans_per_s

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**asdict(self), "within_target": self.within_target}


def measure_redaction(
    *,
    records: int,
    repeats: int,
    shares: Sequence[float] = SHARES,
    record_spans: int = RECORD_SPANS,
    seed: int = 1,
) -> RedactionFigures:
    """Measure with so many records, the default policy and each share; the first one is 0."""
    spare_the_living()  # as the processes of the product do
    clean = _clean_records(records, record_spans=record_spans, seed=seed)
    made_s, redactor = _making()
    rows = tuple(
        _measured(redactor, [_dirty(record, share) for record in clean], share, repeats)
        for share in shares
    )
    spans = sum(map(_span_count, clean))
    return RedactionFigures(
        record_spans=round(spans / len(clean)),
        span_bytes=round(sum(map(len, clean)) / spans),
        made_ms=made_s * 1e3,
        rows=rows,
    )


def _clean_records(count: int, *, record_spans: int, seed: int) -> list[bytes]:
    settings = LoadSettings(
        tenant=_TENANT,
        chunk_spans=_LANES * _LANE_RECORDS * record_spans,
        record_spans=record_spans,
        traffic=TrafficSettings(seed=seed),
    )
    whole = plan(settings).load().whole
    full = [record for slot, record in whole if slot.spans == record_spans]
    return (full * (-(-count // len(full))))[:count]


def _making() -> tuple[float, Redactor]:
    begun_ns = time.process_time_ns()
    redactor = Redactor(Policy(), RedactionKey("bench", bytes(32)))
    redactor.record(b"\n\0")
    return (time.process_time_ns() - begun_ns) / 1e9, redactor


def _dirty(record: bytes, share: float) -> bytes:
    """Return a record in which a share of the spans holds something, evenly spread."""
    if not share:
        return record
    request = ExportTraceServiceRequest.FromString(record)
    for span in islice(_spans(request), None, None, round(1 / share)):
        span.attributes.append(_MAIL)
    return request.SerializeToString()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield from of_scope.spans


def _span_count(record: bytes) -> int:
    return sum(1 for _ in _spans(ExportTraceServiceRequest.FromString(record)))


def _measured(
    redactor: Redactor, records: Sequence[bytes], share: float, repeats: int
) -> ShareFigures:
    spans = sum(map(_span_count, records))

    def redact(record: bytes) -> None:
        redactor.record(record)

    def pass_on(record: bytes) -> None:
        for part in _parts(record):
            compress(part)

    def redact_and_pass_on(record: bytes) -> None:
        for part in _parts(record):
            compress(redactor.record(part)[0])

    def rate(work: Callable[[bytes], None]) -> int:
        return round(spans / min(_cpu_s(work, records) for _ in range(repeats)))

    return ShareFigures(
        share=share,
        redaction_spans_per_s=rate(redact),
        without_spans_per_s=rate(pass_on),
        with_spans_per_s=rate(redact_and_pass_on),
        replaced=sum(redactor.record(record)[1].total for record in records),
    )


def _parts(request: bytes) -> list[bytes]:
    """Take a request of one lane apart and write its record."""
    return [encode(part.groups) for part in split(request, tenant=_TENANT).parts.values()]


def _cpu_s(work: Callable[[bytes], None], records: Sequence[bytes]) -> float:
    begun_ns = time.process_time_ns()
    for record in records:
        work(record)
    return (time.process_time_ns() - begun_ns) / 1e9
