"""One signal: head, facts, actions, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.signals.model import TRANSITIONS, HistoryEntry, Signal, Status
from api.signals.service import SignalDetail
from api.web.views.explanation import Explanation, explanation_view, marks_of
from api.web.views.links import rule_href
from api.web.views.many import Contributors, contributors, many_times, many_title
from api.web.views.moments import Moment, moment
from api.web.views.signal_list import signal_marks
from api.web.views.waterfall import Waterfall, draw_waterfall, trace_span
from api.web.views.words import REASONS, SEVERITIES, STATUSES, VERDICTS, Message, doer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A labelled value: plain text, a link, or a time."""

    label: str
    text: str = ""
    href: str = ""
    at: Moment | None = None
    mono: bool = False
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A button that sets the status."""

    status: str
    label: str
    icon: str
    main: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the history as shown."""

    text: str
    actor: str
    at: Moment
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalPage:
    """The page."""

    id: str
    href: str
    rule_name: str
    severity: str
    severity_label: str
    status: str
    status_label: str
    marks: tuple[str, ...]
    root_name: str
    root_service: str
    at: Moment
    silent: str
    """Why it alerts nobody, as a sentence; empty if it does."""
    version: int
    explanation: Explanation
    waterfall: Waterfall | None
    waterfall_summary: str
    trace_title: str
    trace_missing: str
    contributors: Contributors | None
    """Of a rule over many traces: in place of a trace."""
    facts: tuple[Fact, ...]
    actions: tuple[Action, ...]
    history: tuple[Entry, ...]
    reason: str
    reason_invalid: bool
    message: Message | None


_ACTIONS: Final[Mapping[Status, Action]] = {
    Status.INVESTIGATING: Action("investigating", "Investigate", "search", main=True),
    Status.RESOLVED: Action("resolved", "Resolve", "check", main=True),
    Status.FALSE_POSITIVE: Action("false_positive", "False positive", "ban"),
    Status.OPEN: Action("open", "Reopen", "rotate-ccw"),
}
"""Status to the button that sets it, in the order they stand in."""

_TRACE_MISSING: Final[Mapping[str, str]] = {
    "lost": "It has left the log of spans before it could be copied.",
    "failed": "It could not be copied.",
}
_TRACE_COMING: Final = "It is being copied; that takes a few seconds."

STATUS_DONE: Final[Mapping[str, str]] = {
    "open": "Reopened.",
    "investigating": "Under investigation.",
    "resolved": "Resolved.",
    "false_positive": "Marked as a false positive.",
}


def signal_page(
    detail: SignalDetail,
    *,
    may_write: bool,
    reason: str = "",
    message: Message | None = None,
) -> SignalPage:
    """Return the page. reason: what was typed, where the change was refused."""
    signal = detail.signal
    waterfall = None
    if detail.spans:
        waterfall = draw_waterfall(
            [trace_span(span) for span in detail.spans], marks=marks_of(detail.explanation)
        )
    return SignalPage(
        id=signal.id,
        href=f"/signals/{signal.id}",
        rule_name=signal.rule_name or signal.rule_id,
        severity=signal.severity,
        severity_label=SEVERITIES[signal.severity],
        status=signal.status,
        status_label=STATUSES[signal.status],
        marks=signal_marks(signal),
        root_name=_place(signal),
        root_service=signal.root_service,
        at=moment(signal.occurred_at),
        silent=_silent(signal),
        version=signal.version,
        explanation=_explanation(detail),
        waterfall=waterfall,
        waterfall_summary=waterfall_summary(waterfall),
        trace_title="The trace is gone"
        if detail.trace_state == "lost"
        else "The trace is not here",
        trace_missing=detail.trace_problem or _TRACE_MISSING.get(detail.trace_state, _TRACE_COMING),
        contributors=contributors(signal.many, known=detail.known) if signal.many else None,
        facts=_facts(signal),
        actions=_actions(signal.status) if may_write else (),
        history=_history(detail.history, signal),
        reason=reason,
        reason_invalid=message is not None and message.tone == "bad" and not reason.strip(),
        message=message,
    )


def _place(signal: Signal) -> str:
    if signal.many:
        return many_title(signal.many)
    return signal.root_name or "A trace without a root span"


