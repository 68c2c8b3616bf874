"""Calculations at trace level: what they measure, in which unit, and what has none.

`duration` and `start` (of a binding, or inside an aggregate) are times where the comparison makes
sense with times, and the attributes of that name otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from dsl.bindings import Bindings
from dsl.filter_checker import TEXT_INTRINSICS, TIME_INTRINSICS
from dsl.nodes import (
    Aggregate,
    AttributeOf,
    Broken,
    Compare,
    Count,
    Key,
    ListLiteral,
    Literal,
    Negative,
    Node,
    Product,
    SpanTerm,
    Sum,
    trace_word,
)
from dsl.plan import (
    Among,
    BoundNumber,
    Compared,
    Condition,
    Counted,
    Filter,
    Fixed,
    Measured,
    Number,
    Reader,
    Scaled,
    Term,
    Total,
    TraceDuration,
    Unit,
)
from dsl.source import Source
from dsl.values import Duration
from dsl.words import SYMBOL_OPERATORS

_LARGEST: Final = 10**309
_UNITS: Final[Mapping[tuple[Unit, str, Unit], Unit]] = {
    ("number", "*", "number"): "number",
    ("number", "/", "number"): "number",
    ("duration", "*", "number"): "duration",
    ("number", "*", "duration"): "duration",
    ("duration", "/", "number"): "duration",
    ("duration", "/", "duration"): "number",
}


@dataclass(slots=True)
class NumberChecker:
    """Reads the calculations of one rule.

    term: the meaning of a span test, or None with a problem. number_of: the number of a predicate.
    times: whether `duration` and `start` are times in the comparison that is being read.
    """

    source: Source
    bindings: Bindings
    term: Callable[[SpanTerm], Term | None]
    number_of: Callable[[str | None, Filter | None], int]
    counted: set[int] = field(default_factory=set)
    needs_extent: bool = False
    times: bool = True

    def text_of(self, node: Node) -> str:
        """Return a node as it was written."""
        return self.source.text[node.at : node.end]

    # -- comparisons -----------------------------------------------------------------------------

    def comparison(self, node: Compare) -> Condition | None:
        """Return the meaning of a comparison of numbers."""
        op = node.op
        if op not in SYMBOL_OPERATORS and op != "in":
            self.refuse_operator(node, "numbers", "compare it with == != < <= > >= or in")
            return None
        self.times = self.fits(node, times=True) or not self.fits(node, times=False)
        try:
            left = self.number(node.left)
            if op == "in":
                return self.among(node, left)
            assert node.right is not None
            right = self.number(node.right)
        finally:
            self.times = True
        if left is None or right is None:
            return None
        if left.unit != right.unit:
            self.refuse_units(node.at, node.end, left.unit, op, right.unit)
            return None
        return Compared(op, left, right, node.at, node.end)

    def among(self, node: Compare, left: Number | None) -> Condition | None:
        assert isinstance(node.right, ListLiteral)
        items = self.number_items(node.right)
        if left is None or items is None:
            return None
        if left.unit == "duration":
            self.refuse_operator(node, "durations", "compare it with == != < <= > >=")
            return None
        return Among(left, items, node.at, node.end)

    def is_calculated(self, node: Node | None) -> bool:
        """Tell whether a right side is a number of the trace, and not what a filter could hold."""
        match node:
            case Count() | Aggregate():
                return True
            case SpanTerm():
                return trace_word(node) in ("spans", "duration")
            case Sum() | Product() | Negative():
                return not _is_constant(node)
            case _:
                return False

    def refuse_operator(self, node: Compare, what: str, following: str) -> None:
        """Refuse an operator that does not work on what stands beside it."""
        self.source.refuse(
            "rule.operator_type", node.at, node.end, op=node.op, what=what, next=following
        )

    def refuse_units(self, at: int, end: int, left: Unit, op: str, right: Unit) -> None:
        following = (
            "durations are written with a unit: `2s`"
            if "number" in (left, right)
            else "only numbers are multiplied and divided with durations"
        )
        self.source.refuse(
            "rule.mixed_units",
            at,
            end,
            left=f"a {left}",
            op=op,
            right=f"a {right}",
            next=following,
        )

    def number_items(self, node: ListLiteral) -> tuple[int | Fraction, ...] | None:
        values: list[int | Fraction] = []
        for item in node.items:
            if isinstance(item.value, bool) or not isinstance(item.value, int | float):
                found = f"`{self.text_of(item)}`"
                self.source.refuse(
                    "rule.list_item",
                    item.at,
                    item.end,
                    found=found,
                    hint="a number is compared with numbers",
                )
                return None
            values.append(self.exact(item))
        return tuple(values)

    # -- units -----------------------------------------------------------------------------------

    def fits(self, node: Compare, *, times: bool) -> bool:
        """Tell whether both sides have one unit if `duration` is, or is not, a time."""
        left = self.unit_of(node.left, times=times)
        if node.op == "in" or node.right is None:
            return left == "number"
        return left is not None and left == self.unit_of(node.right, times=times)

    def unit_of(self, node: Node, *, times: bool) -> Unit | None:
        """Return the unit of a calculation; None: it has none."""
        match node:
            case Literal(value=value):
                return "duration" if isinstance(value, Duration) else "number"
            case Aggregate(function=function, key=key):
                timed = times and function != "distinct" and _is_time(key)
                return "duration" if timed else "number"
            case SpanTerm():
                if trace_word(node) == "duration":
                    return "duration"
                return "duration" if times and self.is_bound_time(node) else "number"
            case Negative(item=item):
                return self.unit_of(item, times=times)
            case Sum(items=items):
                units = {self.unit_of(item, times=times) for item in items}
                return units.pop() if len(units) == 1 else None
            case Product(signs=signs, items=items):
                unit = self.unit_of(items[0], times=times)
                for sign, item in zip(signs[1:], items[1:], strict=True):
                    other = self.unit_of(item, times=times)
                    if unit is not None and other is not None:
                        unit = _UNITS.get((unit, sign, other))
                return unit
            case _:
                return "number"

    def is_bound_time(self, term: SpanTerm) -> bool:
        return (
            not term.quoted
            and len(term.parts) == 2
            and term.parts[0] in self.bindings.all
            and term.parts[1] in TIME_INTRINSICS
        )

    # -- numbers ---------------------------------------------------------------------------------

    def number(self, node: Node) -> Number | None:
        """Return the meaning of a calculation, or None with a problem."""
        match node:
            case Literal():
                return self.fixed(node)
            case Count(term=term):
                return self.count(term)
            case Aggregate():
                return self.aggregate(node)
            case SpanTerm():
                return self.path_number(node)
            case Negative(item=item):
                inner = self.number(item)
                return None if inner is None else _simplified(Total(("-",), (inner,), inner.unit))
            case Sum():
                return self.total(node)
            case Product():
                return self.scaled(node)
            case AttributeOf():
                self.source.refuse("rule.no_span", node.at, node.end, word=node.key.name)
            case Broken():
                pass
            case _:
                self.source.refuse("rule.condition_as_number", node.at, node.end)
        return None

    def fixed(self, node: Literal) -> Number | None:
        value = node.value
        if isinstance(value, Duration):
            return Fixed(value.ns, "duration")
        if isinstance(value, bool | str):
            self.source.refuse(
                "rule.unexpected",
                node.at,
                node.end,
                found=f"`{self.text_of(node)}`",
                hint="a number is compared with a number",
            )
            return None
        return Fixed(self.exact(node), "number")

    def exact(self, node: Literal) -> int | Fraction:
        """Return a number literal as written: 0.1 is a tenth, not the nearest double."""
        value = node.value
        if isinstance(value, int):
            return value
        text = self.text_of(node).replace(" ", "")
        try:
            exact = Fraction(text)
        except ValueError:  # a folded or negative literal whose text holds blanks or comments
            exact = Fraction(str(value))
        return int(exact) if exact.denominator == 1 else exact

    def count(self, node: SpanTerm) -> Number | None:
        term = self.term(node)
        if term is None:
            return None
        if not term.is_plain:
            return Measured("count", None, term, "number")
        self.counted.add(term.predicate)
        return Counted(term.predicate)

    def aggregate(self, node: Aggregate) -> Number | None:
        reader = self.aggregate_reader(node)
        term = self.term(node.term)
        if term is None or reader is None:
            return None
        timed = reader.source == "intrinsic" and reader.key in TIME_INTRINSICS
        unit: Unit = "duration" if timed and node.function != "distinct" else "number"
        return Measured(node.function, reader, term, unit)

    def aggregate_reader(self, node: Aggregate) -> Reader | None:
        """Decide what an aggregate reads off every span of its term."""
        key = node.key
        first, _, rest = key.name.partition(".")
        elsewhere = not key.quoted and not key.scope and first in (*self.bindings.all, "trace")
        if key.scope in ("event", "link") or (elsewhere and rest):
            self.source.refuse(
                "rule.aggregate_key",
                key.at,
                key.end,
                function=node.function,
                key=self.key_text(key),
            )
            return None
        if key.scope:
            return Reader(key.scope, key.name)
        if key.quoted or key.name not in TEXT_INTRINSICS | TIME_INTRINSICS:
            return Reader("any", key.name)
        if key.name in TIME_INTRINSICS and not self.times and node.function != "distinct":
            self.warn_attribute(key.name, key.at, key.end)
            return Reader("any", key.name)
        return Reader("intrinsic", key.name)

    def key_text(self, key: Key) -> str:
        return self.source.text[key.at : key.end]

    def warn_attribute(self, word: str, at: int, end: int) -> None:
        following = f"compare the span's own {word} with a duration: `2s`"
        self.source.warn("rule.reads_attribute", at, end, word=word, next=following)

    def path_number(self, term: SpanTerm) -> Number | None:
        """A path where a number is asked for: of the trace, or of a binding."""
        word = trace_word(term)
        if word == "duration":
            self.needs_extent = True
            return TraceDuration()
        if word == "spans":
            return self.trace_spans()
        if not term.quoted:
            bound = self.bindings.begins(term.parts[0], at=term.at, end=term.end)
            if bound is None:
                return None
            if bound:
                return self.bound_number(term)
        self.refuse_path(term, word)
        return None

    def trace_spans(self) -> Number:
        """Return the number of spans of the trace: those that any span test would count."""
        predicate = self.number_of(None, None)
        self.counted.add(predicate)
        return Counted(predicate)

    def bound_number(self, term: SpanTerm) -> Number | None:
        binding = term.parts[0]
        key = ".".join(term.parts)
        owned = self.bindings.owner(Key("", key, False, term.at, term.end))
        assert owned is not None
        own = owned[1]
        wrong = term.filters or term.relations or own.scope in ("event", "link")
        if not own.name or wrong:
            following = f"read a number of it, such as `{binding}.duration`"
            text = self.text_of(term)
            self.source.refuse(
                "rule.bare_binding", term.at, term.end, text=text, word=binding, next=following
            )
            return None
        if own.scope:
            return BoundNumber(Reader(own.scope, own.name, binding), "number")
        if own.name in TIME_INTRINSICS:
            if self.times:
                return BoundNumber(Reader("intrinsic", own.name, binding), "duration")
            self.warn_attribute(own.name, term.at, term.end)
        source = "intrinsic" if own.name in TEXT_INTRINSICS else "any"
        return BoundNumber(Reader(source, own.name, binding), "number")

    def refuse_path(self, term: SpanTerm, word: str | None) -> None:
        text = self.text_of(term)
        if len(term.parts) == 1 and not term.quoted and not term.filters:
            hint = f"`count({text})` is the number of spans of that name"
        elif word is not None:
            hint = "the root's name and service are compared with texts"
        else:
            hint = f"`count({text})` is a number"
        self.source.refuse("rule.unexpected", term.at, term.end, found=f"`{text}`", hint=hint)

    def total(self, node: Sum) -> Number | None:
        items = [self.number(item) for item in node.items]
        known = [item for item in items if item is not None]
        if len(known) < len(items):
            return None
        for previous, sign, item in zip(known, node.signs[1:], known[1:], strict=False):
            if item.unit != previous.unit:
                self.refuse_units(node.at, node.end, previous.unit, sign, item.unit)
                return None
        return self.settled(Total(tuple(node.signs), tuple(known), known[0].unit), node)

    def scaled(self, node: Product) -> Number | None:
        items = [self.number(item) for item in node.items]
        known = [item for item in items if item is not None]
        if len(known) < len(items):
            return None
        unit = known[0].unit
        for sign, item in zip(node.signs[1:], known[1:], strict=True):
            following = _UNITS.get((unit, sign, item.unit))
            if following is None:
                self.refuse_units(node.at, node.end, unit, sign, item.unit)
                return None
            unit = following
        return self.settled(Scaled(tuple(node.signs), tuple(known), unit), node)

    def settled(self, number: Total | Scaled, node: Node) -> Number | None:
        """Calculate what is constant now; refuse a constant that grew out of range."""
        simple = _simplified(number)
        if isinstance(simple, Fixed) and not -_LARGEST <= simple.value <= _LARGEST:
            text = self.text_of(node)
            self.source.refuse("rule.number_range", node.at, node.end, number=f"`{text}`")
            return None
        return simple


def _is_time(key: Key) -> bool:
    return not key.quoted and not key.scope and key.name in TIME_INTRINSICS


def _is_constant(node: Node) -> bool:
    match node:
        case Sum(items=items) | Product(items=items):
            return all(map(_is_constant, items))
        case Negative(item=item):
            return _is_constant(item)
        case _:
            return isinstance(node, Literal)


def _simplified(number: Total | Scaled) -> Number:
    """Return a constant for a calculation with constants alone."""
    values = [item.value for item in number.items if isinstance(item, Fixed)]
    if len(values) < len(number.items):
        return number
    total: int | Fraction = values[0]
    if number.signs[0] == "-":
        total = -total
    for sign, value in zip(number.signs[1:], values[1:], strict=True):
        if sign == "/" and value == 0:
            return number
        match sign:
            case "+":
                total += value
            case "-":
                total -= value
            case "*":
                total *= value
            case _:
                total = Fraction(total) / value
        if not -_LARGEST <= total <= _LARGEST:
            return Fixed(_LARGEST * 10, number.unit)
    exact = int(total) if Fraction(total).denominator == 1 else total
    return Fixed(exact, number.unit)
