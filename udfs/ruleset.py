"""The rules in force for a trace, arranged so that judging hardly depends on their number.

A rule is looked at only when one of the predicates without which its `when` is false was seen.
What depends on nothing but which predicates were seen is judged once per combination and
remembered, since traces repeat themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from dsl import Judgement, Reason, Verdict
from udfs.facts import numbers_of
from udfs.many_rules import ManySet
from udfs.rulebook import FOR_EVER, Rule, RuleBook
from udfs.trace_state import TraceState

_REMEMBERED = 50_000
_REMEMBERED_OF_RULE = 1_000
_KEPT_RULES = 200_000
"""Of all rule sets together: traces that are open began in so many epochs at most."""
_FAILED = Judgement(Verdict.INCONCLUSIVE, (Reason.FAILED,))


class Judged:
    """A rule with its judgement of a trace, and what is asked of them for every trace."""

    __slots__ = ("judgement", "key", "reasons", "rule", "rule_id", "verdict", "violated")

    def __init__(self, rule: Rule, judgement: Judgement) -> None:
        self.rule = rule
        self.judgement = judgement
        self.rule_id: str = rule.id
        self.key: tuple[str, int] = (rule.id, rule.version)
        self.verdict: Verdict = judgement.verdict
        self.reasons: tuple[Reason, ...] = judgement.reasons
        self.violated: bool = judgement.verdict is Verdict.VIOLATED


class _Remembered(NamedTuple):
    """What a combination of predicates says: verdicts, violations among them, rules to ask."""

    judged: tuple[Judged, ...]
    violated: tuple[Judged, ...]
    others: tuple[Rule, ...]


_Key = tuple[int, int, bool, frozenset[Reason]]
"""Predicates that hold, those that might, whether the trace is complete, and what is in doubt."""


class _Known:
    """A rule, and what it says of its own predicates alone: few combinations of them occur."""

    __slots__ = ("_answers", "_bits", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._bits = 0
        for number, _ in rule.predicates:
            self._bits |= 1 << number
        self._answers: dict[_Key, Judged | None] = {}

    def judge(
        self, view: TraceState, ask: Callable[[Rule, TraceState], Judgement]
    ) -> Judged | None:
        """Judge a trace by a rule that depends on its predicates alone; None: does not apply.

        ask: judges, where this has not been asked before.
        """
        bits = self._bits
        key = (view.true & bits, view.maybe & bits, view.complete, view.in_doubt)
        if key in self._answers:
            return self._answers[key]
        if len(self._answers) >= _REMEMBERED_OF_RULE:
            self._answers.clear()
        judgement = ask(self.rule, view)
        applies = judgement.verdict is not Verdict.NOT_APPLICABLE
        answer = self._answers[key] = Judged(self.rule, judgement) if applies else None
        return answer


class RuleSet:
    """The rules of one tenant in one epoch. All other rules than those returned do not apply."""

    def __init__(
        self,
        rules: Sequence[Rule],
        many: ManySet | None = None,
        *,
        like: RuleSet | None = None,
        failures: dict[tuple[str, str], str] | None = None,
    ) -> None:
        """many: the rules over many traces of the same epoch.

        like: the set of another epoch; what it remembers of single rules is shared.
        failures: told of the first error of each rule, by tenant and rule id.
        """
        self.rules = rules
        self.many = many
        self._failures: dict[tuple[str, str], str] = {} if failures is None else failures
        self._known = [
            (like.knows(rule) if like is not None else None) or _Known(rule)
            for rule in sorted(rules, key=lambda rule: rule.id)
        ]
        self._known_by_id = {known.rule.id: known for known in self._known}
        # Places in that list, so that candidates are found and put in order by numbers alone.
        self._always: list[int] = []
        self._by_number: dict[int, list[int]] = {}
        self._candidates_of = 0
        for at, known in enumerate(self._known):
            if known.rule.candidates is None:
                self._always.append(at)
            mask = known.rule.candidates or 0
            self._candidates_of |= mask
            for number in numbers_of(mask):
                self._by_number.setdefault(number, []).append(at)
        self._remembered: dict[_Key, _Remembered] = {}
        self.signals_incomplete = any(rule.signals_incomplete for rule in rules)
        self.holds_incomplete = any(rule.holds_incomplete for rule in rules)
        self.needs_root = any(rule.needs_root for rule in rules)
        self.keeps_links = any(rule.needs_links for rule in rules)
        self.longest_settle_ms = max((rule.settle_ms for rule in rules), default=0)
        self._first_stop_ms = min((rule.stops_ms for rule in rules), default=FOR_EVER)

    def knows(self, rule: Rule) -> _Known | None:
        """Return what is remembered of this very rule, if it is in the set."""
        known = self._known_by_id.get(rule.id)
        return known if known is not None and known.rule is rule else None

    def rule(self, rule_id: str) -> Rule | None:
        """Return the rule of that id, None if there is none in force."""
        known = self._known_by_id.get(rule_id)
        return None if known is None else known.rule

    def judge(self, view: TraceState) -> Sequence[Judged]:
        """Judge a trace by all rules that may apply; those that do not apply are left out.

        Those that have stopped by then (view.now_ms) are not asked, and say nothing.
        """
        now_ms = view.now_ms
        remembered = self._recall(view)
        known = self._going(remembered.judged, now_ms)
        if not remembered.others and not view.failed:
            return known
        judged = list(known)
        for rule in remembered.others:
            if rule.stops_ms <= now_ms:
                continue
            judgement = self.ask(rule, view)
            if judgement.verdict is not Verdict.NOT_APPLICABLE:
                judged.append(Judged(rule, judgement))
        judged.sort(key=_rule_id)
        return [_with_failures(item, view) for item in judged] if view.failed else judged

    def violations(self, view: TraceState, now_ms: int) -> Sequence[Judged]:
        """Judge an open trace as `judge` does, and return only the violations."""
        remembered = self._recall(view)
        known = self._going(remembered.violated, now_ms)
        if not remembered.others:
            return known
        judged = list(known)
        for rule in remembered.others:
            if not rule.early or (rule.keeps and view.is_large) or rule.stops_ms <= now_ms:
                continue
            judgement = self._violation(rule, view)
            if judgement is not None:
                judged.append(Judged(rule, judgement))
        if len(judged) == len(known):
            return known
        judged.sort(key=_rule_id)
        return judged

    def ask(self, rule: Rule, view: TraceState) -> Judgement:
        """Judge a trace by one rule. An error in that is a verdict of this rule and trace alone."""
        try:
            return _judge_by(rule, view)
        except Exception as error:  # noqa: BLE001
            # The rim of a rule: a bug that one of them meets must not stop all others.
            self._note_failure(rule, error)
            return _FAILED

    def _violation(self, rule: Rule, view: TraceState) -> Judgement | None:
        """Tell whether an open trace breaks one rule; in case of an error, that is told later."""
        try:
            return rule.linked.violation(view)
        except Exception as error:  # noqa: BLE001
            # The same rim.
            self._note_failure(rule, error)
            return None

    def _note_failure(self, rule: Rule, error: Exception) -> None:
        key = (rule.record.tenant, rule.id)
        self._failures.setdefault(key, f"{type(error).__name__}: {error}")

    def _going(self, judged: Sequence[Judged], now_ms: int) -> Sequence[Judged]:
        """Leave out what rules say that have stopped. Hardly any tenant has such a rule."""
        if now_ms < self._first_stop_ms:
            return judged
        return [item for item in judged if now_ms < item.rule.stops_ms]

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
        for known in self._candidates(view.true | view.maybe):
            if not known.rule.linked.bits_only:
                others.append(known.rule)
                continue
            item = known.judge(view, self.ask)
            if item is None:
                continue
            judged.append(item)
            if item.violated:
                violated.append(item)
        return _Remembered(tuple(judged), tuple(violated), tuple(others))

    def _candidates(self, mask: int) -> list[_Known]:
        """Return the rules that may apply, each once, by their ids."""
        found = set(self._always)
        mask &= self._candidates_of
        while mask:
            # From the top: what is left of a long mask gets shorter with every step.
            number = mask.bit_length() - 1
            found.update(self._by_number[number])
            mask ^= 1 << number
        return [self._known[at] for at in sorted(found)]


class _Held(NamedTuple):
    """A rule set, and the stamp of its tenant in the book when it was last compared."""

    stamp: int
    rules: RuleSet


class RuleSets:
    """The rule sets of all tenants and epochs, one of each for all lanes of a subtask.

    Lanes see the same combinations of predicates, and so share what is remembered of them.
    """

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._let_go_count = 0
        self._held: dict[tuple[str, int], _Held] = {}
        self._newest: dict[str, RuleSet] = {}
        self._rule_count = 0
        self.failures: dict[tuple[str, str], str] = {}
        """The first error of each rule that could not be asked, by tenant and rule id."""

    def of(self, tenant: str, *, since_ms: int) -> RuleSet:
        """Return the rules in force for a tenant in the epoch that begins at since_ms."""
        if self._let_go_count != self._book.let_go_count:
            self._let_go_count = self._book.let_go_count
            self._let_go()
        stamp = self._book.stamp(tenant)
        held = self._held.get((tenant, since_ms))
        if held is not None and held.stamp == stamp:
            return held.rules
        rules = self._book.in_force(tenant, since_ms)
        many = self._book.many_in_force(tenant, since_ms)
        if held is not None and (held.rules.rules, held.rules.many) == (rules, many):
            found = held.rules
        else:
            if held is not None:
                self._forget((tenant, since_ms))
            self._make_room(len(rules))
            found = self._make(tenant, rules, many)
        self._held[tenant, since_ms] = _Held(stamp, found)
        return found

    def _make(self, tenant: str, rules: Sequence[Rule], many: ManySet | None) -> RuleSet:
        like = self._newest.get(tenant)
        made = RuleSet(rules, many, like=like, failures=self.failures)
        self._newest[tenant] = made
        return made

    def _make_room(self, rule_count: int) -> None:
        """Count a set that will be added; the oldest ones go where there are too many."""
        self._rule_count += 1 + rule_count
        while self._rule_count > _KEPT_RULES and self._held:
            self._forget(next(iter(self._held)))

    def _let_go(self) -> None:
        """Forget the tenants that the book has let go."""
        for key in [key for key in self._held if not self._book.is_awake(key[0])]:
            self._forget(key)
        for tenant in [name for name in self._newest if not self._book.is_awake(name)]:
            del self._newest[tenant]

    def _forget(self, key: tuple[str, int]) -> None:
        self._rule_count -= 1 + len(self._held.pop(key).rules.rules)


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


def _with_failures(item: Judged, view: TraceState) -> Judged:
    """Say of an inconclusive rule which looked at a predicate that met an error that it did.

    Such a predicate might hold, as one does of which an attribute is gone; where nothing else is
    in doubt, nothing was gone. Of spans that are looked at one by one, a value may have failed that
    is read off them, however certain it is that the predicate holds.
    """
    rule, judgement = item.rule, item.judgement
    own = 0
    for number, _ in rule.predicates:
        own |= 1 << number
    kept = 0
    for number, _ in rule.kept:
        kept |= 1 << number
    unsettled = own & (kept | ~view.true)
    if judgement.verdict is not Verdict.INCONCLUSIVE or not view.failed & unsettled:
        return item
    reasons = {*judgement.reasons, Reason.FAILED}
    if not rule.keeps and not view.maybe & unsettled & ~view.failed:
        reasons.discard(Reason.REDACTED)
    return Judged(rule, replace(judgement, reasons=tuple(sorted(reasons))))


def _rule_id(judged: Judged) -> str:
    return judged.rule_id