def _explanation(detail: SignalDetail) -> Explanation:
    signal = detail.signal
    broken = signal.broken_clause
    if signal.many:
        broken = str(signal.many.get("ended") or signal.many["kind"])
        broken = signal.many["kind"] if broken == "withdrawn" else broken
    return explanation_view(
        detail.explanation,
        verdict=signal.verdict,
        broken_clause=broken,
        reasons=signal.reasons,
        incomplete=signal.incomplete,
        mismatch=detail.explain_mismatch,
        outdated=detail.explained_revision not in (None, signal.revision),
        rule_text=detail.rule_text,
        rule_version=signal.rule_version,
        has_trace=not signal.many,
    )


def _actions(status: Status) -> tuple[Action, ...]:
    return tuple(action for after, action in _ACTIONS.items() if after in TRANSITIONS[status])


def waterfall_summary(waterfall: Waterfall | None) -> str:
    """Return one line about a trace: spans, services, duration, errors."""
    if waterfall is None:
        return ""
    parts = [
        _counted(waterfall.span_count, "span"),
        _counted(len(waterfall.services), "service"),
        waterfall.duration,
    ]
    if waterfall.error_count:
        parts.append(_counted(waterfall.error_count, "error"))
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _silent(signal: Signal) -> str:
    if signal.exception is not None:
        one = signal.exception
        owner = f" by {one['owner']}" if one.get("owner") else ""
        until = f" until {one['until']}" if one.get("until") else ""
        return f"Silenced{owner}{until}: {one['reason']} ({one['where']})"
    if signal.exception_due:
        return "The exceptions of its rule have not been asked yet: that takes its trace."
    return "Its rule is in shadow: it is judged, and nobody is alerted." if signal.shadow else ""


def _facts(signal: Signal) -> tuple[Fact, ...]:
    facts = [
        Fact(label="Rule", text=signal.rule_id, href=rule_href(signal.rule_id), mono=True),
        Fact(label="Version", text=str(signal.rule_version)),
        Fact(label="Verdict", text=VERDICTS[signal.verdict]),
        Fact(label="Signal", text=signal.id, mono=True, copy=signal.id),
        *(_facts_of_many(signal.many) if signal.many else _facts_of_trace(signal)),
        Fact(label="Judged", at=moment(signal.judged_at)),
        Fact(label="Assignee", text=signal.assignee or "Nobody"),
    ]
    if signal.controls:
        facts.append(Fact(label="Controls", text=", ".join(signal.controls)))
    if signal.tags:
        facts.append(Fact(label="Tags", text=", ".join(signal.tags)))
    return tuple(facts)


def _facts_of_trace(signal: Signal) -> tuple[Fact, ...]:
    trace_id = signal.trace_id or ""
    return (
        Fact(label="Trace", text=trace_id, href=f"/traces/{trace_id}", mono=True, copy=trace_id),
        Fact(label="First span", at=moment(signal.first_span_at)),
        Fact(label="Last span", at=moment(signal.last_span_at)),
        *([Fact(label="Closed", at=moment(signal.closed_at))] if signal.closed_at else []),
        Fact(label="Complete", text="No, spans are missing" if signal.incomplete else "Yes"),
    )


def _facts_of_many(seen: Mapping[str, Any]) -> tuple[Fact, ...]:
    keys = tuple(Fact(label=name, text=value, mono=True) for name, value in seen["key"].items())
    times = (Fact(label=label, text=text, at=at) for label, text, at in many_times(seen))
    return (*keys, *times)


def _history(entries: Sequence[HistoryEntry], signal: Signal) -> tuple[Entry, ...]:
    """Newest first, ending at the raising of the signal."""
    raised = Entry("Raised", "BeTrace", moment(signal.occurred_at), "")
    newest_first = sorted(entries, key=lambda entry: entry.at, reverse=True)
    return (*map(_entry, newest_first), raised)


def _entry(entry: HistoryEntry) -> Entry:
    actor = "BeTrace" if entry.actor == "engine" else doer(entry.actor, entry.acting)
    return Entry(_change_text(entry), actor, moment(entry.at), _reason_text(entry))


def _change_text(entry: HistoryEntry) -> str:
    if entry.change == "status":
        return f"{STATUSES.get(entry.from_status or '')} → {STATUSES.get(entry.to_status or '')}"
    if entry.change == "verdict":
        return f"{VERDICTS.get(entry.from_verdict or '')} → {VERDICTS.get(entry.to_verdict or '')}"
    return f"Assigned to {entry.assignee}" if entry.assignee else "Assigned to nobody"


def _reason_text(entry: HistoryEntry) -> str:
    reason = entry.reason or ""
    return REASONS.get(reason, reason)
