"""From what a request says to what is tried: the range, the rules, and what they are compared with.

Everything that is wrong with a request is said before it is queued.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import dsl
from api.backtests.model import ComparedRule, RuleKind, Version
from api.durations import duration_ms
from api.problems import ApiError, not_found
from api.rules.definitions import Definition, Form, read_definition
from api.rules.model import Rule, RuleState
from api.rules.records import rule_record
from api.rules.rule_set import problems_together

RULES_MAX: Final = 50
_DRAFT: Final = 0
"""The number of a version that was never saved."""
_TEXT_ALONE: Final = frozenset(("id", "rule"))

_AS: Final[Mapping[RuleKind, str]] = {
    RuleKind.PROMISE: "a promise",
    RuleKind.CORRELATE: "a correlate",
    RuleKind.EXPECT: "an expect",
}

Saved = Callable[[str, int | None], Awaitable[Rule | None]]
"""Finds a saved rule by id and version (None: the current one)."""
Against = Literal["live", "nothing"] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Side:
    """A rule as one side has it. version: 0 for a draft."""

    definition: Definition
    version: int

    @property
    def shown(self) -> Version:
        """The version as people see it."""
        return Version(self.version or None, self.definition.judging.text)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A rule that is tried and the version it is compared with, None if there is none."""

    now: Side
    was: Side | None

    @property
    def shown(self) -> ComparedRule:
        """The rule as people see it."""
        rule = self.now.definition.object
        return ComparedRule(
            id=self.now.definition.id,
            name=str(rule.get("name") or self.now.definition.id),
            severity=str(rule["severity"]),
            kind=_kind(self.now),
            now=self.now.shown,
            was=self.was.shown if self.was else None,
        )


def moment(text: str, *, now: datetime, field: str) -> datetime:
    """Return a time given as `now`, as a duration before now, or in ISO 8601 with its offset.

    Raises ApiError 400.
    """
    if text == "now":
        return now
    try:
        return now - timedelta(milliseconds=duration_ms(text))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ApiError(
            400,
            "backtest.time",
            f"`{field}` is {text!r}; write now, a time ago such as 2h, or 2026-11-23T12:00:00Z.",
        )
    return at


def check_range(from_at: datetime, to_at: datetime, *, now: datetime, hours_max: int) -> None:
    """Raise ApiError 400 for a range that is empty, too long, or lies in the future."""
    if from_at >= to_at:
        raise ApiError(400, "backtest.range", "`from` must lie before `to`.")
    if to_at > now:
        raise ApiError(400, "backtest.range", "`to` lies in the future.")
    if to_at - from_at > timedelta(hours=hours_max):
        raise ApiError(
            400,
            "backtest.range",
            f"A range may be {hours_max} hours long; this one is "
            f"{(to_at - from_at).total_seconds() / 3600:.1f}. Ask for a part of it.",
            hours_max=hours_max,
        )


async def read_comparisons(
    rules: Sequence[Mapping[str, Any]], against: Against, *, saved: Saved
) -> list[Comparison]:
    """Read the rules of a request.

    Each is an object with `id` and nothing else (as it is saved), with `version` (as it was
    saved), or with a `rule`: a draft. A draft of `id` and `rule` alone has the other fields of the
    saved rule. Raises ApiError 400, 404, 422 with all problems.
    """
    now = await _read_all(rules, saved=saved)
    _refuse_doubles(now)
    before = await _baseline(now, against, saved=saved)
    found = [Comparison(side, before.get(side.definition.id)) for side in now]
    for one in found:
        if one.was is not None and _kind(one.now) is not _kind(one.was):
            raise ApiError(
                422,
                "backtest.kinds",
                f"{one.now.definition.id} was {_AS[_kind(one.was)]} and is {_AS[_kind(one.now)]} "
                "now: what they say cannot be compared. Compare it with nothing.",
            )
    return found


async def with_looked_at(
    sides: Sequence[Side], *, saved: Saved, only_in_force: bool = False
) -> list[Side]:
    """Return rules with the saved ones whose signals they look at, however deep.

    only_in_force: as a baseline, in which a rule that is off or not there says nothing.
    Raises ApiError 422 for a rule that is named and not to be found, and for rules that do not go
    together.
    """
    known = {side.definition.id: side for side in sides}
    waiting = list(sides)
    while waiting:
        side = waiting.pop()
        for rule_id in sorted(_looks_at(side) - known.keys()):
            rule = await saved(rule_id, None)
            if rule is not None and (rule.judges or not only_in_force):
                known[rule_id] = await asyncio.to_thread(_as_saved, rule)
                waiting.append(known[rule_id])
            elif not only_in_force:
                raise ApiError(
                    422,
                    "backtest.looked_at",
                    f"{side.definition.id} looks at signals of {rule_id}, which is neither among "
                    "the rules of the request nor saved. Give it, or save it.",
                )
    definitions = [side.definition for side in known.values()]
    ids = [side.definition.id for side in sides]
    problems = await asyncio.to_thread(problems_together, definitions, ids)
    if problems:
        raise _refusal(problems)
    return list(known.values())


