"""The list of rules: what is looked for, how each is doing, and what may be done to many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from api.rules.bulk import BulkAct
from api.rules.listing import RuleFilter, RuleHealth
from api.rules.model import Rule, RuleState
from api.snoozes.model import Snooze
from api.web.views.links import rule_href
from api.web.views.moments import Moment, minute_moment, moment
from api.web.views.words import (
    SEVERITIES,
    STATE_LABELS,
    STATES,
    Choice,
    Message,
    as_word,
    choices,
)

ROWS_MAX: Final = 50
TAGS_MAX: Final = 30
"""Offered to choose from, the most used ones; any other stands in the address."""
ACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BulkAct.ACTIVE: "Switch on",
        BulkAct.SHADOW: "Run in shadow",
        BulkAct.OFF: "Switch off",
        BulkAct.DUPLICATE: "Duplicate",
        "export": "Export as YAML",
        BulkAct.DELETE: "Delete",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleQuery:
    """The filters as they stand in the address."""

    q: str = ""
    state: str = ""
    severity: str = ""
    tag: tuple[str, ...] = ()
    page: int = 1

    def filter(self) -> RuleFilter:
        """Return what is looked for; words that mean nothing are left out."""
        return RuleFilter(
            text=self.q,
            states=frozenset({RuleState(self.state)} if self.state in STATE_LABELS else ()),
            severities=frozenset({self.severity} if self.severity in SEVERITIES else ()),
            tags=frozenset(self.tag),
        )

    @property
    def is_set(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.q.strip() or self.state or self.severity or self.tag)

    def href(self, *, page: int = 1, tag: Sequence[str] | None = None) -> str:
        """Return the address of another page, or with other tags."""
        chosen = {"q": self.q, "state": self.state, "severity": self.severity}
        pairs = [(name, value) for name, value in chosen.items() if value]
        pairs += [("tag", one) for one in (self.tag if tag is None else tag)]
        pairs += [("page", str(page))] if page > 1 else []
        return f"/rules?{urlencode(pairs)}" if pairs else "/rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A row of the list."""

    id: str
    href: str
    name: str
    state: str
    state_label: str
    snoozed_until: Moment | None
    severity: str
    severity_label: str
    version: int
    tags: tuple[Tag, ...]
    active_since: Moment | None
    active_text: str
    judged: str
    verdicts: str
    warning: str
    last_raised: Moment | None
    false_positives: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and where the list with it, or without it, is."""

    name: str
    href: str
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """The page of rules. has_any: whether there is any rule at all."""

    rows: tuple[RuleRow, ...]
    has_any: bool
    summary: str
    query: str
    states: tuple[Choice, ...]
    severities: tuple[Choice, ...]
    tags: tuple[Tag, ...]
    is_filtered: bool
    found: str
    older_href: str
    newer_href: str
    acts: tuple[Choice, ...]
    may_write: bool
    message: Message | None


def rows_of(rules: Sequence[Rule], query: RuleQuery) -> tuple[list[Rule], list[Rule]]:
    """Return the rules that are looked for, and those of the page.

    What needs somebody comes first, then what is in force, by name.
    """
    order = tuple(STATE_LABELS)
    wanted = query.filter()
    found = sorted(
        filter(wanted.fits, rules),
        key=lambda rule: (order.index(rule.state), name_of(rule).lower(), rule.id),
    )
    begin = (query.page - 1) * ROWS_MAX
    return found, found[begin : begin + ROWS_MAX]


def rule_list(
    rules: Sequence[Rule],
    query: RuleQuery,
    health: Mapping[str, RuleHealth],
    *,
    now: datetime,
    may_write: bool,
    snoozes: Mapping[str, Snooze] = MappingProxyType({}),
    message: Message | None = None,
) -> RuleList:
    """Return the page. health: of the rules of the page, by id. snoozes: those that silence rules
    now, by rule.
    """
    found, shown = rows_of(rules, query)
    last = query.page * ROWS_MAX
    counts = [
        f"{count} {label.lower()}"
        for state, label in STATE_LABELS.items()
        if (count := sum(rule.state == state for rule in rules)) or state in STATES
    ]
    return RuleList(
        rows=tuple(
            _row(
                rule,
                query,
                health.get(rule.id, RuleHealth()),
                now=now,
                snooze=snoozes.get(rule.id),
            )
            for rule in shown
        ),
        has_any=bool(rules),
        summary=" · ".join(counts) if rules else "Promises that every trace is judged by.",
        query=query.q,
        states=choices(STATE_LABELS, query.state, nothing="Any state"),
        severities=choices(SEVERITIES, query.severity, nothing="Any severity"),
        tags=_tags(rules, query),
        is_filtered=query.is_set,
        found=f"{len(found):,} of {len(rules):,} rules" if query.is_set else "",
        older_href=query.href(page=query.page + 1) if len(found) > last else "",
        newer_href=query.href(page=query.page - 1) if query.page > 1 else "",
        acts=tuple(
            Choice(act, label, selected=False)
            for act, label in ACTS.items()
            if may_write or act == "export"
        ),
        may_write=may_write,
        message=message,
    )


def _tags(rules: Sequence[Rule], query: RuleQuery) -> tuple[Tag, ...]:
    """Return the chosen tags, then the most used ones."""
    counts = Counter(tag for rule in rules for tag in _tags_of(rule))
    most = [tag for tag, _ in counts.most_common(TAGS_MAX) if tag not in query.tag]
    chosen = [
        Tag(tag, query.href(tag=[one for one in query.tag if one != tag]), chosen=True)
        for tag in query.tag
    ]
    return (*chosen, *(Tag(tag, query.href(tag=(*query.tag, tag))) for tag in sorted(most)))


def _row(
    rule: Rule, query: RuleQuery, health: RuleHealth, *, now: datetime, snooze: Snooze | None
) -> RuleRow:
    since, otherwise = in_force(rule, now=now)
    severity = severity_of(rule)
    return RuleRow(
        id=rule.id,
        href=rule_href(rule.id),
        name=name_of(rule),
        state=rule.state,
        state_label=STATE_LABELS[rule.state],
        snoozed_until=minute_moment(snooze.until_at) if snooze else None,
        severity=severity,
        severity_label=SEVERITIES[severity],
        version=rule.version,
        tags=tuple(Tag(tag, query.href(tag=sorted({*query.tag, tag}))) for tag in _tags_of(rule)),
        active_since=since,
        active_text=otherwise,
        judged=f"{health.judged:,} judged" if health.judged else "Nothing judged",
        verdicts=_verdicts(health),
        warning=_warning(health),
        last_raised=moment(health.last_raised_at) if health.last_raised_at else None,
        false_positives=_false_positives(health),
    )


def _verdicts(health: RuleHealth) -> str:
    told = [
        f"{count:,} {word}"
        for count, word in (
            (health.violated, "violated"),
            (health.inconclusive, "inconclusive"),
        )
        if count
    ]
    return ", ".join(told)


def _warning(health: RuleHealth) -> str:
    if health.failed:
        return f"{health.failed:,} failed"
    return f"{health.over_budget:,} over its budget" if health.over_budget else ""


def _false_positives(health: RuleHealth) -> str:
    if not health.ended:
        return ""
    share = round(100 * health.false_positives / health.ended)
    return f"{share} % of {health.ended}"


def _tags_of(rule: Rule) -> tuple[str, ...]:
    return tuple(map(str, rule.object.get("tags") or ()))


def in_force(rule: Rule, *, now: datetime) -> tuple[Moment | None, str]:
    """Return since when the version judges, or what to say instead."""
    since = rule.active_since(now)
    if since is not None:
        return moment(since), ""
    if rule.state is RuleState.OFF:
        return None, "Switched off"
    if rule.state is RuleState.QUARANTINED:
        return None, "In quarantine"
    return None, "In a few seconds" if rule.published else "Waiting for Kafka"


def name_of(rule: Rule) -> str:
    """Return what people call a rule."""
    return str(rule.object.get("name") or rule.id)


def severity_of(rule: Rule) -> str:
    """Return the severity, `medium` where the rule says none."""
    return as_word(SEVERITIES, str(rule.object.get("severity")), otherwise="medium")
