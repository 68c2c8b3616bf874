"""What signals of rules over many traces carry instead of a trace, as it is stored: JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.worker.folding import storable
from udfs.wire import betrace_pb2 as wire


def key_of(signal: wire.Signal) -> dict[str, str]:
    """Return the values of the keys that the rule counts by, by name."""
    fields = signal.correlated.key if signal.HasField("correlated") else signal.overdue.key
    return _key(fields)


def seen_of(signal: wire.Signal) -> dict[str, Any]:
    """Return what was seen. Times are ns since the epoch, ids hex, exact numbers text."""
    if signal.HasField("correlated"):
        return _correlated(signal.correlated)
    return _overdue(signal.overdue)


def _correlated(told: wire.Correlated) -> dict[str, Any]:
    return {
        "kind": "correlate",
        "key": _key(told.key),
        "since_ns": told.since_ns,
        "last_ns": told.last_ns,
        "within_ns": told.within_ns,
        "over": told.over,
        "count": told.count,
        "members": [_member(member) for member in told.members],
        "measured": [
            {"text": one.text, "least": one.least, "greatest": one.greatest}
            for one in told.measured
        ],
    }


def _member(member: wire.Contributing) -> dict[str, Any]:
    return {
        "time_ns": member.time_ns,
        "name": storable(member.name),
        "trace_id": member.trace_id.hex(),
        "span_id": member.span_id.hex(),
        "signal_id": member.signal_id.hex(),
        "source": member.source,
        "doubtful": member.doubtful,
        "values": {storable(name): storable(text) for name, text in sorted(member.values.items())},
    }


def _overdue(told: wire.Overdue) -> dict[str, Any]:
    return {
        "kind": "expect",
        "key": _key(told.key),
        "last_seen_ns": told.last_seen_ns,
        "last_trace_id": told.last_trace_id.hex(),
        "due_ns": told.due_ns,
        "until_ns": told.until_ns or None,
        "ended": told.ended,
        "seen_trace_id": told.seen_trace_id.hex(),
        "every_ns": told.every_ns,
    }


def _key(fields: Iterable[wire.KeyField]) -> dict[str, str]:
    return {storable(field.name): storable(field.value) for field in fields}
