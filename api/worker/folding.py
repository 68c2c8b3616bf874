"""A batch of signal records, decoded, checked and put into rounds. Pure.

What holds of a signal is its highest revision. A batch may bring several revisions of one signal,
and a redelivery may repeat any; one upsert statement can touch a row only once. So the first
revision of every signal is one round, the second ones the next (there are rarely any), and each
revision is applied, and recorded in the signal's history, in order: how the log was cut into
batches makes no difference.

Beside signals the topic holds what the job folded of storms. Those are totals: the last of a batch
is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from google.protobuf.message import DecodeError

from udfs.wire import betrace_pb2 as wire

MAX_BIGINT = 2**63 - 1
MAX_INTEGER = 2**31 - 1
ID_BYTES = 16
TRACE_ID_BYTES = 16
MAX_EXAMPLES = 100
"""Far more traces than a record of a storm names; what holds more is none."""
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999, where Postgres and Python agree that time is representable."""
_VERDICTS = frozenset(
    (wire.VERDICT_VIOLATED, wire.VERDICT_SATISFIED, wire.VERDICT_NOT_APPLICABLE,
     wire.VERDICT_INCONCLUSIVE)
)  # fmt: skip
_SEVERITIES = frozenset(("critical", "high", "medium", "low", "info"))


class LogRecord(Protocol):
    """What is used of a record read from Kafka."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that can never be stored, with what is wrong with it."""

    record: LogRecord
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What one batch of the signals topic comes to."""

    signals: tuple[tuple[int, wire.Signal], ...]
    """(round, signal), sorted by round, tenant and id: replicas lock rows in the same order."""
    storms: tuple[wire.Signal, ...]
    """The newest record of each lane, version of a rule and minute that was folded."""
    poison: tuple[Poison, ...]

    @property
    def rounds(self) -> int:
        """How many rounds there are; they are numbered from 0."""
        return self.signals[-1][0] + 1 if self.signals else 0


def fold(records: Iterable[LogRecord]) -> Folded:
    """Decode records of the signals topic and put them into rounds.

    Raises nothing for bad input: each unusable record is one Poison. The outcome does not depend
    on the order of the records, nor on how often one comes.
    """
    revisions: dict[tuple[str, bytes], dict[int, wire.Signal]] = {}
    storms: dict[tuple[str | int, ...], wire.Signal] = {}
    poison: list[Poison] = []
    for record in records:
        decoded = decode_signal(record)
        if isinstance(decoded, Poison):
            poison.append(decoded)
            continue
        if is_storm(decoded):
            row = _row_of_storm(decoded)
            if storms.setdefault(row, decoded).revision < decoded.revision:
                storms[row] = decoded
        else:
            key = (decoded.tenant, decoded.id)
            revisions.setdefault(key, {}).setdefault(decoded.revision, decoded)
    placed = [
        (place, key, signal)
        for key, by_revision in revisions.items()
        for place, (_, signal) in enumerate(sorted(by_revision.items()))
    ]
    placed.sort(key=lambda each: each[:2])
    signals = tuple((place, signal) for place, _, signal in placed)
    return Folded(signals, tuple(storms[row] for row in sorted(storms)), tuple(poison))


def was_violated(signal: wire.Signal) -> bool:
    """Say whether this revision shows that the signal is, or was before, a violation."""
    return signal.verdict == wire.VERDICT_VIOLATED or (
        signal.HasField("correction") and signal.correction.was == wire.VERDICT_VIOLATED
    )


def decode_signal(record: LogRecord) -> wire.Signal | Poison:
    """Return the signal in a record, or what was folded of some, or why it can be neither."""
    if not record.value:
        return Poison(record, "signal.empty", "the record has no value")
    try:
        signal = wire.Signal.FromString(record.value)
    except DecodeError as error:
        return Poison(record, "signal.malformed", str(error))
    problem = _problem_of(signal)
    return signal if problem is None else Poison(record, "signal.invalid", problem)


def _problem_of(signal: wire.Signal) -> str | None:
    if len(signal.id) != ID_BYTES:
        return f"id has {len(signal.id)} bytes, and must have {ID_BYTES}"
    problem = _problem_of_trace(signal)
    if problem is not None:
        return problem
    if not is_tenant(signal.tenant):
        return "tenant is not a UUID in lower case with hyphens"
    if signal.verdict not in _VERDICTS and not is_storm(signal):
        return f"verdict {signal.verdict} is not known"
    if signal.severity not in _SEVERITIES:
        return f"severity {signal.severity[:40]!r} is not known"
    if not signal.rule_id or "\0" in signal.rule_id:
        return "rule_id is empty or holds a NUL"
    problem = _out_of_range(signal)
    if problem is None and is_storm(signal):
        return _problem_of_storm(signal.fold)
    return problem


def _problem_of_trace(signal: wire.Signal) -> str | None:
    has = len(signal.trace_id)
    if is_of_many(signal) or is_storm(signal):
        return f"trace_id has {has} bytes, and must have none" if has else None
    if has != TRACE_ID_BYTES:
        return f"trace_id has {has} bytes, and must have {TRACE_ID_BYTES}"
    return None


def is_of_many(signal: wire.Signal) -> bool:
    """Say whether a signal is of a rule over many traces."""
    return signal.HasField("correlated") or signal.HasField("overdue")


def is_storm(signal: wire.Signal) -> bool:
    """Say whether a record is no signal, but counts those that the job has folded."""
    return signal.HasField("fold")


def _row_of_storm(signal: wire.Signal) -> tuple[str | int, ...]:
    fold = signal.fold
    return signal.tenant, signal.rule_id, fold.minute_ms, signal.rule_version, fold.lane


def _out_of_range(signal: wire.Signal) -> str | None:
    limits = (
        ("revision", signal.revision, MAX_BIGINT),
        ("rule_version", signal.rule_version, MAX_INTEGER),
        ("span_count", signal.span_count, MAX_INTEGER),
        ("partition", signal.partition, MAX_INTEGER),
        ("first_offset", signal.first_offset, MAX_BIGINT),
        ("last_offset", signal.last_offset, MAX_BIGINT),
        ("replaces_revision", signal.correction.replaces_revision, MAX_BIGINT),
        ("first_span_ms", signal.first_span_ms, _LAST_MS),
        ("last_span_ms", signal.last_span_ms, _LAST_MS),
        ("closed_ms", signal.closed_ms, _LAST_MS),
        ("judged_ms", signal.judged_ms, _LAST_MS),
    )
    return _beyond(limits)


def _problem_of_storm(fold: wire.Fold) -> str | None:
    if any(len(trace_id) != TRACE_ID_BYTES for trace_id in fold.example_trace_ids):
        return f"an example has no trace id of {TRACE_ID_BYTES} bytes"
    limits = (
        ("lane", fold.lane, MAX_INTEGER),
        ("minute_ms", fold.minute_ms, _LAST_MS),
        ("first_judged_ms", fold.first_judged_ms, _LAST_MS),
        ("last_judged_ms", fold.last_judged_ms, _LAST_MS),
        ("raised", fold.raised, MAX_BIGINT),
        ("renewed", fold.renewed, MAX_BIGINT),
        ("withdrawn", fold.withdrawn, MAX_BIGINT),
        ("number of examples", len(fold.example_trace_ids), MAX_EXAMPLES),
    )
    return _beyond(limits)


def _beyond(limits: Iterable[tuple[str, int, int]]) -> str | None:
    for name, value, limit in limits:
        if not 0 <= value <= limit:
            return f"{name} is {value}, and must lie between 0 and {limit}"
    return None


@lru_cache(maxsize=4096)
def is_tenant(text: str) -> bool:
    """Say whether a text is a tenant id as every BeTrace record carries it."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def storable(text: str) -> str:
    """Return the text as Postgres can hold it: NUL, which it cannot, becomes U+FFFD."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
