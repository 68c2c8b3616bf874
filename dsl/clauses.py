"""Clauses of rules that look at spans one by one: conditions, and the combinations they bind.

The outermost `and` of a clause is taken apart: what depends on no binding is asked once, then the
bindings are tried in the order written, each candidate in order of start and span id, and every
condition is asked as soon as the bindings that it reads are there.

While spans may still come, a binding may also mean one that was not seen. In an open trace one
combination of nothing but unseen spans stands for all of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from dsl.compiler import compile_condition
from dsl.joins import Wiring, compile_join
from dsl.measures import compile_among, compile_compared
from dsl.plan import (
    Among,
    Compared,
    Condition,
    Either,
    Every,
    Found,
    Held,
    Leaf,
    Opposite,
    Ordered,
    Related,
    Term,
    bindings_of,
    is_plain,
    leaves_of,
    names_in,
)
from dsl.scene import OutOfSteps, Scene
from dsl.sequences import SequenceTest, compile_sequence
from dsl.structure import KeptSpan, Member
from dsl.terms import TermTest, bound_test, compile_term, found
from dsl.truth import NO, OPEN, REDACTED, STEPS, YES, Truth, both, either, opposite

Ask: TypeAlias = Callable[[Scene], Truth]
"""A condition in front of a scene."""
Visit: TypeAlias = Callable[[Truth], bool]
"""Takes how a clause stands for the combination that is bound; True ends the search."""


# -- conditions ------------------------------------------------------------------------------------


def compile_ask(condition: Condition, wiring: Wiring) -> Ask:
    """Return the question of a condition; what it binds must be bound."""
    match condition:
        case Every(items):
            return _every(tuple(compile_ask(item, wiring) for item in items))
        case Either(items):
            return _either(tuple(compile_ask(item, wiring) for item in items))
        case Opposite(item):
            inner = compile_ask(item, wiring)
            return lambda scene: opposite(inner(scene))
        case _:
            return _leaf(condition, wiring)


def _every(asks: tuple[Ask, ...]) -> Ask:
    def every(scene: Scene) -> Truth:
        answer = YES
        for ask in asks:
            answer = both(answer, ask(scene))
            if answer == NO:
                break
        return answer

    return every


def _either(asks: tuple[Ask, ...]) -> Ask:
    def some(scene: Scene) -> Truth:
        answer = NO
        for ask in asks:
            answer = either(answer, ask(scene))
            if answer == YES:
                break
        return answer

    return some


def _leaf(leaf: Leaf, wiring: Wiring) -> Ask:
    ask = _plain(leaf, wiring) if is_plain(leaf) else _structural(leaf, wiring)
    return ask if bindings_of(leaf) or names_in(leaf) else _remembered(ask)


def _structural(leaf: Leaf, wiring: Wiring) -> Ask:
    match leaf:
        case Found(term):
            return found(compile_term(term, wiring))
        case Ordered():
            return compile_sequence(leaf, wiring)
        case Held(binding, condition, relations):
            joined = None if condition is None else compile_join(condition, wiring)
            return bound_test(relations, joined, wiring.slots[binding], wiring)
        case Compared():
            return compile_compared(leaf, wiring)
        case Among():
            return compile_among(leaf, wiring)
        case _:
            raise AssertionError("predicates and the root are plain")


def _plain(leaf: Leaf, wiring: Wiring) -> Ask:
    """A condition that the masks and counts of the trace decide."""
    decide = compile_condition(leaf, wiring.numbers)

    def plain(scene: Scene) -> Truth:
        answer = decide(scene.true, scene.maybe, scene.complete, scene.view)
        if answer is not None:
            return int(answer)
        if scene.complete:
            return REDACTED
        closed = decide(scene.true, scene.maybe, True, scene.view)
        return OPEN if closed is not None else OPEN | REDACTED

    return plain


def _remembered(ask: Ask) -> Ask:
    """Ask once a judgement what depends on no binding."""

    def remembered(scene: Scene) -> Truth:
        answer = scene.memo.get(remembered)
        if answer is None:
            answer = scene.memo[remembered] = ask(scene)
        return answer

    return remembered


class Choice(NamedTuple):
    """How a clause stands, and the spans of all bindings, by slot."""

    answer: Truth
    bound: tuple[KeptSpan | None, ...]


# -- combinations ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Level:
    """One binding: its slot, its spans, and what is asked once it is there.

    step: it is made in a sequence, which asks itself whether the span fulfils the step.
    """

    slot: int
    candidates: Callable[[Scene], Iterable[Member]]
    answer: Callable[[Scene, Member], Truth]
    unseen: Ask
    step: bool = False
    asks: list[Ask] = field(default_factory=list)


class Clause:
    """A clause, ready to be tried on every combination of the spans that it binds."""

    def __init__(self, condition: Condition, wiring: Wiring) -> None:
        self._first: list[Ask] = []
        self._levels: list[_Level] = []
        conjuncts = condition.items if isinstance(condition, Every) else (condition,)
        ready: dict[str, int] = {}
        for conjunct in conjuncts:
            self._bind(conjunct, ready, wiring)
        for conjunct in conjuncts:
            self._place(conjunct, ready, wiring)
        self.binds = bool(self._levels)

    def _bind(self, conjunct: Condition, ready: dict[str, int], wiring: Wiring) -> None:
        levels: list[_Level] = []
        if isinstance(conjunct, Found) and conjunct.term.name:
            levels = [_level_of(conjunct.term, wiring)]
        elif isinstance(conjunct, Ordered):
            levels = _levels_of(conjunct, wiring)
        for name, level in zip(names_in_condition(conjunct), levels, strict=True):
            self._levels.append(level)
            ready[name] = len(self._levels)

    def _place(self, conjunct: Condition, ready: dict[str, int], wiring: Wiring) -> None:
        """Put a condition where the last of its bindings is made."""
        if isinstance(conjunct, Found) and conjunct.term.name:
            return
        leaves = leaves_of(conjunct)
        needed = {name for leaf in leaves for name in (*bindings_of(leaf), *names_in(leaf))}
        after = max((ready.get(name, 0) for name in needed), default=0)
        asks = self._levels[after - 1].asks if after else self._first
        asks.append(compile_ask(conjunct, wiring))

    def some(self, scene: Scene) -> Truth:
        """Return whether the clause is true for some combination of what it binds."""
        answer = NO

        def visit(one: Truth) -> bool:
            nonlocal answer
            answer = either(answer, one)
            return answer == YES

        self.each(scene, visit)
        return answer

    def best(self, scene: Scene) -> Choice:
        """Return how the clause stands, and a choice of what it binds that shows it."""
        found: Choice | None = None
        answer = NO

        def visit(one: Truth) -> bool:
            nonlocal found, answer
            answer = either(answer, one)
            if found is None or (one == YES and found.answer != YES):
                found = Choice(one, tuple(scene.bound))
            return answer == YES

        try:
            self.each(scene, visit)
        except OutOfSteps:
            answer = either(answer, STEPS)
        bound = found.bound if found is not None else self.nearest(scene)
        return Choice(answer, bound)

    def nearest(self, scene: Scene) -> tuple[KeptSpan | None, ...]:
        """Bind what can be bound where no combination makes the clause true."""
        for level in self._levels:
            scene.bound[level.slot] = None
        try:
            for level in self._levels:
                members = level.candidates(scene)
                fit = (one for one in members if level.answer(scene, one) != NO)
                member = next(iter(fit), None)
                scene.bound[level.slot] = None if member is None else member.span
        except OutOfSteps:
            pass
        return tuple(scene.bound)

    def each(self, scene: Scene, visit: Visit) -> None:
        """Visit every combination for which the clause is not false."""
        self._try(scene, 0, _asked(self._first, scene, YES), visit)

    def _try(self, scene: Scene, at: int, sofar: Truth, visit: Visit) -> bool:
        if sofar == NO:
            return False
        if at == len(self._levels):
            return visit(sofar)
        level = self._levels[at]
        all_unseen = at > 0 and scene.bound[self._levels[at - 1].slot] is None
        if scene.complete or not all_unseen:
            for member in level.candidates(scene):
                answer = level.answer(scene, member)
                if answer == NO:
                    continue
                scene.bound[level.slot] = member.span
                scene.doubts[level.slot] = answer
                joined = sofar if level.step else both(sofar, answer)
                answer = _asked(level.asks, scene, joined)
                if self._try(scene, at + 1, answer, visit):
                    return True
        if scene.complete or at == 0 or all_unseen:
            return self._try_unseen(scene, at, sofar, visit)
        return False

    def _try_unseen(self, scene: Scene, at: int, sofar: Truth, visit: Visit) -> bool:
        level = self._levels[at]
        answer = level.unseen(scene)
        if answer == NO:
            return False
        scene.bound[level.slot] = None
        answer = _asked(level.asks, scene, both(sofar, answer))
        return self._try(scene, at + 1, answer, visit)


def _asked(asks: Iterable[Ask], scene: Scene, sofar: Truth) -> Truth:
    for ask in asks:
        if sofar == NO:
            break
        sofar = both(sofar, ask(scene))
    return sofar


def names_in_condition(condition: Condition) -> list[str]:
    """Return the bindings that a conjunct makes, in the order written."""
    return [name for leaf in leaves_of(condition) for name in names_in(leaf)]


def _level_of(term: Term, wiring: Wiring) -> _Level:
    return _level(term, compile_term(term, wiring), wiring)


def _level(term: Term, test: TermTest, wiring: Wiring) -> _Level:
    slot = wiring.slots[term.name]
    candidates = test.candidates
    if any(relation.word == "ancestor" for relation in term.relations):
        candidates = lambda scene: sorted(test.candidates(scene), key=_place)  # noqa: E731
    return _Level(slot, candidates, test.answer, test.unseen)


def _place(member: Member) -> tuple[int, bytes, int]:
    return member.span.place


def _levels_of(ordered: Ordered, wiring: Wiring) -> list[_Level]:
    """Return the levels of the named steps of a sequence.

    A named step comes after the named one before it; and it may come until the window is over.
    """
    whole = SequenceTest(ordered, wiring)
    levels = []
    previous = ""
    for at, term in enumerate(ordered.steps):
        if not term.name:
            continue
        implied = (Related("after", previous),) if previous else ()
        level = _level(term, compile_term(term, wiring, implied=implied), wiring)
        level.step = True
        if at:
            level.unseen = _either((level.unseen, whole.open_window))
        levels.append(level)
        previous = term.name
    return levels