def side_records(sides: Sequence[Side], *, tenant_id: UUID) -> list[bytes]:
    """Return the records that a rule book of these rules is made of.

    Predicates are numbered for this backtest alone. What is off or judged without alerts is
    judged like any other.
    """
    numbers: dict[int, int] = {}
    records = []
    for side in sides:
        definition = replace(
            side.definition,
            object={**side.definition.object, "state": RuleState.ACTIVE.value},
        )
        own = [
            numbers.setdefault(predicate.hash, len(numbers))
            for predicate in definition.judging.predicates
        ]
        records.append(rule_record(definition, own, tenant_id=tenant_id, version=side.version))
    return records


async def _baseline(now: Sequence[Side], against: Against, *, saved: Saved) -> dict[str, Side]:
    if against == "nothing":
        return {}
    if against == "live":
        live = [await saved(side.definition.id, None) for side in now]
        in_force = [rule for rule in live if rule and rule.judges]
        return {rule.id: await asyncio.to_thread(_as_saved, rule) for rule in in_force}
    others = await _read_all([item for item in against if isinstance(item, Mapping)], saved=saved)
    _refuse_doubles(others)
    return {side.definition.id: side for side in others}


async def _read_all(rules: Sequence[Mapping[str, Any]], *, saved: Saved) -> list[Side]:
    sides = []
    problems: list[dict[str, Any]] = []
    for item in rules:
        try:
            sides.append(await _read(item, saved=saved))
        except ApiError as refusal:
            if "problems" not in refusal.members:
                raise
            problems += [{"rule": item.get("id"), **each} for each in refusal.members["problems"]]
    if problems:
        raise _refusal(problems)
    return sides


def _refusal(problems: Sequence[Mapping[str, Any]]) -> ApiError:
    count = len(problems)
    return ApiError(
        422,
        "rule.invalid",
        f"There {'is a problem' if count == 1 else f'are {count} problems'} in the rules.",
        problems=list(problems),
    )


async def _read(item: Mapping[str, Any], *, saved: Saved) -> Side:
    rule_id = item.get("id")
    if not isinstance(rule_id, str) or not rule_id:
        raise ApiError(400, "backtest.rules", "Every rule needs its `id`.")
    if "rule" not in item:
        version = item.get("version")
        if not (version is None or (isinstance(version, int) and 1 <= version < 2**31)):
            raise ApiError(400, "backtest.rules", f"{version!r} is no version of {rule_id}.")
        found = await saved(rule_id, version)
        if found is None:
            raise not_found(f"rule {rule_id}" if version is None else f"version of {rule_id}")
        return await asyncio.to_thread(_as_saved, found)
    current = await saved(rule_id, None)
    if current is not None and item.keys() <= _TEXT_ALONE:
        item = {**current.object, "rule": item["rule"]}
    definition = await asyncio.to_thread(_define, item)
    unchanged = current is not None and current.object == definition.object
    return Side(definition, current.version if unchanged and current else _DRAFT)


def _as_saved(rule: Rule) -> Side:
    return Side(_define({**rule.object, "id": rule.id, "rule": rule.text}), rule.version)


def _define(item: Mapping[str, Any]) -> Definition:
    return read_definition(json.dumps(dict(item)), form=Form.JSON, expected_id=item["id"])


def _kind(side: Side) -> RuleKind:
    rule = side.definition.compiled
    if isinstance(rule, dsl.CorrelateRule):
        return RuleKind.CORRELATE
    return RuleKind.EXPECT if isinstance(rule, dsl.ExpectRule) else RuleKind.PROMISE


def _looks_at(side: Side) -> frozenset[str]:
    rule = side.definition.compiled
    return frozenset(rule.correlated) if isinstance(rule, dsl.CorrelateRule) else frozenset()


def _refuse_doubles(sides: Sequence[Side]) -> None:
    ids = [side.definition.id for side in sides]
    for rule_id in ids:
        if ids.count(rule_id) > 1:
            raise ApiError(400, "backtest.rules", f"There are two rules {rule_id!r}.")
