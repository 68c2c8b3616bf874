"""Signals that probably have one cause: joined by trace, by deploy, by service and time. Pure.

Signals of one trace belong together. Signals of different rules belong together if they involve the
same service within some minutes, or the same version of a service within some hours. One rule that
keeps firing is a group and no incident: an incident has several rules. What joins is transitive.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from api.signals.model import Severity

NEAR: Final = timedelta(minutes=10)
"""Signals of one service with a longer pause between them are not joined by it."""
DEPLOY: Final = timedelta(hours=6)
"""The same for one version of a service."""


class Why(StrEnum):
    """What joins signals."""

    TRACE = "trace"
    DEPLOY = "deploy"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is looked at of a signal. trace_id: empty for a rule over many traces.

    versions: of services, as `service version`.
    """

    id: str
    rule_id: str
    rule_name: str
    severity: Severity
    trace_id: str
    services: tuple[str, ...]
    versions: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that joins: the trace, `service version` or service, and of how many signals."""

    why: Why
    what: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Signals that belong together, newest first, and why, strongest reason first.

    rules: id and name, most signals first.
    """

    signal_ids: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    services: tuple[str, ...]
    severity: Severity
    first_at: datetime
    last_at: datetime
    reasons: tuple[Reason, ...]


def incidents_of(signals: Iterable[Seen], *, limit: int) -> tuple[Incident, ...]:
    """Return what belongs together, most severe and then newest first."""
    ordered = sorted(signals, key=lambda one: (one.at, one.id))
    joined = _Joined(len(ordered))
    reasons: list[tuple[Why, str, list[int]]] = []
    for why, what, near in _runs(ordered):
        for one, other in pairwise(near):
            joined.join(one, other)
        reasons.append((why, what, near))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(len(ordered)):
        members[joined.root(number)].append(number)
    found = [
        _incident([ordered[number] for number in numbers], _reasons(reasons, joined, root))
        for root, numbers in members.items()
        if len({ordered[number].rule_id for number in numbers}) > 1
    ]
    ranks = list(Severity)
    found.sort(key=lambda one: (ranks.index(one.severity), -one.last_at.timestamp()))
    return tuple(found[:limit])


class _Joined:
    """Which numbers belong together (union–find)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        self._parents[self.root(other)] = self.root(one)


def _runs(ordered: Sequence[Seen]) -> Iterable[tuple[Why, str, list[int]]]:
    """Yield what at least two rules' signals have in common without a long pause."""
    by: defaultdict[tuple[Why, str], list[int]] = defaultdict(list)
    for number, signal in enumerate(ordered):
        if signal.trace_id:
            by[Why.TRACE, signal.trace_id].append(number)
        for version in signal.versions:
            by[Why.DEPLOY, version].append(number)
        for service in signal.services:
            by[Why.SERVICE, service].append(number)
    pauses = {Why.TRACE: timedelta.max, Why.DEPLOY: DEPLOY, Why.SERVICE: NEAR}
    for (why, what), numbers in by.items():
        run: list[int] = []
        for number in numbers:
            if run and ordered[number].at - ordered[run[-1]].at > pauses[why]:
                if _of_several_rules(run, ordered):
                    yield why, what, run
                run = []
            run.append(number)
        if _of_several_rules(run, ordered):
            yield why, what, run


def _of_several_rules(run: Sequence[int], ordered: Sequence[Seen]) -> bool:
    return len({ordered[number].rule_id for number in run}) > 1


def _reasons(
    found: Sequence[tuple[Why, str, list[int]]], joined: _Joined, root: int
) -> tuple[Reason, ...]:
    mine = [Reason(why, what, len(run)) for why, what, run in found if joined.root(run[0]) == root]
    ranks = list(Why)
    return tuple(sorted(mine, key=lambda one: (ranks.index(one.why), -one.count, one.what)))


def _incident(signals: Sequence[Seen], reasons: tuple[Reason, ...]) -> Incident:
    rules = Counter((one.rule_id, one.rule_name) for one in signals)
    services = Counter(service for one in signals for service in one.services)
    return Incident(
        signal_ids=tuple(one.id for one in reversed(signals)),
        rules=tuple(rule for rule, _ in rules.most_common()),
        services=tuple(name for name, _ in services.most_common()),
        severity=min((one.severity for one in signals), key=list(Severity).index),
        first_at=signals[0].at,
        last_at=signals[-1].at,
        reasons=reasons,
    )
