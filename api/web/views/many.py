"""Signals of rules over many traces on pages: no trace, but what was seen instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.web.views.moments import Moment, duration_text, exact_moment

NO_TRACE: Final = (
    "This signal is about many traces, so there is no single one to show. Traces that broke a "
    "promise are kept with the signals of that promise; of other traces no copy is made."
)
_ENDED: Final[Mapping[str, str]] = {"sighted": "Seen again", "forgotten": "Forgotten"}


@dataclass(frozen=True, slots=True)
class Contributor:
    """A span or signal that contributes, or a sighting. href: where it can be read, or nothing."""

    name: str
    what: str
    href: str
    at: Moment
    values: tuple[tuple[str, str], ...]
    trace: str


@dataclass(frozen=True, slots=True)
class Contributors:
    """The panel that stands where a promise has its trace. left_out: how many are not listed."""

    title: str
    summary: str
    rows: tuple[Contributor, ...]
    left_out: int
    note: str


def many_title(seen: Mapping[str, Any]) -> str:
    """Return the key of a signal in one line."""
    key: Mapping[str, str] = seen["key"]
    return ", ".join(f"{name} = {value}" for name, value in key.items()) or "the whole tenant"


def many_summary(seen: Mapping[str, Any]) -> str:
    """Return what was seen in one line."""
    if seen["kind"] == "correlate":
        lasts_ns = seen["last_ns"] - seen["since_ns"] + seen["within_ns"]
        return f"{seen['count']} within {duration_text(lasts_ns)}"
    if seen["until_ns"] is None:
        return f"not seen for more than {duration_text(seen['every_ns'])}"
    return f"not seen for {duration_text(seen['until_ns'] - seen['last_seen_ns'])}"


def many_marks(seen: Mapping[str, Any], *, taken_back: bool) -> tuple[str, ...]:
    """Return the words beside a signal that is over. taken_back: its verdict is not violated."""
    if seen["kind"] == "correlate":
        return ("Withdrawn",) if taken_back else ("Over",) if seen["over"] else ()
    if seen["ended"] in _ENDED:
        return (_ENDED[seen["ended"]],)
    return ("Withdrawn",) if taken_back else ()


def many_times(seen: Mapping[str, Any]) -> tuple[tuple[str, str, Moment | None], ...]:
    """Return facts: (label, text, time)."""
    if seen["kind"] == "correlate":
        return (
            ("Members", str(seen["count"]), None),
            ("Window", duration_text(seen["within_ns"]), None),
            ("Held since", "", exact_moment(seen["since_ns"])),
            ("Held last", "", exact_moment(seen["last_ns"])),
        )
    seen_last = "Last seen" if seen["last_trace_id"] else "Expected since"
    ended = _ENDED.get(seen["ended"])
    return (
        ("Expected every", duration_text(seen["every_ns"]), None),
        (seen_last, "", exact_moment(seen["last_seen_ns"])),
        ("Due", "", exact_moment(seen["due_ns"])),
        *([(ended, "", exact_moment(seen["until_ns"]))] if ended and seen["until_ns"] else []),
    )


def contributors(seen: Mapping[str, Any], *, known: Collection[str]) -> Contributors:
    """Return the panel of what contributes. known: ids of traces and signals that can be shown."""
    if seen["kind"] == "correlate":
        rows = tuple(_member(one, known) for one in seen["members"])
        left_out = max(0, seen["count"] - len(rows))
        return Contributors("What contributes", many_summary(seen), rows, left_out, NO_TRACE)
    rows = tuple(
        Contributor(what, "", _trace_href(trace, known), exact_moment(at_ns), (), trace[:8])
        for what, trace, at_ns in (
            ("Last seen", seen["last_trace_id"], seen["last_seen_ns"]),
            ("Seen again", seen["seen_trace_id"], seen["until_ns"]),
        )
        if trace and at_ns
    )
    return Contributors("When it was seen", many_summary(seen), rows, 0, NO_TRACE)


def _member(one: Mapping[str, Any], known: Collection[str]) -> Contributor:
    signal_id, trace = one["signal_id"], one["trace_id"]
    href = f"/signals/{signal_id}" if signal_id in known else _trace_href(trace, known)
    what = "Signal" if signal_id else "Span"
    values = tuple(one["values"].items())
    return Contributor(one["name"], what, href, exact_moment(one["time_ns"]), values, trace[:8])


def _trace_href(trace_id: str, known: Collection[str]) -> str:
    return f"/traces/{trace_id}" if trace_id in known else ""
