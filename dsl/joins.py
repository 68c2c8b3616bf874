"""Filters that look at other spans, over captured values.

The span itself may be one that was not seen, and so may a bound one: then the answer is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dsl.captures import CaptureKey, items_of, own_reader
from dsl.plan import (
    AllFilters,
    AnyFilter,
    Ask,
    Filter,
    NoFilter,
    Reader,
    SomeOf,
    looks_elsewhere,
)
from dsl.predicates import check_of
from dsl.relations import Check
from dsl.scene import Scene
from dsl.structure import KeptSpan
from dsl.truth import NO, REDACTED, YES, Truth, both, either, known, opposite
from dsl.values import BETWEEN, GONE, MISSING
from dsl.verdict import TraceView


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the closures of one linked rule find things.

    numbers: of the predicates in the tenant's dictionary. captures: number of each capture.
    slots: of the bindings. trace_spans: the predicate that every span fulfils, if one counts them.
    """

    numbers: Sequence[int]
    captures: Mapping[CaptureKey, int]
    slots: Mapping[str, int]
    trace_spans: int | None = None

    def capture(self, key: CaptureKey) -> int:
        """Return the number under which a captured value is kept."""
        return self.captures[key]


class _Unseen:
    """The value of a span that was not seen. Compared with anything it is unknown."""


UNSEEN = _Unseen()
Read: TypeAlias = Callable[[Scene, Any], Any]
"""(scene, span or row) -> a value, MISSING, GONE or UNSEEN."""


def compile_join(condition: Filter, wiring: Wiring) -> Check:
    """Return the question of a filter to a kept span, in view of the bound ones."""
    if not looks_elsewhere(condition):
        return _captured_answer(wiring.capture(condition))
    match condition:
        case Ask():
            return _ask(condition, _reader(condition.reader, wiring), wiring, _reader)
        case SomeOf():
            return _some(condition, wiring)
        case AllFilters(items):
            return _all(tuple(compile_join(item, wiring) for item in items))
        case AnyFilter(items):
            return _any(tuple(compile_join(item, wiring) for item in items))
        case NoFilter(item):
            inner = compile_join(item, wiring)
            return lambda scene, span: opposite(inner(scene, span))


def _captured_answer(number: int) -> Check:
    return lambda _scene, span: known(span.values[number], REDACTED)


def _all(checks: tuple[Check, ...]) -> Check:
    def every(scene: Scene, span: KeptSpan) -> Truth:
        answer = YES
        for check in checks:
            answer = both(answer, check(scene, span))
            if answer == NO:
                break
        return answer

    return every


def _any(checks: tuple[Check, ...]) -> Check:
    def some(scene: Scene, span: KeptSpan) -> Truth:
        answer = NO
        for check in checks:
            answer = either(answer, check(scene, span))
            if answer == YES:
                break
        return answer

    return some


# -- reading ---------------------------------------------------------------------------------------


def read_bound(reader: Reader, wiring: Wiring) -> Callable[[Scene], Any]:
    """Return the function that reads a value off the span of a binding."""
    slot, number = wiring.slots[reader.of], wiring.capture(own_reader(reader))

    def read(scene: Scene) -> Any:
        span = scene.bound[slot]
        return UNSEEN if span is None else span.values[number]

    return read


def _reader(reader: Reader, wiring: Wiring) -> Read:
    if reader.source == "trace":
        return _trace_reader(reader.key, wiring)
    if reader.of:
        bound = read_bound(reader, wiring)
        return lambda scene, _span: bound(scene)
    number = wiring.capture(reader)
    return lambda _scene, span: span.values[number]


def _trace_reader(word: str, wiring: Wiring) -> Read:
    """What is read of the trace is not known before its end."""
    every_span = wiring.trace_spans

    def read(scene: Scene, _place: Any) -> Any:
        if not scene.complete:
            return UNSEEN
        return trace_value(word, scene.view, every_span)

    return read


def trace_value(word: str, view: TraceView, every_span: int | None) -> Any:
    """Return one of the four values of a trace, or MISSING.

    every_span: the number of the predicate that every span fulfils, for `spans`.
    """
    match word:
        case "spans":
            return MISSING if every_span is None else view.count(every_span)[1]
        case "duration":
            extent = view.extent_ns
            return MISSING if extent is None else extent[1] - extent[0]
        case "root.name":
            return MISSING if view.root_name is None else view.root_name
        case _:
            return view.root_service or MISSING


# -- comparing -------------------------------------------------------------------------------------


def _ask(ask: Ask, left: Read, wiring: Wiring, reader_of: Callable[..., Read]) -> Check:
    if isinstance(ask.operand, Reader):
        return _between(ask.op, left, reader_of(ask.operand, wiring))
    check = check_of(ask.op, ask.operand)

    def asked(scene: Scene, place: Any) -> Truth:
        value = left(scene, place)
        if value is UNSEEN:
            return scene.absent
        return REDACTED if value is GONE else int(check(value))

    return asked


def _between(op: str, left: Read, right: Read) -> Check:
    compare = BETWEEN[op]

    def between(scene: Scene, place: Any) -> Truth:
        one, other = left(scene, place), right(scene, place)
        if one is MISSING or other is MISSING:
            return NO
        doubt = REDACTED if one is GONE or other is GONE else 0
        if one is UNSEEN or other is UNSEEN:
            doubt |= scene.absent
        return doubt or int(compare(one, other))

    return between


def _some(some: SomeOf, wiring: Wiring) -> Check:
    """Ask every event (or link), of which the values were captured as rows."""
    items = items_of(some)
    number = wiring.capture(items)
    places = {reader: at for at, reader in enumerate(items.readers)}

    def reader_of(reader: Reader, wiring: Wiring) -> Read:
        if reader.looks_elsewhere:
            return _reader(reader, wiring)
        at = places[reader]
        return lambda _scene, row: row[at]

    check = _over_rows(some.item, wiring, reader_of)

    def one_of_them(scene: Scene, span: KeptSpan) -> Truth:
        rows, dropped = span.values[number]
        answer = REDACTED if dropped else NO
        for row in rows:
            answer = either(answer, check(scene, row))
            if answer == YES:
                break
        return answer

    return one_of_them


def _over_rows(condition: Filter, wiring: Wiring, reader_of: Callable[..., Read]) -> Check:
    match condition:
        case Ask():
            return _ask(condition, reader_of(condition.reader, wiring), wiring, reader_of)
        case AllFilters(items):
            return _all(tuple(_over_rows(item, wiring, reader_of) for item in items))
        case AnyFilter(items):
            return _any(tuple(_over_rows(item, wiring, reader_of) for item in items))
        case NoFilter(item):
            inner = _over_rows(item, wiring, reader_of)
            return lambda scene, row: opposite(inner(scene, row))
        case SomeOf():
            raise AssertionError("no filter about events stands in another")


def equality_in(condition: Filter | None) -> tuple[Reader, Reader] | None:
    """Return the first `own value == value of a bound span` that a filter cannot do without."""
    parts = condition.items if isinstance(condition, AllFilters) else (condition,)
    for part in parts:
        if not isinstance(part, Ask) or part.op != "==" or not isinstance(part.operand, Reader):
            continue
        pair = part.reader, part.operand
        for own, other in (pair, pair[::-1]):
            if not own.looks_elsewhere and other.of:
                return own, other
    return None
