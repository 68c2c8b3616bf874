"""Ordinary traces, a few of each tenant an hour: what is usual, to look at and to try rules on.

Every period one worker reads a short stretch of the spans log that is over by now, and stores
traces that lie in it whole, of as many kinds as there are. Where little is sent it sees all
partitions of the stretch; where much is sent, as much as a few megabytes hold, from another
partition on each time.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog

from api.redaction.redactors import RedactionUnavailable
from api.worker.database import WorkerConnection, statement
from api.worker.redaction import RedactSpans
from api.worker.spans_log import LogUnavailable, RangeExpired, SpansLog, SpansRecord
from api.worker.sweep import Range, spans_of_traces
from api.worker.trace_copy import FoundSpan, distinct, lacks_parent, root_of, spans_of
from api.worker.trace_store import store_copy
from udfs.otlp import decode_spans

log = structlog.get_logger(__name__)

PERIOD_S: Final = 60.0
PER_HOUR: Final = 60
_STRETCH_MS: Final = 45_000
_AGO_MS: Final = 60_000
"""How long ago a stretch ended: late spans have come."""
_QUIET_MS: Final = 10_000
"""Nothing of a trace comes for so long at both ends of a stretch: all of it lies within."""
_BYTES_A_ROUND: Final = 4 * 2**20
_A_ROUND: Final = 2
"""Traces of one tenant."""
_MAX_SPANS: Final = 1_000
"""Of a trace. Larger ones are no quick look."""


@dataclass(slots=True)
class Passing:
    """A trace that was seen in a stretch of one partition."""

    tenant: str
    trace_id: bytes
    first_ms: int
    last_ms: int
    root: str = ""
    """Name of the span without a parent; empty: none was seen."""
    span_count: int = 0
    records: list[SpansRecord] = field(default_factory=list)


class Sampler:
    """Stores ordinary traces until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        log: SpansLog,
        redact: RedactSpans,
        connect: Callable[[], WorkerConnection],
        stop: threading.Event,
        per_hour: int = PER_HOUR,
        period_s: float = PERIOD_S,
    ) -> None:
        """redact: spans that `ingest` has not redacted. per_hour: traces of one tenant."""
        self._log = log
        self._redact = redact
        self._connect = connect
        self._stop = stop
        self._per_hour = per_hour
        self._period_s = period_s

    def run(self) -> None:
        """Do a round every period; what does not answer is asked again in the next one."""
        try:
            while not self._stop.wait(self._period_s):
                try:
                    with self._connect() as connection:
                        self.round(connection, now_ms=time.time_ns() // 1_000_000)
                except (LogUnavailable, RangeExpired, RedactionUnavailable) as error:
                    log.warning("sampler.unavailable", error=str(error))
                    self._log.close()
                except psycopg.OperationalError as error:
                    log.warning("sampler.database", error=str(error).strip())
        finally:
            self._log.close()

    def round(self, connection: WorkerConnection, *, now_ms: int) -> int:
        """Store some traces of before now_ms; return how many. None if another worker did just now.

        Raises LogUnavailable, RangeExpired, RedactionUnavailable, psycopg.Error.
        """
        period = {"period_s": self._period_s}
        if connection.execute(statement("begin_sampling"), period).fetchone() is None:
            return 0
        begin_ms = now_ms - _AGO_MS - _STRETCH_MS
        seen = self._seen(begin_ms, begin_ms + _STRETCH_MS)

        usable = [each for each in seen if _lies_within(each, begin_ms)]
        stored = 0
        for tenant, traces in self._chosen(connection, usable).items():
            for each in traces:
                stored += self._store(connection, tenant, each)
        return stored

    def _seen(self, begin_ms: int, end_ms: int) -> Iterator[Passing]:
        """Yield the traces of a stretch, partition by partition, as far as the bytes reach."""
        partitions = self._log.partitions()
        first = random.randrange(len(partitions))
        left = _BYTES_A_ROUND
        for partition in partitions[first:] + partitions[:first]:
            wanted = Range(
                partition,
                self._log.offset_at(partition, begin_ms),
                self._log.offset_at(partition, end_ms) - 1,
            )
            records = []
            for record in self._log.read(wanted):
                records.append(record)
                left -= len(record.payload)
                if left <= 0 or self._stop.is_set():
                    break
            else:
                yield from passing(records)
                continue
            # Of what was cut off, traces may go on: those that were quiet for long are whole.
            last_ms = records[-1].time_ms
            yield from (one for one in passing(records) if one.last_ms + _QUIET_MS <= last_ms)
            return

    def _chosen(
        self, connection: WorkerConnection, usable: Iterable[Passing]
    ) -> dict[str, list[Passing]]:
        by_tenant: dict[str, list[Passing]] = defaultdict(list)
        for each in usable:
            by_tenant[each.tenant].append(each)
        budgets = connection.execute(
            statement("sampling_budgets"),
            {"tenant_ids": list(by_tenant), "per_hour": self._per_hour},
        ).fetchall()
        left = {str(row["tenant_id"]): min(row["left_over"], _A_ROUND) for row in budgets}
        return {
            tenant: various(_not_stored(connection, tenant, traces), most=left[tenant])
            for tenant, traces in by_tenant.items()
            if left.get(tenant, 0) > 0
        }

    def _store(self, connection: WorkerConnection, tenant: str, each: Passing) -> bool:
        found: list[FoundSpan] = []
        for record in each.records:
            part = spans_of_traces(record.payload, [each.trace_id]).get(each.trace_id, b"")
            if part and not record.is_redacted:
                part = self._redact(tenant, part)
            found += spans_of(part, each.trace_id, offset=record.offset)
        found = distinct(found)
        if root_of(found) is None or lacks_parent(found):
            return False
        first, last = each.records[0], each.records[-1]
        with connection.transaction():
            store_copy(
                connection,
                found,
                tenant=tenant,
                trace_id=each.trace_id,
                whole=True,
                first_span_at=_time(first.time_ms),
                last_span_at=_time(last.time_ms),
                read=Range(first.partition, first.offset, last.offset),
                sampled=True,
            )
        return True


def _not_stored(
    connection: WorkerConnection, tenant: str, traces: Sequence[Passing]
) -> list[Passing]:
    asked = {"tenant_id": tenant, "trace_ids": [each.trace_id for each in traces]}
    rows = connection.execute(statement("copied_traces"), asked).fetchall()
    stored = {bytes(row["trace_id"]) for row in rows}
    return [each for each in traces if each.trace_id not in stored]


def passing(records: Iterable[SpansRecord]) -> list[Passing]:
    """Return the traces that some records hold, as they came. What is no spans is passed over."""
    seen: dict[tuple[str, bytes], Passing] = {}
    for record in records:
        try:
            spans = decode_spans(record.payload)
        except ValueError:
            continue  # the job has sent it to the dead letters
        for span in spans:
            key = (record.tenant, span.trace_id)
            each = seen.get(key)
            if each is None:
                each = seen[key] = Passing(*key, record.time_ms, record.time_ms)
            each.last_ms = record.time_ms
            each.span_count += 1
            if not span.parent_span_id:
                each.root = span.name
            if not each.records or each.records[-1] is not record:
                each.records.append(record)
    return list(seen.values())


def various(traces: Sequence[Passing], *, most: int) -> list[Passing]:
    """Return some traces, those of different names first; which of a name is left to chance."""
    shuffled = random.sample(traces, len(traces))
    first: dict[str, Passing] = {}
    for each in shuffled:
        first.setdefault(each.root, each)
    chosen = list(first.values())[:most]
    others = [each for each in shuffled if first[each.root] is not each]
    return chosen + others[: most - len(chosen)]


def _lies_within(each: Passing, begin_ms: int) -> bool:
    """Whether a trace can be whole, by when its spans came."""
    end_ms = begin_ms + _STRETCH_MS
    quiet_before = begin_ms + _QUIET_MS <= each.first_ms
    quiet_after = each.last_ms + _QUIET_MS <= end_ms
    return bool(each.root) and each.span_count <= _MAX_SPANS and quiet_before and quiet_after


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
