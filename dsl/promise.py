"""Judging rules that look at spans one by one: bindings, relations, sequences, aggregates.

Every combination of bound spans for which `when` is true is judged on its own; the promise is
broken if it is for one of them. Rules that ask for nothing of that kind are judged by
dsl.compiler, much faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dsl.clauses import Clause
from dsl.joins import Wiring
from dsl.plan import Plan
from dsl.scene import OutOfCombinations, OutOfSteps, Scene
from dsl.structure import FOR_EVER, KeptSpan
from dsl.truth import BINDINGS, NO, STEPS, YES, Truth, both, either, opposite, reasons_of
from dsl.verdict import BoundSpan, BrokenClause, Judgement, TraceView, Verdict

MAX_SHOWN = 20
"""Violated combinations that a judgement lists; it counts them all."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One combination that shows how a promise stands: the spans of all bindings, by slot."""

    when: Truth
    bound: tuple[KeptSpan | None, ...]


@dataclass(slots=True)
class _Tally:
    """How a promise stands over the combinations seen so far.

    shown: the violated combinations that are listed. telling: the combination that tells most,
    with its rank (violated, then in doubt, then any).
    """

    when: Truth = NO
    broken: Truth = NO
    clause: BrokenClause = ""
    total: int = 0
    shown: list[tuple[KeptSpan | None, ...]] = field(default_factory=list)
    telling: tuple[KeptSpan | None, ...] | None = None
    rank: int = 0

    def doubt(self, reason: Truth) -> None:
        """Note that combinations were left out: what was found stands, the rest is unknown."""
        self.when = either(self.when, reason)
        self.broken = either(self.broken, reason)


@dataclass(frozen=True, slots=True)
class PromiseTest:
    """The clauses of a promise, ready to ask."""

    when: Clause
    always: Clause | None
    never: Clause | None
    bindings: tuple[str, ...]
    slots: int

    def judge(self, view: TraceView) -> Judgement:
        """Judge a trace."""
        scene = Scene(view, self.slots, complete=view.complete)
        tally = self._tallied(scene)
        due_ns = scene.due_ns if scene.due_ns < FOR_EVER else None
        if tally.when == NO:
            return Judgement(Verdict.NOT_APPLICABLE)
        if tally.broken == YES:
            return self._violated(tally, view, due_ns)
        if tally.when == YES and tally.broken == NO:
            return Judgement(Verdict.SATISFIED)
        reasons = reasons_of((tally.when | tally.broken) & ~YES, view)
        return Judgement(Verdict.INCONCLUSIVE, reasons, due_ns=due_ns)

    def violation(self, view: TraceView) -> Judgement | None:
        """Judge a trace as `judge` does; None unless the promise is broken."""
        scene = Scene(view, self.slots, complete=view.complete)
        tally = self._tallied(scene)
        if tally.when == NO or tally.broken != YES:
            return None
        return self._violated(tally, view, scene.due_ns if scene.due_ns < FOR_EVER else None)

    def exemplar(self, scene: Scene) -> Exemplar:
        """Return the combination that best shows how a promise stands."""
        tally = self._tallied(scene)
        if tally.telling is not None:
            return Exemplar(tally.when, tally.telling)
        return Exemplar(tally.when, self.when.nearest(scene))

    def _violated(self, tally: _Tally, view: TraceView, due_ns: int | None) -> Judgement:
        absence = view.complete and (
            self._tallied(Scene(view, self.slots, complete=False)).broken != YES
        )
        return Judgement(
            Verdict.VIOLATED,
            broken=tally.clause,
            rests_on_absence=absence,
            bindings=tuple(map(self._named, tally.shown)),
            bindings_total=tally.total,
            due_ns=due_ns,
        )

    def _named(self, spans: tuple[KeptSpan | None, ...]) -> tuple[BoundSpan, ...]:
        pairs = zip(self.bindings, spans, strict=True)
        return tuple(BoundSpan(name, span.span_id) for name, span in pairs if span is not None)

    def _tallied(self, scene: Scene) -> _Tally:
        tally = _Tally()

        def visit(when: Truth) -> bool:
            scene.combine()
            self._take(scene, when, tally)
            return False

        try:
            self.when.each(scene, visit)
        except OutOfCombinations:
            tally.doubt(BINDINGS)
        except OutOfSteps:
            tally.doubt(STEPS)
        return tally

    def _take(self, scene: Scene, when: Truth, tally: _Tally) -> None:
        """Judge the combination that is bound."""
        tally.when = either(tally.when, when)
        kept = YES if self.always is None else self.always.some(scene)
        happened = NO if self.never is None else self.never.some(scene)
        broken = both(when, either(opposite(kept), happened))
        if broken == YES and self.bindings:
            tally.total += 1
            if len(tally.shown) < MAX_SHOWN:
                count = len(self.bindings)
                tally.shown.append(tuple(scene.bound[:count]))
        if broken == YES and tally.broken != YES:
            tally.clause = "always" if kept == NO else "never"
        tally.broken = either(tally.broken, broken)
        rank = 3 if broken == YES else 2 if broken > YES and None not in scene.bound else 1
        if rank > tally.rank:
            tally.rank, tally.telling = rank, tuple(scene.bound)


def compile_promise(plan: Plan, wiring: Wiring) -> PromiseTest:
    """Return the test of a promise whose bindings have the first slots, in the order written."""
    clauses = {word: Clause(condition, wiring) for word, condition in plan.clauses}
    return PromiseTest(
        clauses["when"],
        clauses.get("always"),
        clauses.get("never"),
        plan.bindings,
        len(wiring.slots),
    )
