"""Sequences: is there a choice of spans, one for each step, each starting after the one before?

The steps are gone through once, from the first to the last: what matters of a span is only whether
some choice leads to it. With `within`, every span of the first step is a beginning of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from dsl.joins import Wiring
from dsl.plan import Ordered, Term
from dsl.relations import is_close, is_first
from dsl.scene import Scene
from dsl.structure import FOR_EVER, KeptSpan
from dsl.terms import TermTest, compile_term
from dsl.truth import NO, YES, Truth, both, either

Place: TypeAlias = tuple[int, bytes, int]


class _Reached(NamedTuple):
    """A span that a step may be, how surely, and the span of the step before that leads to it."""

    span: KeptSpan
    answer: Truth
    before: _Reached | None = None
    tied: frozenset[Place] = frozenset()
    """Spans gone through that start so late that the order alone would not keep them apart."""


class _Step(NamedTuple):
    """A step: the spans of a term, or of a binding (slot)."""

    test: TermTest
    slot: int | None


class SequenceTest:
    """One `A then B then C within D`, ready to ask."""

    def __init__(self, ordered: Ordered, wiring: Wiring) -> None:
        self._steps = [_step(term, wiring) for term in ordered.steps]
        self._within_ns = ordered.within_ns
        self._free = [step.slot is None for step in self._steps]

    def answer(self, scene: Scene) -> Truth:
        """Return whether some choice of spans fits; named steps are the bound spans."""
        unseen = self.unseen(scene)
        if any(step.slot is not None and scene.bound[step.slot] is None for step in self._steps):
            return scene.absent
        spans = [_spans_of(step, scene) for step in self._steps]
        if not all(spans):
            return unseen
        if self._within_ns is None:
            return either(unseen, _ways(scene, spans, FOR_EVER))
        answer = unseen
        for first in spans[0]:
            last_ns = first.span.end_ns + self._within_ns + len(spans) * scene.clock_skew_ns
            answer = either(answer, self._from(scene, first, spans[1:], last_ns))
            if answer == YES:
                break
        return answer

    def choice(self, scene: Scene) -> list[KeptSpan]:
        """Return a choice of spans that makes the sequence true, else one in doubt, else none."""
        spans = [_spans_of(step, scene) for step in self._steps]
        if not all(spans):
            return []
        within_ns = self._within_ns
        firsts = [spans[0]] if within_ns is None else [[one] for one in spans[0]]
        ways = [last for first in firsts for last in _walk(scene, first, spans[1:], FOR_EVER)]
        if within_ns is not None:
            ways = [one for one in ways if is_close(scene, _chain(one)[0], one.span, within_ns)]
        best = next((one for one in ways if one.answer == YES), ways[0] if ways else None)
        return [] if best is None else _chain(best)

    def _from(
        self, scene: Scene, first: _Reached, rest: list[list[_Reached]], last_ns: int
    ) -> Truth:
        assert self._within_ns is not None
        reached = _walk(scene, [first], rest, last_ns)
        answer = NO
        for last in reached:
            near = is_close(scene, first.span, last.span, self._within_ns)
            answer = either(answer, both(last.answer, near))
            if answer == YES:
                break
        return answer

    def unseen(self, scene: Scene) -> Truth:
        """Return what spans that were not seen could make of it; 0 (NO) if none can come."""
        if not scene.complete:
            return scene.absent if any(self._free) else NO
        return self.open_window(scene) if any(self._free[1:]) else NO

    def open_window(self, scene: Scene) -> Truth:
        """Return whether the window after some first step is still open."""
        if self._within_ns is None or not scene.complete:
            return NO
        answer = NO
        for first in _spans_of(self._steps[0], scene):
            answer |= scene.open_window(first.span, self._within_ns)
        return answer


def _step(term: Term, wiring: Wiring) -> _Step:
    slot = wiring.slots[term.name] if term.name else None
    return _Step(compile_term(term, wiring), slot)


def _chain(last: _Reached) -> list[KeptSpan]:
    """Return the spans that lead to one, from the first."""
    found: list[KeptSpan] = []
    at: _Reached | None = last
    while at is not None:
        found.insert(0, at.span)
        at = at.before
    return found


def _spans_of(step: _Step, scene: Scene) -> list[_Reached]:
    """Return the spans that a step may be, by start."""
    if step.slot is not None:
        span = scene.bound[step.slot]
        return [] if span is None else [_Reached(span, scene.doubts[step.slot])]
    found = []
    for member in step.test.candidates(scene):
        answer = step.test.answer(scene, member)
        if answer != NO:
            found.append(_Reached(member.span, answer))
    return found


def _ways(scene: Scene, steps: Sequence[list[_Reached]], last_ns: int) -> Truth:
    answer = NO
    for last in _walk(scene, steps[0], steps[1:], last_ns):
        answer = either(answer, last.answer)
    return answer


def _walk(
    scene: Scene, first: list[_Reached], rest: Sequence[list[_Reached]], last_ns: int
) -> list[_Reached]:
    """Return the spans of the last step that some choice leads to, with how surely it does."""
    slack_ns = scene.clock_skew_ns * (len(rest) + 1)
    reached = first
    for spans in rest:
        following: list[_Reached] = []
        for one in spans:
            if one.span.start_ns > last_ns:
                break
            following += _led_to(scene, reached, one, slack_ns)
        reached = following
    return reached


def _led_to(
    scene: Scene, before: list[_Reached], one: _Reached, slack_ns: int
) -> Iterable[_Reached]:
    """Return the ways that lead to a span, one for each set of spans that it must not meet again.

    A way that is sure and leaves none makes all others needless.
    """
    span = one.span
    ways: dict[frozenset[Place], _Reached] = {}
    latest_ns = span.start_ns + scene.clock_skew_ns
    for way in before:
        if way.span.start_ns > latest_ns:
            break
        scene.step()
        if way.span.place == span.place or span.place in way.tied:
            continue
        answer = both(both(way.answer, one.answer), is_first(scene, way.span, span))
        if answer == NO:
            continue
        tied = frozenset(
            place for place in (*way.tied, way.span.place) if place[0] >= span.start_ns - slack_ns
        )
        if answer == YES and not tied:
            return [_Reached(span, YES, way)]
        known = ways.get(tied)
        answer = answer if known is None else either(known.answer, answer)
        ways[tied] = _Reached(span, answer, way, tied)
    return ways.values()


def compile_sequence(ordered: Ordered, wiring: Wiring) -> Callable[[Scene], Truth]:
    """Return the question of a sequence that binds nothing."""
    return SequenceTest(ordered, wiring).answer
