"""Span tests as functions: is this span one of those the rule speaks about?

A predicate is content-addressed: its canonical text decides what it does, its hash names it in the
tenant's dictionary. Answers are True, False, or None where the span cannot tell because what it
would need was taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from dsl.plan import AllFilters, AnyFilter, Ask, Filter, NoFilter, Operand, Reader, SomeOf, SpanTest
from dsl.printer import span_test_text
from dsl.spans import SpanView
from dsl.values import (
    BETWEEN,
    GONE,
    MISSING,
    Check,
    Constant,
    Duration,
    Read,
    check_against,
    check_in,
    index_key,
)

Answer: TypeAlias = bool | None
Test: TypeAlias = Callable[[Any], Answer]
"""A question to a span (or, inside `event.where`, to an event or link)."""
Read1: TypeAlias = Callable[[Any], Read]


MAX_NECESSARY: Final = 16
"""Necessary conditions that are told of a test: more would not make an index any narrower."""


@dataclass(frozen=True, slots=True)
class AttributeTest:
    """A condition on one attribute without which its predicate is false.

    scope: "span", "resource", "scope", or "" (the span's attribute, then the resource's).
    equals: where the condition is `== constant`, the key under which an index finds every value
    that fulfils it: compare with `dsl.values.index_key(value)`. A text that spells no number and
    is not `true` or `false` is met by that very text only.
    """

    key: str
    scope: str
    equals: str | int | float | None
    op: str = "exists"
    operand: Constant | tuple[Constant, ...] | None = None
    """The comparison in parts, for an index; the operand is None where it is no constant."""
    conjunct: int = 0
    """Which conjunct of the predicate it was taken from."""

    @property
    def test(self) -> Callable[[object], bool]:
        """The question to what was read, put together anew. False to MISSING.

        True to GONE, because then the predicate is unknown and not false: a span on which
        attributes were dropped or redacted must not be filtered out by the absence of a key.
        """
        check = check_of("exists" if self.operand is None else self.op, self.operand)
        return lambda value: value is GONE or check(value)


@dataclass(frozen=True, slots=True)
class SpanPredicate:
    """One span test, ready to run.

    canonical: its text; equal texts are equal tests. name: the exact span name it needs, None for
    any. necessary: conditions on single attributes that must all hold for it to be true or unknown.
    unfiltered: true for every span of that name.
    test: SpanView -> True, False or None (unknown). named: the same of a span of that name.
    """

    canonical: str
    name: str | None
    necessary: tuple[AttributeTest, ...]
    unfiltered: bool
    exact: bool
    """Whether the necessary conditions, taken together with the name, are all there is to it."""
    test: Callable[[SpanView], bool | None] = field(compare=False)
    named: Callable[[SpanView], bool | None] = field(compare=False)
    conjuncts: tuple[Filter, ...] = field(compare=False, repr=False)

    @property
    def hash(self) -> int:
        """64 bits of blake2b of the canonical text, unsigned: calculated where rules are linked."""
        return hash_of(self.canonical)

    def without(self, met: AttributeTest) -> Callable[[SpanView], bool | None]:
        """Return the test of a span of that name which is known to meet one of the conditions."""
        if not _is_told_whole(self.conjuncts[met.conjunct]):
            return self.named
        rest = [part for at, part in enumerate(self.conjuncts) if at != met.conjunct]
        return all_of(tuple(map(compile_filter, rest))) if rest else _always


def build_predicate(test: SpanTest) -> SpanPredicate:
    """Return the predicate of a span test."""
    canonical = span_test_text(test)
    name = test.name
    if test.filter is None:
        return _unfiltered(name, canonical)
    conjuncts = conjuncts_of(test.filter)
    if name is None:
        name = _required_name(conjuncts)
    considered = conjuncts[:MAX_NECESSARY]
    found = [_necessary(part, at) for at, part in enumerate(considered)]
    filtered = compile_filter(test.filter)
    return SpanPredicate(
        canonical=canonical,
        name=name,
        necessary=tuple(needed for needed in found if needed is not None),
        unfiltered=False,
        exact=name == test.name and considered == conjuncts and all(map(_is_plain, conjuncts)),
        test=filtered if test.name is None else _of_name(test.name, filtered),
        named=filtered,
        conjuncts=tuple(conjuncts),
    )


def _unfiltered(name: str | None, canonical: str) -> SpanPredicate:
    return SpanPredicate(
        canonical=canonical,
        name=name,
        necessary=(),
        unfiltered=True,
        exact=True,
        test=_always if name is None else _of_name(name, _always),
        named=_always,
        conjuncts=(),
    )


def hash_of(canonical: str) -> int:
    """Return the 64-bit name of a canonical text, unsigned."""
    return int.from_bytes(blake2b(canonical.encode(), digest_size=8).digest(), "big")


def _always(_span: SpanView) -> Answer:
    return True


def _of_name(name: str, filtered: Test) -> Test:
    def test(span: SpanView) -> Answer:
        return filtered(span) if span.name == name else False

    return test


# -- filters ---------------------------------------------------------------------------------------


def compile_filter(condition: Filter) -> Test:
    """Return the function of a filter, over spans; of the inside of `event.where`, over events."""
    match condition:
        case Ask():
            return _ask(condition)
        case AllFilters(items):
            return all_of(tuple(map(compile_filter, items)))
        case AnyFilter(items):
            return any_of(tuple(map(compile_filter, items)))
        case NoFilter(item):
            return _opposite(compile_filter(item))
        case SomeOf(scope, item):
            return _some(scope, compile_filter(item))


def all_of(tests: tuple[Test, ...]) -> Test:
    """Return the three-valued `and` of tests."""
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests

        def both(span: Any) -> Answer:
            one = first(span)
            if one is False:
                return False
            other = second(span)
            return other if one is True or other is False else None

        return both

    def every(span: Any) -> Answer:
        answer: Answer = True
        for test in tests:
            one = test(span)
            if one is False:
                return False
            if one is None:
                answer = None
        return answer

    return every


def any_of(tests: tuple[Test, ...]) -> Test:
    """Return the three-valued `or` of tests."""

    def some(span: Any) -> Answer:
        answer: Answer = False
        for test in tests:
            one = test(span)
            if one is True:
                return True
            if one is None:
                answer = None
        return answer

    return some


def _opposite(test: Test) -> Test:
    def opposite(span: Any) -> Answer:
        answer = test(span)
        return None if answer is None else not answer

    return opposite


def _some(scope: str, test: Test) -> Test:
    items, dropped = (
        ("events", "events_dropped") if scope == "event" else ("links", "links_dropped")
    )

    def some(span: Any) -> Answer:
        answer: Answer = None if getattr(span, dropped, False) else False
        for item in getattr(span, items):
            one = test(item)
            if one is True:
                return True
            if one is None:
                answer = None
        return answer

    return some


# -- one comparison --------------------------------------------------------------------------------


def _ask(ask: Ask) -> Test:
    if isinstance(ask.operand, Reader):
        return _between(ask.op, compile_reader(ask.reader), compile_reader(ask.operand))
    check = check_of(ask.op, ask.operand)
    source, key = ask.reader.source, ask.reader.key
    if source == "any":
        return _asked_of_span_then_resource(key, check)
    if source == "span":
        return _asked_of_span(key, check)
    if source == "intrinsic" and key in _NEVER_ABSENT:
        return _asked_of_intrinsic(_NEVER_ABSENT[key], check)
    return _asked(compile_reader(ask.reader), check)


def check_of(op: str, operand: Operand) -> Check:
    """Return the function that answers `value op operand` for what was read (never GONE)."""
    if op == "exists":
        return lambda value: value is not MISSING
    if op == "in":
        assert isinstance(operand, tuple)
        return check_in(operand)
    if isinstance(operand, Duration):
        return check_against(op, operand.ns)
    assert not isinstance(operand, tuple | Reader | None)
    return check_against(op, operand)


def _asked_of_span_then_resource(key: str, check: Check) -> Test:
    def asked(span: SpanView) -> Answer:
        value = span.span_attribute(key)
        if value is MISSING:
            value = span.resource_attribute(key)
        return None if value is GONE else check(value)

    return asked


def _asked_of_span(key: str, check: Check) -> Test:
    def asked(span: SpanView) -> Answer:
        value = span.span_attribute(key)
        return None if value is GONE else check(value)

    return asked


def _asked_of_intrinsic(read: Read1, check: Check) -> Test:
    return lambda span: check(read(span))


def _asked(read: Read1, check: Check) -> Test:
    def asked(item: Any) -> Answer:
        value = read(item)
        return None if value is GONE else check(value)

    return asked


def _between(op: str, left: Read1, right: Read1) -> Test:
    compare = BETWEEN[op]

    def between(item: Any) -> Answer:
        one, other = left(item), right(item)
        if one is MISSING or other is MISSING:
            return False
        if one is GONE or other is GONE:
            return None
        return compare(one, other)

    return between


def compile_reader(reader: Reader) -> Read1:
    """Return the function that reads a value off a span, event or link."""
    key = reader.key
    match reader.source:
        case "intrinsic":
            return _NEVER_ABSENT.get(key, _service)
        case "any":
            return _span_then_resource(key)
        case "span":
            return lambda span: span.span_attribute(key)
        case "resource":
            return lambda span: span.resource_attribute(key)
        case "scope":
            return lambda span: span.scope_attribute(key)
        case "event intrinsic":
            return lambda event: event.name
        case "link intrinsic":
            return lambda link: getattr(link, key).hex()
        case _:
            return lambda item: item.attribute(key)


def _span_then_resource(key: str) -> Read1:
    def read(span: SpanView) -> Read:
        value = span.span_attribute(key)
        return span.resource_attribute(key) if value is MISSING else value

    return read


def _service(span: SpanView) -> Read:
    # The view has no service for a resource without one, and for one whose name was taken away.
    return span.service or span.resource_attribute("service.name")


_NEVER_ABSENT: Final[dict[str, Read1]] = {
    "name": lambda span: span.name,
    "kind": lambda span: span.kind,
    "status": lambda span: span.status,
    "status_message": lambda span: span.status_message,
    "start": lambda span: span.start_ns,
    "duration": lambda span: span.end_ns - span.start_ns,
    "is_root": lambda span: not any(span.parent_span_id),
}


# -- what an index may use -------------------------------------------------------------------------

_NAME: Final = Reader("intrinsic", "name")
_SERVICE: Final = Reader("intrinsic", "service")
_SERVICE_NAME: Final = Reader("resource", "service.name")
_INDEXABLE: Final = {"any": "", "span": "span", "resource": "resource", "scope": "scope"}


def conjuncts_of(condition: Filter | None) -> list[Filter]:
    """Return the filters that must all hold, nested `and` flattened."""
    if condition is None:
        return []
    if isinstance(condition, AllFilters):
        return [part for item in condition.items for part in conjuncts_of(item)]
    return [condition]


def _required_name(conjuncts: list[Filter]) -> str | None:
    for part in conjuncts:
        if (
            isinstance(part, Ask)
            and part.op == "=="
            and part.reader == _NAME
            and isinstance(part.operand, str)
        ):
            return part.operand
    return None


def _is_plain(part: Filter) -> bool:
    """Tell whether a condition is nothing but a constant compared with one attribute."""
    return (
        isinstance(part, Ask)
        and part.reader.source in _INDEXABLE
        and not isinstance(part.operand, Reader | Duration)
    )


def _necessary(part: Filter, at: int) -> AttributeTest | None:
    if not isinstance(part, Ask):
        return None
    reader = part.reader
    if reader == _SERVICE:
        reader = _SERVICE_NAME
    if reader.source not in _INDEXABLE:
        return None
    return AttributeTest(
        key=reader.key,
        scope=_INDEXABLE[reader.source],
        equals=_equals(part.op, part.operand),
        op=part.op,
        operand=None if isinstance(part.operand, Reader | Duration) else part.operand,
        conjunct=at,
    )


def _is_told_whole(part: Filter) -> bool:
    """Tell whether the condition taken from a conjunct says all that it says."""
    return isinstance(part, Ask) and not isinstance(part.operand, Reader)


def _equals(op: str, operand: Operand) -> str | int | float | None:
    if op != "==" or isinstance(operand, Reader | Duration | tuple) or operand is None:
        return None
    constant: Constant = operand
    return index_key(constant)
