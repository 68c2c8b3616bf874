"""One rule in front of one trace: what a judgement binds, remembers and counts while it lasts."""

from __future__ import annotations

from typing import Final

from dsl.ancestry import Ancestry
from dsl.structure import FOR_EVER, KeptSpan, TraceStructure
from dsl.tables import Table
from dsl.truth import OPEN, WINDOW, YES, Truth
from dsl.verdict import TraceView

MAX_STEPS: Final = 200_000
"""Spans, combinations and hops that one judgement may look at: a fraction of a second."""
MAX_COMBINATIONS: Final = 10_000
"""Combinations of bound spans that one judgement may judge."""


class OutOfSteps(Exception):
    """Leaves a judgement whose steps are used up."""


class OutOfCombinations(Exception):
    """Leaves a judgement with too many combinations of bound spans."""


class Scene:
    """A judgement under way.

    bound: the span of every binding by slot; None: one that was not seen. doubts: whether it
    fulfils its own term, for the steps of sequences. absent: what an unseen span answers to every
    question about it. due_ns: when the next window that was found open is
    over.
    """

    __slots__ = (
        "_ancestry",
        "_tables",
        "absent",
        "bound",
        "clock_skew_ns",
        "combinations",
        "complete",
        "doubts",
        "due_ns",
        "maybe",
        "memo",
        "steps",
        "structure",
        "true",
        "view",
    )

    def __init__(self, view: TraceView, slots: int, *, complete: bool) -> None:
        structure = view.structure
        if structure is None:
            raise ValueError("the rule looks at spans one by one, and none were kept")
        self.view = view
        self.structure: TraceStructure = structure
        self.true = view.true
        self.maybe = view.maybe
        self.complete = complete
        self.absent: Truth = WINDOW if complete else OPEN
        self.bound: list[KeptSpan | None] = [None] * slots
        self.doubts: list[Truth] = [YES] * slots
        self.clock_skew_ns = structure.clock_skew_ns
        self.steps = MAX_STEPS
        self.combinations = MAX_COMBINATIONS
        self.due_ns = FOR_EVER
        self.memo: dict[object, Truth] = {}
        self._tables: dict[int, Table] = {}
        self._ancestry: Ancestry | None = None

    def step(self, count: int = 1) -> None:
        """Count steps. Raises OutOfSteps."""
        self.steps -= count
        if self.steps < 0:
            raise OutOfSteps

    def combine(self) -> None:
        """Count a combination. Raises OutOfCombinations."""
        self.combinations -= 1
        if self.combinations < 0:
            raise OutOfCombinations

    def table(self, number: int) -> Table:
        """Return the spans of a predicate. They count as looked at, whoever sorted them."""
        found = self._tables.get(number)
        if found is None:
            structure = self.structure
            if structure.table is None:
                found = Table(structure.members.get(number, ()))
            else:
                found = structure.table(number)
            self._tables[number] = found
            self.step(len(found.members))
        return found

    @property
    def ancestry(self) -> Ancestry:
        """Who is above whom."""
        if self._ancestry is None:
            shared = self.structure.ancestry
            self._ancestry = shared() if shared else Ancestry(self.structure.links)
            self.step(len(self.structure.links))
        return self._ancestry

    def open_window(self, span: KeptSpan, within_ns: int) -> Truth:
        """Return WINDOW while what must follow a span within a time can still come, else 0."""
        structure = self.structure
        over_ns = max(span.end_ns, span.arrived_ns) + within_ns + structure.settle_ns
        if structure.now_ns >= over_ns:
            return 0
        self.due_ns = min(self.due_ns, over_ns)
        return WINDOW
