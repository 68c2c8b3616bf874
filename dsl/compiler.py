"""A plan as closures: the function that judges a trace.

Nothing of the rule's text is executed; closures over bit masks and numbers are put together from
the few shapes below. Every condition is a function of (true, maybe, complete, view) with the
answers True, False and None (unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Final, TypeAlias

from dsl.plan import (
    Among,
    Compared,
    Condition,
    Counted,
    Either,
    Every,
    Exists,
    Fixed,
    Number,
    Opposite,
    Plan,
    Reader,
    RootAsk,
    Scaled,
    Total,
    TraceDuration,
)
from dsl.predicates import check_of
from dsl.ranges import (
    COMPARE,
    NOTHING,
    PRODUCTS,
    SUMS,
    Amount,
    Answer,
    Combine,
    Nothing,
    Range,
    is_range,
    same,
)
from dsl.values import BETWEEN, MISSING
from dsl.verdict import Judgement, Reason, TraceView, Verdict

Decide: TypeAlias = Callable[[int, int, bool, TraceView], Answer]
Measure: TypeAlias = Callable[[bool, TraceView], "Range | Nothing | None"]
"""(complete, view) -> a range, NOTHING, or None if nothing can be said."""


@dataclass(frozen=True, slots=True)
class LinkedRule:
    """A rule bound to the predicate numbers of one tenant.

    bits_only: the verdict depends on view.true, maybe, complete (and in_doubt) alone.
    judge: TraceView -> Judgement; pure, a microsecond or two.
    violation: the same judgement if the promise is broken, else None; of a trace that is still
    open nobody asks why nothing can be said yet, and that takes longest to find.
    """

    bits_only: bool
    judge: Callable[[TraceView], Judgement]
    violation: Callable[[TraceView], Judgement | None]


def link(plan: Plan, numbers: Sequence[int]) -> LinkedRule:
    """Return the judging function of a plan whose test i has dictionary number numbers[i]."""
    judge, violation = _judge(plan, numbers)
    return LinkedRule(bits_only=plan.bits_only, judge=judge, violation=violation)


NOT_APPLICABLE: Final = Judgement(Verdict.NOT_APPLICABLE)
SATISFIED: Final = Judgement(Verdict.SATISFIED)
_VIOLATED: Final = {
    (clause, absent): Judgement(Verdict.VIOLATED, (), clause, absent)
    for clause in ("always", "never")
    for absent in (False, True)
}


def _judge(
    plan: Plan, numbers: Sequence[int]
) -> tuple[Callable[[TraceView], Judgement], Callable[[TraceView], Judgement | None]]:
    when = compile_condition(plan.when, numbers)
    always = compile_condition(plan.always, numbers) if plan.always is not None else _yes
    never = compile_condition(plan.never, numbers) if plan.never is not None else _no
    always_broken, never_broken = _VIOLATED["always", False], _VIOLATED["never", False]
    by_absence = {
        id(always_broken): _VIOLATED["always", True],
        id(never_broken): _VIOLATED["never", True],
    }

    def judge_as(true: int, maybe: int, complete: bool, view: TraceView) -> Judgement | None:
        applies = when(true, maybe, complete, view)
        if applies is False:
            return NOT_APPLICABLE
        if applies is None:
            return None
        kept = always(true, maybe, complete, view)
        if kept is False:
            return always_broken
        happened = never(true, maybe, complete, view)
        if happened is True:
            return never_broken
        return SATISFIED if kept is True and happened is False else None

    doubts = _doubts(judge_as)

    def broken(judgement: Judgement, view: TraceView) -> Judgement:
        if view.complete:
            again = judge_as(view.true, view.maybe, False, view)
            if again is None or not again.broken:
                return by_absence[id(judgement)]
        return judgement

    def judge(view: TraceView) -> Judgement:
        judgement = judge_as(view.true, view.maybe, view.complete, view)
        if judgement is None:
            return doubts(view)
        return broken(judgement, view) if judgement.broken else judgement

    def violation(view: TraceView) -> Judgement | None:
        judgement = judge_as(view.true, view.maybe, view.complete, view)
        if judgement is None or not judgement.broken:
            return None
        return broken(judgement, view)

    return judge, violation


def _yes(_true: int, _maybe: int, _complete: bool, _view: TraceView) -> Answer:
    return True


def _no(_true: int, _maybe: int, _complete: bool, _view: TraceView) -> Answer:
    return False


class _Certain:
    """A view in which what is doubtful did not happen."""

    def __init__(self, view: TraceView) -> None:
        self.true = view.true
        self.maybe = 0
        self.complete = view.complete
        self.in_doubt = view.in_doubt
        self.extent_ns = view.extent_ns
        self.root_name = view.root_name
        self.root_service = view.root_service
        self.structure = view.structure
        self._count = view.count

    def count(self, number: int, /) -> tuple[int, int]:
        certain, _ = self._count(number)
        return certain, certain


class _Closed(_Certain):
    """A view in which every span was seen, doubtful ones included."""

    def __init__(self, view: TraceView) -> None:
        super().__init__(view)
        self.maybe = view.maybe
        self.complete = True

    def count(self, number: int, /) -> tuple[int, int]:
        return self._count(number)


def _doubts(
    judge_as: Callable[[int, int, bool, TraceView], Judgement | None],
) -> Callable[[TraceView], Judgement]:
    """Return the function that says why a verdict is inconclusive."""
    known: dict[tuple[Reason, ...], Judgement] = {}

    def inconclusive(reasons: set[Reason] | frozenset[Reason]) -> Judgement:
        ordered = tuple(sorted(reasons))
        if ordered not in known:
            known[ordered] = Judgement(Verdict.INCONCLUSIVE, ordered)
        return known[ordered]

    def doubts(view: TraceView) -> Judgement:
        if view.complete:
            return inconclusive({Reason.REDACTED})
        open_reasons = view.in_doubt or frozenset({Reason.STILL_OPEN})
        closed, certain = _Closed(view), _Certain(view)
        if judge_as(view.true, view.maybe, True, closed) is not None:
            return inconclusive(open_reasons)
        if judge_as(view.true, 0, False, certain) is not None:
            return inconclusive({Reason.REDACTED})
        return inconclusive(open_reasons | {Reason.REDACTED})

    return doubts


# -- conditions ------------------------------------------------------------------------------------


def compile_condition(condition: Condition, numbers: Sequence[int]) -> Decide:
    """Return the function of a condition."""
    match condition:
        case Exists(predicate):
            return _exists(1 << numbers[predicate])
        case Every(items):
            return _every(items, numbers)
        case Either(items):
            return _either(items, numbers)
        case Opposite(item):
            return _opposite(compile_condition(item, numbers))
        case Compared():
            return _compared(condition, numbers)
        case Among(left, items):
            return _among(compile_number(left, numbers), items)
        case RootAsk():
            return _root_ask(condition)
        case _:
            raise AssertionError("judged by dsl.promise")


def _exists(mask: int) -> Decide:
    def exists(true: int, maybe: int, complete: bool, _view: TraceView) -> Answer:
        if true & mask:
            return True
        return None if maybe & mask or not complete else False

    return exists


def _every(items: tuple[Condition, ...], numbers: Sequence[int]) -> Decide:
    decides = tuple(compile_condition(item, numbers) for item in items)
    if len(decides) == 2:
        first, second = decides

        def both(true: int, maybe: int, complete: bool, view: TraceView) -> Answer:
            one = first(true, maybe, complete, view)
            if one is False:
                return False
            other = second(true, maybe, complete, view)
            return other if one is True or other is False else None

        return both

    def every(true: int, maybe: int, complete: bool, view: TraceView) -> Answer:
        answer: Answer = True
        for decide in decides:
            one = decide(true, maybe, complete, view)
            if one is False:
                return False
            if one is None:
                answer = None
        return answer

    return every


def _either(items: tuple[Condition, ...], numbers: Sequence[int]) -> Decide:
    decides = tuple(compile_condition(item, numbers) for item in items)

    def either(true: int, maybe: int, complete: bool, view: TraceView) -> Answer:
        answer: Answer = False
        for decide in decides:
            one = decide(true, maybe, complete, view)
            if one is True:
                return True
            if one is None:
                answer = None
        return answer

    return either


def _opposite(decide: Decide) -> Decide:
    def opposite(true: int, maybe: int, complete: bool, view: TraceView) -> Answer:
        answer = decide(true, maybe, complete, view)
        return None if answer is None else not answer

    return opposite


def _root_ask(condition: RootAsk) -> Decide:
    """A root that was seen can still be replaced by an earlier one while spans are missing."""
    ask = condition.ask
    left = _root_reader(ask.reader)
    if isinstance(ask.operand, Reader):
        right, between = _root_reader(ask.operand), BETWEEN[ask.op]

        def check(view: TraceView) -> bool:
            return between(left(view), right(view))
    else:
        asked = check_of(ask.op, ask.operand)

        def check(view: TraceView) -> bool:
            return asked(left(view))

    def root_ask(_true: int, _maybe: int, complete: bool, view: TraceView) -> Answer:
        if view.root_name is None:
            return False if complete else None
        return check(view) if complete or view.complete else None

    return root_ask


def _root_reader(reader: Reader) -> Callable[[TraceView], object]:
    if reader.key == "root.name":
        return lambda view: view.root_name
    return lambda view: view.root_service or MISSING


# -- comparisons of numbers ------------------------------------------------------------------------


def _compared(condition: Compared, numbers: Sequence[int]) -> Decide:
    op, left, right = condition.op, condition.left, condition.right
    if isinstance(left, Counted) and isinstance(right, Fixed) and right.unit == "number":
        return _count_against(op, numbers[left.predicate], right.value)
    one, other = compile_number(left, numbers), compile_number(right, numbers)
    between = COMPARE[op]

    def compared(_true: int, _maybe: int, complete: bool, view: TraceView) -> Answer:
        a, b = one(complete, view), other(complete, view)
        if a is NOTHING or b is NOTHING:
            return False
        if a is None or b is None:
            return None
        assert is_range(a)
        assert is_range(b)
        return between(a, b)

    return compared


def _count_against(op: str, number: int, limit: Amount) -> Decide:
    between = COMPARE[op]
    bound = (limit, limit)

    def count_against(_true: int, _maybe: int, complete: bool, view: TraceView) -> Answer:
        certain, possible = view.count(number)
        return between((certain, possible if complete else inf), bound)

    return count_against


def _among(measure: Measure, items: tuple[int | Fraction, ...]) -> Decide:
    def among(_true: int, _maybe: int, complete: bool, view: TraceView) -> Answer:
        found = measure(complete, view)
        if isinstance(found, Nothing):
            return False
        if found is None:
            return None
        answers = [same(found, (item, item)) for item in items]
        return True if True in answers else None if None in answers else False

    return among


# -- numbers ---------------------------------------------------------------------------------------


def compile_number(number: Number, numbers: Sequence[int]) -> Measure:
    """Return the function that measures a number of a trace as a range."""
    match number:
        case Fixed(value, _):
            fixed = (value, value)
            return lambda _complete, _view: fixed
        case Counted(predicate):
            return _count(numbers[predicate])
        case TraceDuration():
            return _trace_duration
        case Total(signs, items, _):
            return _folded(signs, items, numbers, SUMS)
        case Scaled(signs, items, _):
            return _folded(signs, items, numbers, PRODUCTS)
        case _:
            raise AssertionError("measured by dsl.measures")


def _count(number: int) -> Measure:
    def count(complete: bool, view: TraceView) -> Range:
        certain, possible = view.count(number)
        return certain, possible if complete else inf

    return count


def _trace_duration(complete: bool, view: TraceView) -> Range | Nothing | None:
    extent = view.extent_ns
    if extent is None:
        return NOTHING if complete else None
    length = extent[1] - extent[0]
    return length, length if complete else inf


def _folded(
    signs: tuple[str, ...],
    items: tuple[Number, ...],
    numbers: Sequence[int],
    combine: dict[str, Combine],
) -> Measure:
    first = compile_number(items[0], numbers)
    if signs[0] == "-":
        first = _negative(first)
    rest = [
        (combine[sign], compile_number(item, numbers))
        for sign, item in zip(signs[1:], items[1:], strict=True)
    ]

    def folded(complete: bool, view: TraceView) -> Range | Nothing | None:
        total = first(complete, view)
        unknown = total is None
        if isinstance(total, Nothing):
            return total
        for join, measure in rest:
            part = measure(complete, view)
            if isinstance(part, Nothing):
                return part
            if total is None or part is None:
                unknown = True
                continue
            joined = join(total, part)
            if isinstance(joined, Nothing):
                return joined
            total = joined
            unknown = unknown or total is None
        return None if unknown else total

    return folded


def _negative(measure: Measure) -> Measure:
    def negative(complete: bool, view: TraceView) -> Range | Nothing | None:
        found = measure(complete, view)
        if found is None or isinstance(found, Nothing):
            return found
        return -found[1], -found[0]

    return negative
