"""Rules: the list, a rule's page, the form with its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from api.notices.model import Notice
from api.rules.figures import RuleFigures
from api.rules.model import Rule, RuleState
from api.signals.folds import Storms
from api.web.views.links import rule_href, web_href
from api.web.views.moments import Moment, moment
from api.web.views.rule_health import (
    ExceptionRow,
    Figure,
    Quarantine,
    Switch,
    exception_rows,
    figures_of,
    quarantine_of,
    switches_of,
)
from api.web.views.rule_text import Piece, pieces
from api.web.views.signal_page import Fact
from api.web.views.storms import StormPanel, storm_panel
from api.web.views.words import SEVERITIES, STATE_LABELS, STATES, Choice, Message, choices, doer
from dsl.problems import Problem

STORM_DAYS: Final = 7
NEW_TEXT: Final = "when   { payment.charge.where(amount > 1000) }\nalways { fraud.check }\n"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A row of the list."""

    id: str
    href: str
    name: str
    state: str
    state_label: str
    severity: str
    severity_label: str
    version: int
    active_since: Moment | None
    active_text: str


@dataclass(frozen=True, slots=True)
class RuleList:
    """The page of all rules."""

    rows: tuple[RuleRow, ...]
    summary: str
    may_write: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A version as shown."""

    number: int
    state: str
    state_label: str
    author: str
    at: Moment
    text: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class RulePage:
    """The page of one rule."""

    id: str
    name: str
    description: str
    severity: str
    severity_label: str
    state: str
    state_label: str
    version: int
    tags: tuple[str, ...]
    text: tuple[Piece, ...]
    versions: tuple[Version, ...]
    facts: tuple[Fact, ...]
    signals_href: str
    edit_href: str
    backtest_href: str
    switch_href: str
    quarantine: Quarantine | None
    exceptions: tuple[ExceptionRow, ...]
    figures: tuple[Figure, ...]
    switches: tuple[Switch, ...]
    storms: StormPanel
    storm_days: int
    message: Message | None


@dataclass(frozen=True, slots=True)
class ProblemView:
    """A problem with its line of source and a caret below it; indent is blank text."""

    code: str
    message: str
    hint: str
    line: int
    gutter: str
    source: str
    indent: str
    caret: str
    warning: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """The fields of the form as typed."""

    id: str = ""
    name: str = ""
    description: str = ""
    text: str = NEW_TEXT
    severity: str = "medium"
    state: str = "active"


@dataclass(frozen=True, slots=True)
class RuleForm:
    """The page of the form."""

    title: str
    action: str
    back_href: str
    back_label: str
    id: str
    id_fixed: bool
    name: str
    description: str
    text: str
    version: int | None
    severities: tuple[Choice, ...]
    states: tuple[Choice, ...]
    problems: tuple[ProblemView, ...]
    refused: bool
    checked_well: str
    backtest_action: str
    message: Message | None


def rule_list(rules: Sequence[Rule], *, now: datetime, may_write: bool) -> RuleList:
    """Return the page of all rules: what needs somebody first, then what is in force, by name."""
    order = tuple(STATE_LABELS)
    rows = sorted(rules, key=lambda rule: (order.index(rule.state), _name(rule).lower(), rule.id))
    counts = [
        f"{count} {label.lower()}"
        for state, label in STATE_LABELS.items()
        if (count := sum(rule.state == state for rule in rules)) or state in STATES
    ]
    return RuleList(
        rows=tuple(_row(rule, now=now) for rule in rows),
        summary=" · ".join(counts) if rules else "Promises that every trace is judged by.",
        may_write=may_write,
    )


def _row(rule: Rule, *, now: datetime) -> RuleRow:
    since, otherwise = _in_force(rule, now=now)
    return RuleRow(
        id=rule.id,
        href=rule_href(rule.id),
        name=_name(rule),
        state=rule.state,
        state_label=STATE_LABELS[rule.state],
        severity=_severity(rule),
        severity_label=SEVERITIES[_severity(rule)],
        version=rule.version,
        active_since=since,
        active_text=otherwise,
    )


def _in_force(rule: Rule, *, now: datetime) -> tuple[Moment | None, str]:
    """Return since when the version judges, or what to say instead."""
    since = rule.active_since(now)
    if since is not None:
        return moment(since), ""
    if rule.state is RuleState.OFF:
        return None, "Switched off"
    if rule.state is RuleState.QUARANTINED:
        return None, "In quarantine"
    return None, "In a few seconds" if rule.published else "Waiting for Kafka"


def _name(rule: Rule) -> str:
    return str(rule.object.get("name") or rule.id)


def _severity(rule: Rule) -> str:
    return as_word(SEVERITIES, str(rule.object.get("severity")), otherwise="medium")


def _texts(rule: Rule, field: str) -> tuple[str, ...]:
    return tuple(map(str, rule.object.get(field) or ()))


def rule_page(
    rule: Rule,
    versions: Sequence[Rule],
    *,
    figures: RuleFigures,
    notices: Sequence[Notice] = (),
    now: datetime,
    may_write: bool,
    may_test: bool,
    storms: Storms = Storms(),  # noqa: B008 - nothing can change it
    message: Message | None = None,
) -> RulePage:
    """Return the page of a rule, its newest version first.

    notices: about it, newest first. storms: those of the last STORM_DAYS.
    """
    switched = may_write and not rule.deleted
    return RulePage(
        id=rule.id,
        name=_name(rule),
        description=str(rule.object.get("description") or ""),
        severity=_severity(rule),
        severity_label=SEVERITIES[_severity(rule)],
        state=rule.state,
        state_label=STATE_LABELS[rule.state],
        version=rule.version,
        tags=_texts(rule, "tags"),
        text=pieces(rule.text),
        versions=tuple(
            Version(
                version.version,
                version.state,
                STATE_LABELS[version.state],
                doer(version.author, version.acting),
                moment(version.updated_at),
                pieces(version.text),
            )
            for version in sorted(versions, key=lambda version: version.version, reverse=True)
        ),
        facts=_facts(rule, now=now),
        signals_href=_signals_href(rule),
        edit_href=f"{rule_href(rule.id)}/edit" if may_write and not rule.deleted else "",
        backtest_href=f"{rule_href(rule.id)}/backtest" if may_test and not rule.deleted else "",
        switch_href=f"{rule_href(rule.id)}/state",
        quarantine=quarantine_of(rule, notices, may_write=switched),
        exceptions=exception_rows(rule, now=now),
        figures=figures_of(rule, figures),
        switches=switches_of(rule) if switched else (),
        storms=storm_panel(storms),
        storm_days=STORM_DAYS,
        message=message,
    )


def _signals_href(rule: Rule) -> str:
    shown = {"shown": "shadow"} if rule.state is RuleState.SHADOW else {}
    return f"/signals?{urlencode({'rule_id': rule.id, **shown})}"


def _facts(rule: Rule, *, now: datetime) -> tuple[Fact, ...]:
    since, otherwise = _in_force(rule, now=now)
    runbook = str(rule.object.get("runbook") or "")
    facts = [
        Fact(label="Id", text=rule.id, mono=True),
        Fact(label="In force since", at=since) if since else Fact(label="In force", text=otherwise),
    ]
    if since is not None:
        everywhere = rule.active_everywhere_since(now)
        label = "Active everywhere since"
        facts.append(
            Fact(label=label, at=moment(everywhere))
            if everywhere
            else Fact(label=label, text="Not known yet")
        )
    if owner := str(rule.object.get("owner") or ""):
        facts.append(Fact(label="Owner", text=owner))
    if controls := _texts(rule, "controls"):
        facts.append(Fact(label="Controls", text=", ".join(controls)))
    if runbook:
        facts.append(Fact(label="Runbook", text=runbook, href=web_href(runbook)))
    facts.append(Fact(label="Created", at=moment(rule.created_at)))
    facts.append(Fact(label="Changed", at=moment(rule.updated_at)))
    facts.append(Fact(label="By", text=doer(rule.author, rule.acting)))
    return tuple(facts)


def draft_of(rule: Rule) -> RuleDraft:
    """Return the fields of the form for changing a rule."""
    return RuleDraft(
        id=rule.id,
        name=str(rule.object.get("name") or ""),
        description=str(rule.object.get("description") or ""),
        text=rule.text,
        severity=_severity(rule),
        state=as_word(STATES, str(rule.object.get("state")), otherwise="active"),
    )


def rule_form(
    draft: RuleDraft,
    *,
    version: int | None = None,
    problems: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    checked: bool = False,
    message: Message | None = None,
) -> RuleForm:
    """Return the form. version: the one being edited, sent back to notice changes by others.

    checked: the person asked for a check, so that no problem is worth saying too.
    """
    href = rule_href(draft.id) if version is not None else "/rules"
    return RuleForm(
        title="New rule" if version is None else f"Edit {draft.id}",
        action=href,
        back_href=href,
        back_label="Rules" if version is None else draft.id,
        id=draft.id,
        id_fixed=version is not None,
        name=draft.name,
        description=draft.description,
        text=draft.text,
        version=version,
        severities=choices(SEVERITIES, draft.severity),
        states=choices(STATES, draft.state),
        problems=(
            *(problem_view(problem, draft.text) for problem in problems),
            *(problem_view(warning, draft.text, warning=True) for warning in warnings),
        ),
        refused=bool(problems),
        checked_well="This rule can be saved." if checked and not problems else "",
        backtest_action=f"{rule_href(draft.id)}/backtest/draft" if version is not None else "",
        message=message,
    )


def problem_view(problem: Problem, text: str, *, warning: bool = False) -> ProblemView:
    """Return a problem with the line it points into; tabs count as one column."""
    lines = text.split("\n")
    source = lines[problem.line - 1].rstrip("\r") if 0 < problem.line <= len(lines) else ""
    start = min(max(problem.column, 1), len(source) + 1)
    end = problem.end_column if problem.end_line == problem.line else len(source) + 1
    gutter = f"{problem.line} | "
    blank = "".join("\t" if char == "\t" else " " for char in source[: start - 1])
    return ProblemView(
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        line=problem.line,
        gutter=gutter,
        source=source,
        indent=" " * len(gutter) + blank,
        caret="^" * max(min(end, len(source) + 1) - start, 1),
        warning=warning,
    )


def as_word(values: Mapping[str, str], value: str, *, otherwise: str) -> str:
    """Return the value if it is one of the known, else `otherwise`: forms can be forged."""
    return value if value in values else otherwise
