"""What the rules of a set are to each other: whose signals a rule looks at.

No rule may wait for its own signals, and rules stand at most three deep: a promise, a `correlate`
over its signals, a `correlate` over those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dsl.many.check import FieldsOf
from dsl.many.keys import field_name
from dsl.many.plan import SignalSource
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.objects import RuleObject
from dsl.problems import Problem
from dsl.rule import AnyRule, Checked, check
from dsl.source import Source
from dsl.words import nearest

MAX_LEVELS: Final = 3


@dataclass(frozen=True, slots=True)
class SetFindings:
    """Problems and warnings of each rule that has any, at places of its text."""

    problems: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    warnings: dict[str, tuple[Problem, ...]] = field(default_factory=dict)


def signal_fields(rule: AnyRule, group_by: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of a rule's signals: what it groups by, its keys if it has some."""
    if isinstance(rule, CorrelateRule):
        return tuple(map(field_name, rule.plan.by))
    if isinstance(rule, ExpectRule):
        return () if rule.plan.by is None else (field_name(rule.plan.by),)
    return tuple(group_by)


def fields_among(rules: Mapping[str, tuple[str, Sequence[str]]]) -> FieldsOf:
    """Return the lookup of signal fields among rules: id -> (text, group_by)."""
    known: dict[str, tuple[str, ...] | None] = {}

    def fields_of(rule_id: str) -> tuple[str, ...] | None:
        if rule_id not in rules:
            return None
        if rule_id not in known:
            text, group_by = rules[rule_id]
            rule = check(text).rule
            known[rule_id] = None if rule is None else signal_fields(rule, group_by)
        return known[rule_id]

    return fields_of


def check_rule_set(rules: Mapping[str, AnyRule]) -> SetFindings:
    """Return what is wrong with checked rules taken together.

    A rule that is named and not among them is a warning: it may be somewhere else.
    """
    sources = {rule_id: Source(rule.text) for rule_id, rule in rules.items()}
    levels = _levels(rules)
    for rule_id, rule in rules.items():
        for one in _signal_sources(rule):
            _look_at(rule_id, one, rules, levels, sources[rule_id])
    found = SetFindings()
    for rule_id, source in sources.items():
        if source.problems:
            found.problems[rule_id] = tuple(source.problems)
        if source.warnings:
            found.warnings[rule_id] = tuple(source.warnings)
    return found


def check_together(rules: Sequence[RuleObject]) -> list[tuple[RuleObject, Checked]]:
    """Check the texts of rules, each alone and all of them together. Places are of the texts."""
    fields_of = fields_among({rule.id: (rule.rule, rule.group_by) for rule in rules})
    alone = [(rule, check(rule.rule, fields_of=fields_of)) for rule in rules]
    found = check_rule_set(
        {rule.id: checked.rule for rule, checked in alone if checked.rule is not None}
    )
    return [(rule, _with_findings(checked, found, rule.id)) for rule, checked in alone]


def _with_findings(checked: Checked, found: SetFindings, rule_id: str) -> Checked:
    problems = (*checked.problems, *found.problems.get(rule_id, ()))
    warnings = (*checked.warnings, *found.warnings.get(rule_id, ()))
    return Checked(None if problems else checked.rule, problems, warnings)


def _signal_sources(rule: AnyRule) -> list[SignalSource]:
    if not isinstance(rule, CorrelateRule):
        return []
    return [one for one in rule.plan.sources if isinstance(one, SignalSource)]


def _levels(rules: Mapping[str, AnyRule]) -> dict[str, int]:
    """Return how deep each rule stands; rules in a cycle, or above one, have no level."""
    waiting = {
        rule_id: {one.rule for one in _signal_sources(rule)} & rules.keys()
        for rule_id, rule in rules.items()
    }
    above: dict[str, list[str]] = {rule_id: [] for rule_id in rules}
    for rule_id, targets in waiting.items():
        for target in targets:
            above[target].append(rule_id)
    levels: dict[str, int] = {}
    ready = [rule_id for rule_id, targets in waiting.items() if not targets]
    levels.update(dict.fromkeys(ready, 1))
    while ready:
        target = ready.pop()
        for rule_id in above[target]:
            levels[rule_id] = max(levels.get(rule_id, 1), levels[target] + 1)
            waiting[rule_id].discard(target)
            if not waiting[rule_id]:
                ready.append(rule_id)
    return {rule_id: level for rule_id, level in levels.items() if not waiting[rule_id]}


def _look_at(
    rule_id: str,
    one: SignalSource,
    rules: Mapping[str, AnyRule],
    levels: Mapping[str, int],
    source: Source,
) -> None:
    if one.rule not in rules:
        meant = nearest(one.rule, rules)
        following = f"did you mean `{meant}`?" if meant else "its signals are taken as they come"
        source.warn("rule.unseen_rule", one.at, one.end, rule=one.rule, next=following)
    elif one.rule in levels:
        if levels[one.rule] >= MAX_LEVELS:
            path = _path_down(one.rule, rules, levels)
            source.refuse(
                "rule.levels", one.at, one.end, limit=MAX_LEVELS, path=" → ".join([rule_id, *path])
            )
    else:
        cycle = _way_back(one.rule, rule_id, rules)
        if cycle:
            path_text = " → ".join([rule_id, *cycle])
            source.refuse("rule.cycle", one.at, one.end, rule=rule_id, path=path_text)


def _path_down(rule_id: str, rules: Mapping[str, AnyRule], levels: Mapping[str, int]) -> list[str]:
    """Return rules from one down towards the lowest, as many as show that it stands too deep."""
    path = [rule_id]
    while levels[path[-1]] > 1 and len(path) < MAX_LEVELS:
        below = [one.rule for one in _signal_sources(rules[path[-1]]) if one.rule in levels]
        path.append(max(below, key=lambda one: levels[one]))
    return path


def _way_back(start: str, goal: str, rules: Mapping[str, AnyRule]) -> list[str]:
    """Return the shortest way from a rule to another along the signals, or nothing."""
    came_from: dict[str, str] = {start: ""}
    todo = [start]
    for rule_id in todo:
        if rule_id == goal:
            break
        for one in _signal_sources(rules[rule_id]):
            if one.rule in rules and one.rule not in came_from:
                came_from[one.rule] = rule_id
                todo.append(one.rule)
    if goal not in came_from:
        return []
    path = [goal]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]
