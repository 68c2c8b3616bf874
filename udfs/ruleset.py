"""The rules in force for a trace, arranged so that judging hardly depends on their number.

A rule is looked at only when one of the predicates without which its `when` is false was seen.
What depends on nothing but which predicates were seen is judged once per combination and
remembered, since traces repeat themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsl import Judgement, Reason, Verdict
from udfs.facts import numbers_of
from udfs.rulebook import Rule, RuleBook
from udfs.trace_state import TraceState

_REMEMBERED = 50_000
_KEPT_SETS = 1_000
_FAILED = Judgement(Verdict.INCONCLUSIVE, (Reason.FAILED,))


class Judged(NamedTuple):
    """A rule with its judgement of a trace."""

    rule: Rule
    judgement: Judgement


class _Remembered(NamedTuple):
    """What a combination of predicates says: verdicts, violations among them, rules to ask."""

    judged: tuple[Judged, ...]
    violated: tuple[Judged, ...]
    others: tuple[Rule, ...]


class RuleSet:
    """The rules of one tenant in one epoch. All other rules than those returned do not apply."""

    def __init__(
        self, rules: Sequence[Rule], *, failures: dict[tuple[str, str], str] | None = None
    ) -> None:
        """failures: told of the first error of each rule, by tenant and rule id."""
        self.rules = rules
        self._failures: dict[tuple[str, str], str] = {} if failures is None else failures
        self._always = tuple(rule for rule in rules if rule.candidates is None)
        self._by_number: dict[int, list[Rule]] = {}
        for rule in rules:
            for number in numbers_of(rule.candidates or 0):
                self._by_number.setdefault(number, []).append(rule)
        self._remembered: dict[tuple[int, int, bool, frozenset[Reason]], _Remembered] = {}
        self.signals_incomplete = any(rule.signals_incomplete for rule in rules)
        self.holds_incomplete = any(rule.holds_incomplete for rule in rules)
        self.keeps_links = any(rule.needs_links for rule in rules)
        self.longest_settle_ms = max((rule.settle_ms for rule in rules), default=0)

    def judge(self, view: TraceState) -> Sequence[Judged]:
        """Judge a trace by all rules that may apply; those that do not apply are left out."""
        remembered = self._recall(view)
        if not remembered.others:
            return remembered.judged
        judged = list(remembered.judged)
        for rule in remembered.others:
            judgement = self.ask(rule, view)
            if judgement.verdict is not Verdict.NOT_APPLICABLE:
                judged.append(Judged(rule, judgement))
        judged.sort(key=_rule_id)
        return judged

    def violations(self, view: TraceState) -> Sequence[Judged]:
        """Judge an open trace as `judge` does, and return only the violations."""
        remembered = self._recall(view)
        if not remembered.others:
            return remembered.violated
        judged = list(remembered.violated)
        for rule in remembered.others:
            if not rule.early or (rule.keeps and view.is_large):
                continue
            judgement = self.ask(rule, view, early=True)
            if judgement.verdict is Verdict.VIOLATED:
                judged.append(Judged(rule, judgement))
        judged.sort(key=_rule_id)
        return judged

    def ask(self, rule: Rule, view: TraceState, *, early: bool = False) -> Judgement:
        """Judge a trace by one rule. An error in that is a verdict of this rule and trace alone.

        early: of an open trace, which no rule waits for.
        """
        try:
            return rule.linked.judge(view) if early else _judge_by(rule, view)
        except Exception as error:  # noqa: BLE001
            # The rim of a rule: a bug that one of them meets must not stop all others.
            key = (rule.record.tenant, rule.id)
            self._failures.setdefault(key, f"{type(error).__name__}: {error}")
            return _FAILED

    def _recall(self, view: TraceState) -> _Remembered:
        key = (view.true, view.maybe, view.complete, view.in_doubt)
        remembered = self._remembered.get(key)
        if remembered is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            remembered = self._remembered[key] = self._judge_by_bits(view)
        return remembered

    def _judge_by_bits(self, view: TraceState) -> _Remembered:
        """Judge what depends on the masks alone, and name the rules that need more."""
        judged: list[Judged] = []
        violated: list[Judged] = []
        others: list[Rule] = []
        for rule in self._candidates(view.true | view.maybe):
            if not rule.linked.bits_only:
                others.append(rule)
                continue
            judgement = self.ask(rule, view)
            if judgement.verdict is Verdict.NOT_APPLICABLE:
                continue
            item = Judged(rule, judgement)
            judged.append(item)
            if judgement.verdict is Verdict.VIOLATED:
                violated.append(item)
        return _Remembered(tuple(judged), tuple(violated), tuple(others))

    def _candidates(self, mask: int) -> Sequence[Rule]:
        """Return the rules that may apply, each once, by their ids."""
        found: list[Rule] = list(self._always)
        while mask:
            low = mask & -mask
            found += self._by_number.get(low.bit_length() - 1, ())
            mask ^= low
        if len(found) < 2:
            return found
        by_id = {rule.id: rule for rule in found}
        return [by_id[rule_id] for rule_id in sorted(by_id)]


class RuleSets:
    """The rule sets of all tenants and epochs, one of each for all lanes of a subtask.

    Lanes see the same combinations of predicates, and so share what is remembered of them.
    """

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._book_version = -1
        self._known: dict[tuple[str, int], RuleSet] = {}
        self.failures: dict[tuple[str, str], str] = {}
        """The first error of each rule that could not be asked, by tenant and rule id."""

    def of(self, tenant: str, *, since_ms: int) -> RuleSet:
        """Return the rules in force for a tenant in the epoch that begins at since_ms."""
        if self._book_version != self._book.version:
            self._book_version = self._book.version
            self._known.clear()
        found = self._known.get((tenant, since_ms))
        if found is None:
            if len(self._known) >= _KEPT_SETS:
                del self._known[next(iter(self._known))]
            rules = self._book.in_force(tenant, since_ms)
            found = self._known[tenant, since_ms] = RuleSet(rules, failures=self.failures)
        return found


def _judge_by(rule: Rule, view: TraceState) -> Judgement:
    """Judge a trace by one rule, which waits for windows as long as it settles."""
    settle_ms = view.settle_ms
    if not rule.keeps or rule.settle_ms <= settle_ms:
        return rule.linked.judge(view)
    view.settle_ms = rule.settle_ms
    try:
        return rule.linked.judge(view)
    finally:
        view.settle_ms = settle_ms


def _rule_id(judged: Judged) -> str:
    return judged.rule.id
