"""The tree of a `correlate` or an `expect` to its plan: what its keys read, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias

from dsl.bindings import Bindings
from dsl.checker import name_of
from dsl.filter_checker import FilterChecker, all_filters
from dsl.lint import KnownNames, lint_key
from dsl.many.keys import SIGNAL_FIELDS, field_name, key_of
from dsl.many.nodes import (
    Correlate,
    Expect,
    Having,
    HavingAll,
    HavingAny,
    HavingBroken,
    HavingNot,
    HavingTest,
    Measured,
    Violated,
    Written,
)
from dsl.many.parse_having import is_trace
from dsl.many.plan import (
    THE_TRACE,
    AllBounds,
    AnyBound,
    Bound,
    Condition,
    CorrelatePlan,
    ExpectPlan,
    Measure,
    MemberSource,
    NoBound,
    SignalSource,
    SpanSource,
)
from dsl.nodes import Key, ListLiteral, SpanTerm
from dsl.plan import Reader, SpanTest, Unit
from dsl.printer import INTRINSICS
from dsl.source import Source
from dsl.values import Duration
from dsl.words import KIND_WORDS, STATUS_WORDS

MAX_KEYS: Final = 16
MAX_LENGTH_DAYS: Final = 366
_DAY_NS: Final = 86_400_000_000_000
_WORDS_OF: Final = {"kind": KIND_WORDS, "status": STATUS_WORDS}
_TIMES: Final = frozenset({"duration", "start"})
_TEXTS: Final = frozenset({"name", "service"})

FieldsOf: TypeAlias = Callable[[str], Sequence[str] | None]
"""Rule id -> the fields of its signals (its `group_by`), None if the rule is not known."""


def check_correlate(
    source: Source,
    node: Correlate,
    *,
    known: KnownNames | None = None,
    fields_of: FieldsOf | None = None,
) -> CorrelatePlan | None:
    """Return the plan of a `correlate`, or None if something in it is wrong."""
    checker = _Checker(source)
    sources, tests = checker.sources(node)
    by = checker.keys(node.by)
    within_ns = checker.length("within", node.within)
    having = None if node.having is None else checker.having(node.having)
    if fields_of is not None:
        _refuse_unknown_fields(checker, node, fields_of)
    if known is not None and any(isinstance(one, SpanTerm) for one in node.sources):
        checker.warn_about_unseen(known)
    if source.problems or having is None or within_ns is None:
        return None
    fields = dict.fromkeys(reader for reader, _ in checker.measured if reader != THE_TRACE)
    return CorrelatePlan(sources, tests, by, within_ns, having, tuple(fields))


def check_expect(
    source: Source, node: Expect, *, known: KnownNames | None = None
) -> ExpectPlan | None:
    """Return the plan of an `expect`, or None if something in it is wrong."""
    checker = _Checker(source)
    tests = _span_tests(source, [node.term] if node.term is not None else [])
    every_ns = checker.length("every", node.every)
    by = None if node.key is None else checker.listed_key(node.key, node.listed)
    listed = () if node.listed is None else _listed(node.listed)
    if known is not None:
        checker.warn_about_unseen(known)
    if source.problems or not tests or tests[0] is None or every_ns is None:
        return None
    assert node.term is not None
    return ExpectPlan(tests[0], every_ns, by, listed, node.term.at, node.term.end)


def _span_tests(source: Source, terms: list[SpanTerm]) -> list[SpanTest | None]:
    """Return the meaning of span tests; None where one is wrong.

    Together, because limits count over a whole rule. There are no bindings, and no one trace.
    """
    checker = FilterChecker(source, Bindings(source), alone=True)
    found: list[SpanTest | None] = []
    for term in terms:
        filters = [checker.filter(one, scope="") for one in term.filters]
        known = [one for one in filters if one is not None]
        test = SpanTest(name_of(term), all_filters(known) if known else None)
        found.append(test if len(known) == len(filters) else None)
    return found


def _listed(node: ListLiteral) -> tuple[str, ...]:
    texts = [key_of(item.value) for item in node.items if not isinstance(item.value, Duration)]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


@dataclass(slots=True)
class _Checker:
    source: Source
    keyed: list[tuple[Reader, Key]] = field(default_factory=list)
    measured: list[tuple[Reader, Key]] = field(default_factory=list)

    # -- sources ---------------------------------------------------------------------------------

    def sources(self, node: Correlate) -> tuple[tuple[MemberSource, ...], tuple[SpanTest, ...]]:
        terms = [one for one in node.sources if isinstance(one, SpanTerm)]
        tests = iter(_span_tests(self.source, terms))
        numbers: dict[SpanTest, int] = {}
        found: list[MemberSource] = []
        for one in node.sources:
            if isinstance(one, Violated):
                found.append(SignalSource(one.rule, one.at, one.end))
                continue
            test = next(tests)
            if test is not None:
                number = numbers.setdefault(test, len(numbers))
                found.append(SpanSource(number, one.at, one.end))
        return tuple(dict.fromkeys(found)), tuple(numbers)

    def length(self, word: str, written: Written | None) -> int | None:
        if written is None:
            return None
        ns = written.duration.ns
        if ns == 0 and self.source.text[written.at : written.end].strip("0.nusmhd"):
            return None  # not written as nothing: its unit is refused already
        if not 0 < ns <= MAX_LENGTH_DAYS * _DAY_NS:
            limit = f"{MAX_LENGTH_DAYS}d"
            self.source.refuse("rule.length_range", written.at, written.end, word=word, limit=limit)
            return None
        return ns

    # -- keys ------------------------------------------------------------------------------------

    def keys(self, keys: list[Key]) -> tuple[Reader, ...]:
        found: dict[Reader, None] = {}
        for key in keys:
            reader = self.key(key)
            if reader in found:
                self.source.refuse("rule.key_twice", key.at, key.end, key=self.text_of(key))
            found[reader] = None
            self.keyed.append((reader, key))
        if len(keys) > MAX_KEYS:
            last = keys[-1]
            self.source.refuse("rule.key_limit", keys[MAX_KEYS].at, last.end, limit=MAX_KEYS)
        return tuple(found)

    def key(self, key: Key) -> Reader:
        """Return what a key reads where nothing is compared with it: a property, if there is one.

        `name`, `status` and the like are the span's own, as wherever a comparison allows it.
        """
        if key.scope in ("event", "link"):
            self.source.refuse("rule.key_scope", key.at, key.end, scope=key.scope)
        if key.scope:
            return Reader(key.scope, key.name)
        own = not key.quoted and key.name in INTRINSICS
        return Reader("intrinsic" if own else "any", key.name)

    def listed_key(self, key: Key, listed: ListLiteral | None) -> Reader:
        reader = self.key(key)
        words = _WORDS_OF.get(key.name, frozenset())
        own = reader.source == "intrinsic"
        if own and listed is not None and key.name not in _TEXTS:
            own = all(item.value in words for item in listed.items)
            if not own:
                shown = " ".join(sorted(words))
                following = f"its words are {shown}" if words else "list its values"
                reader = self.attribute(key, following)
        self.keyed.append((reader, key))
        return reader

    def warn_about_unseen(self, known: KnownNames) -> None:
        for reader, key in (*self.keyed, *self.measured):
            lint_key(self.source, reader, known, at=key.at, end=key.end)

    def attribute(self, key: Key, following: str) -> Reader:
        """Take the attribute of the name of a property, and say so."""
        self.source.warn("rule.reads_attribute", key.at, key.end, word=key.name, next=following)
        return Reader("any", key.name)

    def text_of(self, node: Key | Measured | HavingTest) -> str:
        return self.source.text[node.at : node.end]

    # -- having ----------------------------------------------------------------------------------

    def having(self, node: Having) -> Condition | None:
        match node:
            case HavingTest():
                return self.bound(node)
            case HavingNot(item=item):
                inner = self.having(item)
                return None if inner is None else NoBound(inner)
            case HavingAll(items=items) | HavingAny(items=items):
                known = [one for one in map(self.having, items) if one is not None]
                if len(known) < len(items):
                    return None
                return _flat(AllBounds if isinstance(node, HavingAll) else AnyBound, known)
            case HavingBroken():
                return None

    def bound(self, node: HavingTest) -> Condition | None:
        key = node.measure.key
        timed = isinstance(node.value, Duration)
        reader = None if key is None else self.measured_key(node, key)
        counts = node.measure.function == "distinct"
        unit: Unit = "duration" if reader in _TIME_READERS and timed and not counts else "number"
        if timed and unit == "number":
            self.refuse_duration(node)
            return None
        if key is not None and reader is not None:
            self.measured.append((reader, key))
        value: int | Fraction
        value = node.value.ns if isinstance(node.value, Duration) else node.value
        measure = Measure(node.measure.function, reader, unit)
        return Bound(measure, node.op, value, node.at, node.end)

    def measured_key(self, node: HavingTest, key: Key) -> Reader:
        """Decide what `fn(key)` reads: a property only where its values are of use to fn."""
        if is_trace(key):
            return THE_TRACE
        reader = self.key(key)
        function = node.measure.function
        if reader.source != "intrinsic" or function == "distinct" or key.name in _TEXTS:
            return reader
        if key.name not in _TIMES:
            return self.attribute(key, f"`{function}(…)` is about numbers")
        if isinstance(node.value, Duration):
            return reader
        return self.attribute(key, f"compare the span's {key.name} with a duration: `2s`")

    def refuse_duration(self, node: HavingTest) -> None:
        key = node.measure.key
        if key is None or node.measure.function == "distinct":
            self.source.refuse(
                "rule.mixed_units",
                node.at,
                node.end,
                left="a number",
                op=node.op,
                right="a duration",
                next="write a number without a unit",
            )
        else:
            self.source.refuse("rule.no_unit", node.at, node.end)


_TIME_READERS: Final = frozenset(Reader("intrinsic", word) for word in _TIMES)


def _flat(joined: type[AllBounds] | type[AnyBound], items: list[Condition]) -> Condition:
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, joined) else (item,))
    return joined(tuple(flat))


def _refuse_unknown_fields(checker: _Checker, node: Correlate, fields_of: FieldsOf) -> None:
    """Refuse keys that the signals of a source do not have."""
    keys = [
        (field_name(r), key) for r, key in (*checker.keyed, *checker.measured) if r != THE_TRACE
    ]
    wanted = {name for name, _ in keys}
    for rule in dict.fromkeys(one.rule for one in node.sources if isinstance(one, Violated)):
        fields = fields_of(rule)
        if fields is None or not wanted - {*fields, *SIGNAL_FIELDS}:
            continue
        has = sorted({*fields, *SIGNAL_FIELDS})
        for name, key in keys:
            if name not in has:
                next_step = f"they have {' '.join(has)}: add it to the rule's `group_by`"
                checker.source.refuse(
                    "rule.signal_key", key.at, key.end, rule=rule, key=name, next=next_step
                )
