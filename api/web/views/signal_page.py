"""One signal: head, facts, actions, trace, time line, what is related."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.signals.model import DISPOSITIONS, TRANSITIONS, Signal, Status, VerdictName
from api.signals.notes import TEXT_MAX, NotePage
from api.signals.related import Related
from api.signals.service import SignalDetail
from api.traces.rows import Drawn
from api.web.views.addresses import with_query
from api.web.views.explanation import Explanation, explanation_view
from api.web.views.links import rule_href
from api.web.views.many import Contributors, contributors, many_times, many_title
from api.web.views.moments import Moment, moment
from api.web.views.related import RelatedPanel, related_panel
from api.web.views.signal_list import signal_marks
from api.web.views.timeline import Entry, timeline
from api.web.views.waterfall import Waterfall, large_waterfall, waterfall
from api.web.views.words import (
    DISPOSITION_WORDS,
    SEVERITIES,
    STATUSES,
    VERDICTS,
    Choice,
    Message,
)


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
class Endings:
    """A status that closes, and the ways it may end."""

    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The field of the assignee. me: the address of who looks at the page."""

    choices: tuple[Choice, ...]
    me: str
    mine: bool


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
    repeated_href: str
    """Where the signal is that it repeats; empty: it repeats none."""
    """Why it alerts nobody, as a sentence; empty if it does."""
    version: int
    explanation: Explanation
    waterfall: Waterfall | None
    trace_title: str
    trace_missing: str
    contributors: Contributors | None
    """Of a rule over many traces: in place of a trace."""
    facts: tuple[Fact, ...]
    may_write: bool
    actions: tuple[Action, ...]
    endings: tuple[Endings, ...]
    may_wait: bool
    """Whether it can be resolved until it regresses."""
    people: People | None
    timeline: tuple[Entry, ...]
    older_notes_href: str
    related: RelatedPanel
    compared_href: str
    """Where the comparison with a trace that kept the promise is; empty without a trace."""
    json_href: str
    edit_href: str
    """Where its rule is changed, and tried on its trace; empty for who may not."""
    make_rule_href: str
    exception_href: str
    """Where an exception is made that silences it; empty for who may not, and if one does."""
    feed_position: str
    """The page is as of this place in the feed."""
    note_max: int
    note: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stands around a signal on its page.

    span_count: of the copy of its trace, None: there is none. drawn: the trace, if it is not too
    large to wait for. actor: who looks at it, as notes name their authors; me: their address.
    people: whom it can be given to. reason, note: what was typed, where a change was refused.
    """

    span_count: int | None
    drawn: Drawn | None
    notes: NotePage
    related: Related
    people: Sequence[tuple[str, str]]
    actor: str
    me: str
    may_write: bool
    may_write_rules: bool = False
    feed_position: str = ""
    reason: str = ""
    note: str = ""
    message: Message | None = None


def signal_page(detail: SignalDetail, around: Around) -> SignalPage:
    """Return the page."""
    signal, message = detail.signal, around.message
    href, url = f"/signals/{signal.id}", f"/api/v1/signals/{signal.id}"
    actions = _actions(signal.status) if around.may_write else ()
    has_rule = around.may_write_rules and around.span_count is not None
    return SignalPage(
        id=signal.id,
        href=href,
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
        repeated_href=f"/signals/{signal.exception['repeats']}"
        if signal.exception and signal.exception.get("repeats")
        else "",
        version=signal.version,
        explanation=_explanation(detail),
        waterfall=_waterfall(around, url),
        trace_title="The trace is gone"
        if detail.trace_state == "lost"
        else "The trace is not here",
        trace_missing=detail.trace_problem or _TRACE_MISSING.get(detail.trace_state, _TRACE_COMING),
        contributors=contributors(signal.many, known=detail.known) if signal.many else None,
        facts=_facts(signal),
        may_write=around.may_write,
        actions=actions,
        endings=_endings(actions),
        may_wait=any(action.status == Status.RESOLVED for action in actions),
        people=_people(around, signal.assignee) if around.may_write else None,
        timeline=timeline(detail.history, around.notes.items, signal, actor=around.actor),
        older_notes_href=with_query(href, {"notes": around.notes.next_cursor or ""})
        if around.notes.next_cursor
        else "",
        related=related_panel(around.related),
        compared_href=f"{href}/comparison" if around.span_count is not None else "",
        json_href=f"{url}?spans=false",
        edit_href=f"{rule_href(signal.rule_id)}/edit?signal={signal.id}" if has_rule else "",
        make_rule_href=f"/traces/{signal.trace_id}/rule?signal={signal.id}" if has_rule else "",
        exception_href=f"{href}/exception" if _may_be_excused(signal, around) else "",
        feed_position=around.feed_position,
        note_max=TEXT_MAX,
        note=around.note,
        reason=around.reason,
        reason_invalid=message is not None
        and message.tone == "bad"
        and not around.reason.strip()
        and not around.note,
        message=message,
    )


def _waterfall(around: Around, url: str) -> Waterfall | None:
    if around.drawn is not None:
        return waterfall(around.drawn, url)
    return None if around.span_count is None else large_waterfall(around.span_count, url)


def _endings(actions: Sequence[Action]) -> tuple[Endings, ...]:
    return tuple(
        Endings(
            STATUSES[status],
            tuple(Choice(one.value, DISPOSITION_WORDS[one], selected=False) for one in allowed),
        )
        for status, allowed in DISPOSITIONS.items()
        if any(action.status == status for action in actions)
    )


def _people(around: Around, assignee: str | None) -> People:
    told = dict(around.people)
    if assignee and assignee not in told:
        told[assignee] = assignee
    choices = (
        Choice("", "Nobody", not assignee),
        *(Choice(email, _called(name, email), email == assignee) for email, name in told.items()),
    )
    return People(choices=choices, me=around.me, mine=bool(around.me) and assignee == around.me)


def _called(name: str, email: str) -> str:
    return f"{name} ({email})" if name and name != email else email


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


def _may_be_excused(signal: Signal, around: Around) -> bool:
    violated = signal.verdict is VerdictName.VIOLATED
    return around.may_write_rules and violated and signal.exception is None


def _actions(status: Status) -> tuple[Action, ...]:
    return tuple(action for after, action in _ACTIONS.items() if after in TRANSITIONS[status])


def _silent(signal: Signal) -> str:
    if signal.exception is not None:
        one = signal.exception
        owner = f" by {one['owner']}" if one.get("owner") else ""
        until = f" until {one['until']}" if one.get("until") else ""
        if one.get("snooze"):
            return f"Silent: its rule was snoozed{owner}{until}: {one['reason']}"
        if one.get("repeats"):
            return f"Silent. {one['reason']}"
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
    if signal.disposition is not None:
        facts.append(Fact(label="Ended as", text=DISPOSITION_WORDS[signal.disposition]))
    if signal.until_regression:
        facts.append(Fact(label="Resolved", text="Until it happens again"))
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
