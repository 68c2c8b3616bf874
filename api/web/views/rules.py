"""The page of a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from api.notices.model import Notice
from api.rules.figures import RuleFigures
from api.rules.model import Rule, RuleState
from api.signals.folds import Storms
from api.snoozes.model import Snooze
from api.web.views.links import difference_href, rule_href, web_href
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
from api.web.views.rule_list import in_force, name_of, severity_of
from api.web.views.rule_text import Piece, pieces
from api.web.views.signal_page import Fact
from api.web.views.snooze import SnoozePanel, snooze_panel
from api.web.views.storms import StormPanel, storm_panel
from api.web.views.words import SEVERITIES, STATE_LABELS, Message, doer

STORM_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Version:
    """A version as shown."""

    number: int
    state: str
    state_label: str
    author: str
    at: Moment
    text: tuple[Piece, ...]
    reason: str
    restored: int | None
    active_since: Moment | None
    compare_href: str
    compare_label: str


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
    cases_href: str
    switch_href: str
    quarantine: Quarantine | None
    exceptions: tuple[ExceptionRow, ...]
    figures: tuple[Figure, ...]
    switches: tuple[Switch, ...]
    snooze: SnoozePanel | None
    storms: StormPanel
    storm_days: int
    message: Message | None


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
    may_snooze: bool = False,
    snooze: Snooze | None = None,
    storms: Storms = Storms(),  # noqa: B008 - nothing can change it
    message: Message | None = None,
) -> RulePage:
    """Return the page of a rule, its newest version first.

    notices: about it, newest first. snooze: what silences it now. storms: those of the last
    STORM_DAYS.
    """
    switched = may_write and not rule.deleted
    return RulePage(
        id=rule.id,
        name=name_of(rule),
        description=str(rule.object.get("description") or ""),
        severity=severity_of(rule),
        severity_label=SEVERITIES[severity_of(rule)],
        state=rule.state,
        state_label=STATE_LABELS[rule.state],
        version=rule.version,
        tags=_texts(rule, "tags"),
        text=pieces(rule.text),
        versions=_versions(rule, versions),
        facts=_facts(rule, now=now),
        signals_href=_signals_href(rule),
        edit_href=f"{rule_href(rule.id)}/edit" if may_write and not rule.deleted else "",
        backtest_href=f"{rule_href(rule.id)}/backtest" if may_test and not rule.deleted else "",
        cases_href="" if rule.deleted else f"{rule_href(rule.id)}/cases",
        switch_href=f"{rule_href(rule.id)}/state",
        quarantine=quarantine_of(rule, notices, may_write=switched),
        exceptions=exception_rows(rule, now=now, may_write=switched),
        figures=figures_of(rule, figures),
        switches=switches_of(rule) if switched else (),
        snooze=snooze_panel(rule, snooze, may_snooze=may_snooze),
        storms=storm_panel(storms),
        storm_days=STORM_DAYS,
        message=message,
    )


def _versions(rule: Rule, versions: Sequence[Rule]) -> tuple[Version, ...]:
    newest = sorted(versions, key=lambda version: version.version, reverse=True)
    return tuple(_version(rule, version) for version in newest)


def _version(rule: Rule, version: Rule) -> Version:
    """Return a version; it is compared with the current one, the current one with that before."""
    number, current = version.version, version.version == rule.version
    was, now = (number - 1, number) if current else (number, rule.version)
    return Version(
        number,
        version.state,
        STATE_LABELS[version.state],
        doer(version.author, version.acting),
        moment(version.updated_at),
        pieces(version.text),
        reason=version.reason,
        restored=version.restored,
        active_since=moment(version.read_everywhere_at) if version.read_everywhere_at else None,
        compare_href=difference_href(rule.id, was=was, now=now) if was else "",
        compare_label="Compare with the version before"
        if current
        else "Compare with the current version",
    )


def _signals_href(rule: Rule) -> str:
    shown = {"shown": "shadow"} if rule.state is RuleState.SHADOW else {}
    return f"/signals?{urlencode({'rule_id': rule.id, **shown})}"


def _facts(rule: Rule, *, now: datetime) -> tuple[Fact, ...]:
    since, otherwise = in_force(rule, now=now)
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
    if suppress := str(rule.object.get("suppress") or ""):
        facts.append(Fact(label="Alerts", text=f"Once in {suppress} for each group"))
    if controls := _texts(rule, "controls"):
        facts.append(Fact(label="Controls", text=", ".join(controls)))
    if runbook:
        facts.append(Fact(label="Runbook", text=runbook, href=web_href(runbook)))
    facts.append(Fact(label="Created", at=moment(rule.created_at)))
    facts.append(Fact(label="Changed", at=moment(rule.updated_at)))
    facts.append(Fact(label="By", text=doer(rule.author, rule.acting)))
    return tuple(facts)
