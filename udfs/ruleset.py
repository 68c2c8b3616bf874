"""The rules in force for a trace, arranged so that judging hardly depends on their number.

A rule is looked at only when one of the predicates without which its `when` is false was seen.
What depends on nothing but which predicates were seen is judged once per combination and
remembered, since traces repeat themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsl import Judgement, Reason, TraceView, Verdict
from udfs.facts import numbers_of
from udfs.rulebook import Rule

_REMEMBERED = 50_000


class Judged(NamedTuple):
    """A rule with its judgement of a trace."""

    rule: Rule
    judgement: Judgement


class RuleSet:
    """The rules of one tenant in one epoch. All other rules than those returned do not apply."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self._always = tuple(rule for rule in rules if rule.candidates is None)
        self._by_number: dict[int, list[Rule]] = {}
        for rule in rules:
            for number in numbers_of(rule.candidates or 0):
                self._by_number.setdefault(number, []).append(rule)
        self._remembered: dict[
            tuple[int, int, bool, frozenset[Reason]], tuple[tuple[Judged, ...], tuple[Rule, ...]]
        ] = {}
        self.signals_incomplete = any(rule.record.on_incomplete == "signal" for rule in rules)

    def judge(self, view: TraceView) -> list[Judged]:
        """Judge a trace by all rules that may apply; those that do not apply are left out."""
        key = (view.true, view.maybe, view.complete, view.in_doubt)
        remembered = self._remembered.get(key)
        if remembered is None:
            remembered = self._judge_by_bits(view)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = remembered
        by_bits, others = remembered
        if not others:
            return list(by_bits)
        judged = list(by_bits)
        for rule in others:
            judgement = rule.linked.judge(view)
            if judgement.verdict is not Verdict.NOT_APPLICABLE:
                judged.append(Judged(rule, judgement))
        judged.sort(key=lambda item: item.rule.id)
        return judged

    def _judge_by_bits(self, view: TraceView) -> tuple[tuple[Judged, ...], tuple[Rule, ...]]:
        """Judge what depends on the masks alone, and name the rules that need more."""
        by_bits = []
        others = []
        for rule in self._candidates(view.true | view.maybe):
            if not rule.linked.bits_only:
                others.append(rule)
                continue
            judgement = rule.linked.judge(view)
            if judgement.verdict is not Verdict.NOT_APPLICABLE:
                by_bits.append(Judged(rule, judgement))
        by_bits.sort(key=lambda item: item.rule.id)
        return tuple(by_bits), tuple(others)

    def _candidates(self, mask: int) -> Sequence[Rule]:
        found = {rule.id: rule for rule in self._always}
        for number in numbers_of(mask):
            for rule in self._by_number.get(number, ()):
                found[rule.id] = rule
        return [found[rule_id] for rule_id in sorted(found)]
