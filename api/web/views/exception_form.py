"""The form that makes an exception out of a signal, with the proof of what it would silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.exceptions.model import OWNER_MAX, REASON_MAX, WHERE_MAX, Past, PastSignal, Proof
from api.exceptions.service import Shown
from api.signals.model import DISPOSITIONS, TRANSITIONS, Status
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.problems import ProblemView, problem_view
from api.web.views.rule_list import name_of
from api.web.views.waterfall import counted
from api.web.views.words import (
    DISPOSITION_WORDS,
    STATUSES,
    Choice,
    Message,
    as_word,
    bad,
    choices,
    good,
)
from dsl.problems import Problem

ON, NEVER = "on", "never"
_WORDS: Final = {one.value: DISPOSITION_WORDS[one] for one in DISPOSITIONS[Status.FALSE_POSITIVE]}
_USUAL: Final = "rule_too_broad"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionDraft:
    """The fields as typed. ends: on a day, or never. tried: the filter that was proven last.

    resolve: the signal becomes a false positive. version: of the rule; signal_version: of the
    signal; 0: as they are.
    """

    where: str = ""
    picks: tuple[str, ...] = ()
    reason: str = ""
    owner: str = ""
    ends: str = ON
    until: str = ""
    tried: str = ""
    resolve: bool = True
    disposition: str = _USUAL
    version: int = 0
    signal_version: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition to choose."""

    text: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """A test or case that an exception must not silence."""

    name: str
    href: str
    label: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A signal that would have been silenced."""

    href: str
    name: str
    status: str
    status_label: str
    at: Moment
    true_problem: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPanel:
    """What the exception would do: in sentences, with what they speak of."""

    signal: Message
    tests: Message
    guards: tuple[Guard, ...]
    unproven: tuple[str, ...]
    past: Message | None
    notes: tuple[str, ...]
    samples: tuple[SampleRow, ...]
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionForm:
    """The page."""

    action: str
    back_href: str
    signal_name: str
    rule_name: str
    rule_href: str
    at: Moment
    conditions: tuple[Condition, ...]
    nothing_shown: str
    """Why there are no conditions to choose."""
    where: str
    where_max: int
    problems: tuple[ProblemView, ...]
    checked_well: str
    refused: bool
    reason: str
    reason_max: int
    owner: str
    owner_max: int
    on_day: bool
    until: str
    may_resolve: bool
    resolve: bool
    dispositions: tuple[Choice, ...]
    tried: str
    version: int
    signal_version: int
    proof: ProofPanel | None
    may_save: bool
    """It was proven as it stands, and nothing is against it."""
    message: Message | None


def exception_form(
    shown: Shown,
    draft: ExceptionDraft,
    *,
    may_change_signal: bool,
    proof: Proof | None = None,
    problems: Sequence[Problem] = (),
    message: Message | None = None,
) -> ExceptionForm:
    """Return the page. may_change_signal: the person may make it a false positive."""
    signal, rule = shown.signal, shown.rule
    href = f"/signals/{signal.id}"
    warnings = proof.warnings if proof else ()
    return ExceptionForm(
        action=f"{href}/exception",
        back_href=href,
        signal_name=signal.name,
        rule_name=name_of(rule),
        rule_href=rule_href(rule.id),
        at=moment(signal.at),
        conditions=tuple(Condition(one, one in draft.picks) for one in shown.conditions),
        nothing_shown="" if shown.conditions else _nothing_shown(signal),
        where=draft.where,
        where_max=WHERE_MAX,
        problems=(
            *(problem_view(one, draft.where) for one in problems),
            *(problem_view(one, draft.where, warning=True) for one in warnings),
        ),
        checked_well="",
        refused=bool(problems),
        reason=draft.reason,
        reason_max=REASON_MAX,
        owner=draft.owner,
        owner_max=OWNER_MAX,
        on_day=draft.ends != NEVER,
        until=draft.until,
        may_resolve=may_change_signal and may_end(signal),
        resolve=draft.resolve,
        dispositions=choices(_WORDS, as_word(_WORDS, draft.disposition, otherwise=_USUAL)),
        tried=draft.where if proof and not proof.refused else "",
        version=draft.version or rule.version,
        signal_version=draft.signal_version or signal.version,
        proof=_panel(shown, proof) if proof else None,
        may_save=proof is not None and not proof.refused,
        message=message,
    )


def may_end(signal: PastSignal) -> bool:
    """Tell whether a signal may become a false positive from what it is."""
    return Status.FALSE_POSITIVE in TRANSITIONS[signal.status]


def _nothing_shown(signal: PastSignal) -> str:
    if signal.key is None and signal.span_count is None:
        return "The trace of this signal is not stored, so nothing can be proposed: write a filter."
    return "No span stands for this signal, so nothing can be proposed: write a filter."


def _panel(shown: Shown, proof: Proof) -> ProofPanel:
    return ProofPanel(
        signal=_of_signal(shown, proof),
        tests=_of_tests(proof),
        guards=tuple(
            Guard(one.name, f"{rule_href(shown.rule.id)}/cases", "Case")
            if one.case_id
            else Guard(one.name, f"{rule_href(shown.rule.id)}/edit", "Test of the rule")
            for one in proof.silences
        ),
        unproven=tuple(f"{one.name}: {one.why}" for one in proof.unproven),
        past=_of_past(proof.past) if proof.past else None,
        notes=_notes(proof.past) if proof.past else (),
        samples=tuple(map(_sample, proof.past.samples)) if proof.past else (),
        refused=proof.refused,
    )


def _of_signal(shown: Shown, proof: Proof) -> Message:
    if proof.signal:
        return good("A signal like this one would be silenced.")
    if proof.signal is False:
        return bad("This signal would not be silenced: what stands for it does not fulfil it.")
    if not shown.signal.violated:
        return _warn("This signal is not violated any more, so there is nothing to silence.")
    return _warn("Whether this signal would be silenced cannot be told: no span stands for it.")


def _of_tests(proof: Proof) -> Message:
    if proof.silences:
        return bad("It would silence what the rule has to find, and cannot be saved:")
    if not proof.held:
        return _warn(
            "No test or case of the rule expects a violation, so none tells that it goes too far."
        )
    kept = "test or case" if proof.held == 1 else "tests and cases"
    return good(f"{proof.held:,} {kept} that a violation is expected of: none would be silenced.")


def _of_past(past: Past) -> Message:
    if not past.asked:
        return _warn(f"There is no signal of the last {past.days} days to ask.")
    of_which = "the newest" if past.more else ""
    text = (
        f"{past.silenced:,} of {of_which} {counted(past.asked, 'signal')} of the last {past.days} "
        "days would have been silenced."
    ).replace("of  ", "of ")
    if past.true_problems:
        words = "was a true problem" if past.true_problems == 1 else "were true problems"
        return bad(f"{text} {past.true_problems:,} of them {words}: somebody resolved it so.")
    return _warn(text) if 2 * past.silenced > past.asked > 1 else good(text)


def _notes(past: Past) -> tuple[str, ...]:
    if not past.unknown:
        return ()
    verb = "was" if past.unknown == 1 else "were"
    return (
        f"{counted(past.unknown, 'more signal')} {verb} not asked: their traces are not stored, or "
        "too large to be read here.",
    )


def _sample(signal: PastSignal) -> SampleRow:
    return SampleRow(
        href=f"/signals/{signal.id}",
        name=signal.name,
        status=signal.status,
        status_label=STATUSES[signal.status],
        at=moment(signal.at),
        true_problem=signal.true_problem,
    )


def _warn(text: str) -> Message:
    return Message("warn", "circle-help", text)
