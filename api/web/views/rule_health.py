"""How a rule is doing: in quarantine or not, what it said lately, what it is excused from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from api.notices.model import NEXT_STEP, Notice
from api.rules.figures import RuleFigures
from api.rules.model import Rule, RuleState
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.rule_text import Piece, pieces
from dsl.exceptions import RuleException


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What stands on top of the page of a rule in quarantine.

    acknowledge_href: where to say that the notice was read; empty if somebody did.
    """

    what: str
    next_step: str
    at: Moment
    owner: str
    may_release: bool
    release_state: str
    acknowledge_href: str


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One exception of the rule. end_href: where it is ended; empty if it is over or may not be."""

    where: tuple[Piece, ...]
    reason: str
    owner: str
    until: str
    chip: str
    state: str
    end_href: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name; warn: somebody should look at it."""

    label: str
    text: str
    warn: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """A button that puts the rule into a state."""

    state: str
    label: str
    icon: str
    main: bool = False


_ON = Switch("active", "Switch on", "play", main=True)
_SHADOW = Switch("shadow", "Run in shadow", "circle-dot")
_OFF = Switch("off", "Switch off", "pause")
_SWITCHES: Final[Mapping[RuleState, tuple[Switch, ...]]] = {
    RuleState.ACTIVE: (_SHADOW, _OFF),
    RuleState.SHADOW: (Switch("active", "Promote to active", "check", main=True), _OFF),
    RuleState.OFF: (_ON, _SHADOW),
    RuleState.QUARANTINED: (Switch("off", "Switch off", "pause"),),
}


def switches_of(rule: Rule) -> tuple[Switch, ...]:
    """Return the states that the rule can be put into; the way out of quarantine stands on top."""
    return _SWITCHES[rule.state]


def quarantine_of(rule: Rule, notices: Sequence[Notice], *, may_write: bool) -> Quarantine | None:
    """Return what to say of a rule in quarantine; None for others. notices: newest first."""
    if rule.state is not RuleState.QUARANTINED:
        return None
    told = next((one for one in notices if one.quarantined_version == rule.version), None)
    new = told is not None and told.acknowledged_at is None
    return Quarantine(
        what=told.what if told else "Its budget ran out again and again. It is not judged.",
        next_step=told.next_step if told else NEXT_STEP,
        at=moment(rule.updated_at),
        owner=str(rule.object.get("owner") or ""),
        may_release=may_write,
        release_state="shadow" if rule.object.get("state") == "shadow" else "active",
        acknowledge_href=f"/notices/{told.id}/acknowledge" if told and new and may_write else "",
    )


def exception_rows(rule: Rule, *, now: datetime, may_write: bool) -> tuple[ExceptionRow, ...]:
    """Return the exceptions of a rule, as it has them."""
    may_end = may_write and rule.state is not RuleState.QUARANTINED
    place = f"{rule_href(rule.id)}/exceptions" if may_end else ""
    return tuple(
        _exception_row(RuleException.from_dict(one), now=now, end=place and f"{place}/{number}/end")
        for number, one in enumerate(rule.object.get("exceptions") or (), 1)
    )


def _exception_row(one: RuleException, *, now: datetime, end: str) -> ExceptionRow:
    chip, state = _standing(one, now=now)
    end = "" if one.is_over(now) else end
    return ExceptionRow(pieces(one.where), one.reason, one.owner, one.until, chip, state, end)


def _standing(one: RuleException, *, now: datetime) -> tuple[str, str]:
    if one.is_over(now):
        return "chip-warn", "Over"
    if one.ends_at is not None and one.ends_soon(now):
        days = (one.ends_at - now) // timedelta(days=1)
        return "chip-warn", f"Ends in {days} days" if days > 1 else "Ends within two days"
    return "state-active", "In force"


def figures_of(rule: Rule, figures: RuleFigures) -> tuple[Figure, ...]:
    """Return what a rule said of traces in the last day, and what it raised."""
    found = [
        Figure("Judged", f"{figures.judged:,}"),
        Figure("Satisfied", f"{figures.satisfied:,}"),
        Figure("Violated", f"{figures.violated:,}"),
        Figure("Inconclusive", f"{figures.inconclusive:,}"),
    ]
    if figures.over_budget:
        found.append(Figure("Over its budget", f"{figures.over_budget:,}", warn=True))
    if figures.failed:
        found.append(Figure("Failed by an error of BeTrace", f"{figures.failed:,}", warn=True))
    in_shadow = rule.state is RuleState.SHADOW or figures.shadow.week
    if in_shadow:
        text = f"{figures.shadow.day:,} in 24 h, {figures.shadow.week:,} in 7 days"
        found.append(Figure("Would have alerted", text))
    if rule.state is not RuleState.SHADOW or figures.alerts.week:
        text = f"{figures.alerts.day:,} in 24 h, {figures.alerts.week:,} in 7 days"
        found.append(Figure("Alerts", text))
    if figures.excepted.week:
        text = f"{figures.excepted.day:,} in 24 h, {figures.excepted.week:,} in 7 days"
        found.append(Figure("Silenced", text))
    return tuple(found)
