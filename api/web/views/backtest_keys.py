"""Rows of rules over many traces on the pages of a backtest: keys, signals, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.backtests.model import Result, Summary
from api.web.views.many import Contributor, contributors, many_summary, many_title
from api.web.views.moments import Moment, moment

WORDS: Final[Mapping[str, str]] = {
    "violated": "Signal",
    "satisfied": "No signal",
    "inconclusive": "Signal in doubt",
    "not_applicable": "Not seen",
}
"""What there is of a key."""
COUNTED: Final[Mapping[str, str]] = {
    "violated": "Signals",
    "inconclusive": "Signals in doubt",
    "satisfied": "Keys without a signal",
    "not_applicable": "Keys not seen",
}
_SIGNALS: Final = ("violated", "inconclusive")
_LISTED: Final = 5
"""Members of each side."""


@dataclass(frozen=True, slots=True)
class KeySide:
    """The signal that one side raises. left_out: members that are counted and not listed."""

    title: str
    summary: str
    rows: tuple[Contributor, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A signal of either side or of both, or a key that only one of them saw."""

    title: str
    at: Moment
    summary: str
    signal_href: str
    sides: tuple[KeySide, ...]


def key_row(result: Result) -> KeyRow:
    """Return a row. result: of a rule over many traces."""
    assert result.seen is not None
    seen = result.seen
    sides = [("Before", seen["was"]), ("Now", seen["now"])]
    told = tuple(_side(title, side) for title, side in sides if side is not None)
    signal_id = (result.was_outcome or {}).get("signal_id") or ""
    return KeyRow(
        title=many_title(seen),
        at=moment(result.begin_at),
        summary=told[-1].summary if told else "",
        signal_href=f"/signals/{signal_id}" if signal_id else "",
        sides=told,
    )


def headline(summary: Summary) -> tuple[str, str, str]:
    """Return what a rule over many traces comes to in one sentence, its tone and icon."""
    if summary.was is None:
        raised = summary.now["violated"]
        if not raised:
            return "No signal would be raised.", "good", "circle-check"
        return f"{_signals(raised)} would be raised.", "bad", "circle-x"
    if not summary.changed_count:
        return "The signals are the same.", "good", "circle-check"
    new = sum(change.trace_count for change in summary.changes if change.now == "violated")
    lost = sum(change.trace_count for change in summary.changes if change.was == "violated")
    parts = [f"{_signals(new)} newly raised"] if new else []
    parts += [f"{_signals(lost)} no longer raised"] if lost else []
    text = ", ".join(parts) if parts else "No signal is raised or lost, but other keys are seen"
    return f"{text}.", "warn", "triangle-alert"


def counted(count: int, was: str, now: str) -> str:
    """Return how many there are of a kind: signals, or keys that one side did not see."""
    if was in _SIGNALS or now in _SIGNALS:
        return _signals(count)
    return f"{count:,} key{'' if count == 1 else 's'}"


def _signals(count: int) -> str:
    return f"{count:,} signal{'' if count == 1 else 's'}"


def _side(title: str, seen: Mapping[str, object]) -> KeySide:
    panel = contributors(seen, known=frozenset())
    rows = panel.rows[:_LISTED]
    return KeySide(title, many_summary(seen), rows, panel.left_out + len(panel.rows) - len(rows))
