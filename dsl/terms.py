"""Terms: the spans of a predicate that are to other spans what the rule says.

Every candidate is asked alone; candidates come from the best index that the term allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from dsl.joins import Wiring, compile_join, equality_in, read_bound
from dsl.plan import Related, Term
from dsl.relations import Candidates, Check, compile_candidates, compile_relation
from dsl.scene import Scene
from dsl.structure import KeptSpan, Member
from dsl.tables import Table
from dsl.truth import NO, REDACTED, YES, Truth, either

_BEST_FIRST: Final = (
    *("parent", "child", "sibling", "ancestor"),
    *("", "descendant", "during", "after", "before"),
)
"""Relations by how few spans they leave to be asked; "" is an attribute joined by `==`."""


@dataclass(frozen=True, slots=True)
class TermTest:
    """A term, ready to ask.

    candidates: members worth asking, in order. answer: what one of them answers. unseen: what a
    span that was not seen would answer; 0 (NO) where none can come any more.
    """

    candidates: Callable[[Scene], Iterable[Member]]
    answer: Callable[[Scene, Member], Truth]
    unseen: Callable[[Scene], Truth]


def compile_term(term: Term, wiring: Wiring, *, implied: tuple[Related, ...] = ()) -> TermTest:
    """Return the test of a term.

    implied: relations that other conditions make sure of: they say where to look and how long to
    wait, and are not asked again.
    """
    checks = [compile_relation(relation, wiring.slots) for relation in term.relations]
    if term.joined is not None:
        checks.append(compile_join(term.joined, wiring))
    known = (*term.relations, *implied)
    return TermTest(
        _candidates(term, known, wiring), _answer(tuple(checks)), _unseen(known, wiring)
    )


def found(test: TermTest) -> Callable[[Scene], Truth]:
    """Return the question whether some span fulfils a term."""

    def some(scene: Scene) -> Truth:
        answer = test.unseen(scene)
        for member in test.candidates(scene):
            answer = either(answer, test.answer(scene, member))
            if answer == YES:
                break
        return answer

    return some


def _answer(checks: tuple[Check, ...]) -> Callable[[Scene, Member], Truth]:
    effort = max(1, len(checks))

    def answer(scene: Scene, member: Member) -> Truth:
        scene.step(effort)
        doubts = 0 if member.certain else REDACTED
        for check in checks:
            one = check(scene, member.span)
            if one == NO:
                return NO
            if one != YES:
                doubts |= one
        return doubts or YES

    return answer


def _candidates(
    term: Term, relations: tuple[Related, ...], wiring: Wiring
) -> Callable[[Scene], Iterable[Member]]:
    number = wiring.numbers[term.predicate]
    looks: dict[str, Candidates] = {}
    for relation in relations:
        looks.setdefault(relation.word, compile_candidates(relation, wiring.slots))
    joined = _joined_candidates(term, wiring)
    if joined is not None:
        looks[""] = joined
    best = [looks[word] for word in _BEST_FIRST if word in looks][:1]
    if not best:
        return lambda scene: scene.table(number).members
    look = best[0]

    def candidates(scene: Scene) -> Iterable[Member]:
        table = scene.table(number)
        found = look(scene, table)
        return table.members if found is None else found

    return candidates


def _joined_candidates(term: Term, wiring: Wiring) -> Candidates | None:
    pair = equality_in(term.joined)
    if pair is None:
        return None
    capture, read = wiring.capture(pair[0]), read_bound(pair[1], wiring)
    slot = wiring.slots[pair[1].of]

    def candidates(scene: Scene, table: Table) -> Iterable[Member] | None:
        if scene.bound[slot] is None:
            return None
        return table.with_value(capture, read(scene))

    return candidates


def _unseen(relations: tuple[Related, ...], wiring: Wiring) -> Callable[[Scene], Truth]:
    """A span can come until the trace is closed, or until the last of its windows is over."""
    windows = [
        (wiring.slots[relation.binding], relation.within_ns)
        for relation in relations
        if relation.word == "after" and relation.within_ns is not None
    ]

    def unseen(scene: Scene) -> Truth:
        if not scene.complete:
            return scene.absent
        answer = NO
        for slot, within_ns in windows:
            other = scene.bound[slot]
            one = scene.absent if other is None else scene.open_window(other, within_ns)
            if one == NO:
                return NO
            answer |= one
        return answer

    return unseen


def bound_test(
    relations: tuple[Related, ...], joined: Check | None, slot: int, wiring: Wiring
) -> Callable[[Scene], Truth]:
    """Return the question to the span of a binding: `q.where(…)`, `q child of r`."""
    checks = [compile_relation(relation, wiring.slots) for relation in relations]
    answer = _answer(tuple([*checks, joined] if joined is not None else checks))

    def held(scene: Scene) -> Truth:
        span: KeptSpan | None = scene.bound[slot]
        return scene.absent if span is None else answer(scene, Member(span))

    return held
