"""A tree to a plan: what every name, word and number in the rule means.

Decides which reading a key has (the span's own property or an attribute), expands short forms,
gives numbers their units, and refuses what has no meaning. Warnings about rules that mean
something useless are in dsl.lint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias

from dsl.nodes import (
    Aggregate,
    And,
    AttributeOf,
    Broken,
    Compare,
    Count,
    Key,
    ListLiteral,
    Literal,
    Negative,
    Node,
    Not,
    Or,
    Product,
    Promise,
    Sequence,
    Some,
    SpanTerm,
    Sum,
    Test,
)
from dsl.plan import (
    AllFilters,
    Among,
    AnyFilter,
    Ask,
    Compared,
    Condition,
    Counted,
    Either,
    Every,
    Exists,
    Filter,
    Fixed,
    NoFilter,
    Number,
    Operand,
    Opposite,
    Plan,
    Reader,
    RootAsk,
    Scaled,
    SomeOf,
    SpanTest,
    Total,
    TraceDuration,
    Unit,
)
from dsl.source import Source
from dsl.values import (
    MAX_PATTERN_CHARACTERS,
    Constant,
    Duration,
    PatternError,
    compile_pattern,
    unicode_classes_in,
)
from dsl.words import (
    FLIPPED,
    KIND_WORDS,
    ORDER_OPERATORS,
    STATUS_WORDS,
    SYMBOL_OPERATORS,
    TRACE_WORDS,
    nearest,
)

MAX_PATTERNS: Final = 200
MAX_UNICODE_CLASSES: Final = 50
"""`\\pL` and its like cost RE2 about 0.1 ms each to compile."""

_TEXT_INTRINSICS: Final = frozenset({"name", "service", "status_message"})
_TIME_INTRINSICS: Final = frozenset({"duration", "start"})
_WORDS_OF: Final[Mapping[str, frozenset[str]]] = {"kind": KIND_WORDS, "status": STATUS_WORDS}
_ITEM_INTRINSICS: Final[Mapping[str, frozenset[str]]] = {
    "event": frozenset({"name"}),
    "link": frozenset({"trace_id", "span_id"}),
}
_NULL_WORDS: Final = frozenset({"null", "nil", "none", "None", "NULL", "undefined"})

Right: TypeAlias = Key | AttributeOf | Literal | ListLiteral | None


def check_promise(source: Source, promise: Promise) -> Plan | None:
    """Return the plan of a promise, or None if something in it is wrong (see source.problems)."""
    checker = _Checker(source, aliases=_aliases(promise))
    clauses = {
        word: checker.condition(clause.body)
        for word, clause in sorted(promise.clauses.items(), key=lambda item: item[1].at)
    }
    when = clauses.get("when")
    if source.problems or when is None:
        return None
    return Plan(
        when=when,
        always=clauses.get("always"),
        never=clauses.get("never"),
        tests=tuple(checker.tests),
        counted=frozenset(checker.counted),
        needs_extent=checker.needs_extent,
        needs_root=checker.needs_root,
    )


def check_filter(source: Source, node: Node) -> Filter | None:
    """Return the meaning of a filter alone, or None if something in it is wrong."""
    found = _Checker(source, aliases=frozenset()).filter(node, scope="")
    return None if source.problems else found


def _aliases(promise: Promise) -> frozenset[str]:
    found: set[str] = set()
    todo: list[Node] = [clause.body for clause in promise.clauses.values()]
    while todo:
        node = todo.pop()
        match node:
            case And() | Or() | Sum() | Product():
                todo.extend(node.items)
            case Not() | Negative():
                todo.append(node.item)
            case Compare(left=left, right=right):
                todo.append(left)
                if right is not None:
                    todo.append(right)
            case Sequence(steps=steps):
                todo.extend(steps)
            case SpanTerm(alias=alias) if alias is not None:
                found.add(alias)
            case _:
                pass
    return frozenset(found)


@dataclass(slots=True)
class _Checker:
    source: Source
    aliases: frozenset[str]
    tests: list[SpanTest] = field(default_factory=list)
    numbers: dict[SpanTest, int] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    needs_extent: bool = False
    needs_root: bool = False
    pattern_count: int = 0
    unicode_class_count: int = 0

    # -- conditions ----------------------------------------------------------------------------

    def condition(self, node: Node) -> Condition | None:
        match node:
            case And(items=items) | Or(items=items):
                conditions = [self.condition(item) for item in items]
                known = tuple(one for one in conditions if one is not None)
                if len(known) < len(conditions):
                    return None
                return _flat_every(known) if isinstance(node, And) else _flat_either(known)
            case Not(item=item):
                condition = self.condition(item)
                return None if condition is None else Opposite(condition)
            case SpanTerm():
                return self.exists(node)
            case Compare():
                return self.comparison(node)
            case Sequence():
                self.not_yet(node, "`then` (a sequence)", "write the steps with `and`")
            case Broken():
                pass
            case AttributeOf():
                self.source.refuse("rule.no_span", node.at, node.end, word=node.key.name)
            case _:
                self.refuse_number(node)
        return None

    def refuse_number(self, node: Node) -> None:
        text = self.text_of(node)
        constant = isinstance(node, Literal)
        self.source.refuse(
            "rule.number_as_condition",
            node.at,
            node.end,
            found=f"`{text}`",
            next="write the name of a span" if constant else "compare it: `count(…) > 3`",
        )
        if not isinstance(node, Literal):
            self.number(node)

    def text_of(self, node: Node | Key) -> str:
        return self.source.text[node.at : node.end]

    def not_yet(self, node: Node, construct: str, following: str) -> None:
        self.source.refuse("rule.not_yet", node.at, node.end, construct=construct, next=following)

    def exists(self, term: SpanTerm) -> Condition | None:
        predicate = self.predicate(term)
        return None if predicate is None else Exists(predicate, term.at, term.end)

    def predicate(self, term: SpanTerm) -> int | None:
        """Return the number of a span test, or None if it is wrong."""
        usable = self.refuse_structure(term)
        if term.quoted:
            name: str | None = ".".join(term.parts)
        elif term.parts == ["any"]:
            name = None
        else:
            name = ".".join(term.parts)
        filters = [self.filter(one, scope="") for one in term.filters]
        known = [one for one in filters if one is not None]
        if len(known) < len(filters) or not usable:
            return None
        return self.number_of(SpanTest(name, _all_filters(known) if known else None))

    def refuse_structure(self, term: SpanTerm) -> bool:
        """Refuse what belongs to bindings and relations. True if there was none."""
        if term.alias is not None:
            self.not_yet(term, f"`as {term.alias}` (a binding)", "leave it out")
        for relation in term.relations:
            what = f"`{relation.word}` (a relation between spans)"
            self.source.refuse(
                "rule.not_yet", relation.at, relation.end, construct=what, next="leave it out"
            )
        bound = not term.quoted and term.parts[0] in self.aliases
        if bound:
            what = f"`{term.parts[0]}` (a binding)"
            self.not_yet(term, what, "name the span itself")
        return term.alias is None and not term.relations and not bound

    def number_of(self, test: SpanTest) -> int:
        known = self.numbers.get(test)
        if known is None:
            known = self.numbers[test] = len(self.tests)
            self.tests.append(test)
        return known

    # -- comparisons at trace level --------------------------------------------------------------

    def comparison(self, node: Compare) -> Condition | None:
        left = node.left
        if isinstance(left, SpanTerm):
            word = _trace_word(left)
            if word in ("root.name", "root.service"):
                return self.root_ask(node, word)
            if word is None:
                return self.short_form(node, left)
        if isinstance(left, AttributeOf):
            self.source.refuse("rule.no_span", left.at, left.end, word=left.key.name)
            return None
        if isinstance(left, Literal) and isinstance(node.right, SpanTerm):
            right = node.right
            if _trace_word(right) is None and node.op in SYMBOL_OPERATORS:
                self.refuse_flipped(node)
                return None
        return self.number_comparison(node)

    def refuse_flipped(self, node: Compare) -> None:
        assert node.right is not None
        turned = f"{self.text_of(node.right)} {FLIPPED[node.op]} {self.text_of(node.left)}"
        self.source.refuse("rule.literal_left", node.at, node.end, instead=turned)

    def number_comparison(self, node: Compare) -> Condition | None:
        op = node.op
        if op not in SYMBOL_OPERATORS and op != "in":
            self.refuse_operator(node, "numbers", "compare it with == != < <= > >= or in")
            return None
        left = self.number(node.left)
        if op == "in":
            assert isinstance(node.right, ListLiteral)
            items = self.number_items(node.right)
            if left is None or items is None:
                return None
            if left.unit == "duration":
                self.refuse_operator(node, "durations", "compare it with == != < <= > >=")
                return None
            return Among(left, items, node.at, node.end)
        assert node.right is not None
        right = self.number(node.right)
        if left is None or right is None:
            return None
        if left.unit != right.unit:
            self.refuse_units(node.at, node.end, left.unit, op, right.unit)
            return None
        return Compared(op, left, right, node.at, node.end)

    def refuse_operator(self, node: Compare | Test, what: str, following: str) -> None:
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

    def root_ask(self, node: Compare, word: str) -> Condition | None:
        self.needs_root = True
        reader = Reader("trace", word)
        right = node.right
        if isinstance(right, SpanTerm) and _trace_word(right) in ("root.name", "root.service"):
            if node.op in ("in", "matches"):
                self.refuse_operator(node, "two names of the root", "write a text")
                return None
            operand: Operand = Reader("trace", _trace_word(right) or "")
        elif node.op == "exists":
            operand = None
        else:
            value = self.right_value(node)
            if value is None:
                return None
            if isinstance(value, AttributeOf) or (
                isinstance(value, Key) and (node.op in ORDER_OPERATORS or _is_dotted(value))
            ):
                self.refuse_right(node, "the root's name and service are compared with texts")
                return None
            found = self.operand(node.op, value, text_only=True, at=node.at, end=node.end)
            if found is None:
                return None
            operand = found
        ask = Ask(reader, node.op, operand, node.at, node.end)
        return RootAsk(ask, node.at, node.end)

    def refuse_right(self, node: Compare, hint: str) -> None:
        assert node.right is not None
        self.source.refuse(
            "rule.unexpected",
            node.right.at,
            node.right.end,
            found=f"`{self.text_of(node.right)}`",
            hint=hint,
        )

    def short_form(self, node: Compare, term: SpanTerm) -> Condition | None:
        """`payment.charge.amount > 1000` is `payment.charge.where(amount > 1000)`."""
        if term.filters:
            self.source.refuse("rule.filtered_comparison", term.at, term.end)
            return None
        if not self.refuse_structure(term):
            return None
        if len(term.parts) < 2:
            if term.quoted:
                self.source.refuse("rule.quoted_comparison", term.at, term.end)
            else:
                self.source.refuse("rule.no_span", term.at, term.end, word=term.parts[0])
            return None
        key = Key("", term.parts[-1], False, term.end - len(term.parts[-1]), term.end)
        right: Right = None
        if node.op != "exists":
            right = self.right_value(node)
            if right is None:
                return None
        condition = self.test(Test(key, node.op, right, node.at, node.end), scope="")
        if condition is None:
            return None
        name = ".".join(term.parts[:-1])
        test = SpanTest(None if name == "any" and not term.quoted else name, condition)
        return Exists(self.number_of(test), node.at, node.end)

    def right_value(self, node: Compare) -> Key | AttributeOf | Literal | ListLiteral | None:
        """Return what stands to the right of an operator as a filter would see it."""
        right = node.right
        match right:
            case Literal() | ListLiteral() | AttributeOf():
                return right
            case SpanTerm(parts=parts, at=at, end=end):
                scoped = len(parts) > 1 and parts[0] in _SCOPED
                scope = parts[0] if scoped else ""
                return Key(scope, ".".join(parts[1:] if scoped else parts), False, at, end)
            case Sum() | Product() | Negative():
                return self.folded(right)
            case Broken() | None:
                return None
            case _:
                self.refuse_right(node, "an attribute is compared with a value, or with `attr(…)`")
                return None

    def folded(self, node: Node) -> Literal | None:
        number = self.number(node)
        if number is None:
            return None
        if not isinstance(number, Fixed):
            self.source.refuse(
                "rule.unexpected",
                node.at,
                node.end,
                found=f"`{self.text_of(node)}`",
                hint="an attribute is compared with a value, or with `attr(…)`",
            )
            return None
        value = number.value
        if number.unit == "duration":
            return Literal(Duration(int(value)), False, node.at, node.end)
        plain = value if isinstance(value, int) else float(value)
        return Literal(plain, False, node.at, node.end)

    # -- numbers ---------------------------------------------------------------------------------

    def number(self, node: Node) -> Number | None:
        match node:
            case Literal():
                return self.fixed(node)
            case Count(term=term):
                return self.count(term)
            case SpanTerm():
                return self.trace_number(node)
            case Negative(item=item):
                inner = self.number(item)
                return None if inner is None else _simplified(Total(("-",), (inner,), inner.unit))
            case Sum():
                return self.total(node)
            case Product():
                return self.scaled(node)
            case Aggregate():
                self.refuse_structure(node.term)
                what = f"`{node.function}(…)`"
                self.not_yet(node, what, "of the aggregates, `count(…)` is available")
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

    def count(self, term: SpanTerm) -> Number | None:
        predicate = self.predicate(term)
        if predicate is None:
            return None
        self.counted.add(predicate)
        return Counted(predicate)

    def trace_number(self, term: SpanTerm) -> Number | None:
        word = _trace_word(term)
        if word == "duration":
            self.needs_extent = True
            return TraceDuration()
        if word == "spans":
            predicate = self.number_of(SpanTest(None, None))
            self.counted.add(predicate)
            return Counted(predicate)
        if not self.refuse_structure(term):
            return None
        text = self.text_of(term)
        if len(term.parts) == 1 and not term.quoted and not term.filters:
            hint = f"`count({text})` is the number of spans of that name"
        elif word is not None:
            hint = "the root's name and service are compared with texts"
        else:
            hint = f"`count({text})` is a number"
        self.source.refuse("rule.unexpected", term.at, term.end, found=f"`{text}`", hint=hint)
        return None

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

    # -- filters ---------------------------------------------------------------------------------

    def filter(self, node: Node, *, scope: str) -> Filter | None:
        """Return the meaning of a filter; scope: "event" or "link" inside their `where`."""
        match node:
            case And(items=items) | Or(items=items):
                filters = [self.filter(item, scope=scope) for item in items]
                known = [one for one in filters if one is not None]
                if len(known) < len(filters):
                    return None
                return _all_filters(known) if isinstance(node, And) else _any_filter(known)
            case Not(item=item):
                inner = self.filter(item, scope=scope)
                return None if inner is None else NoFilter(inner)
            case Some():
                return self.some(node, scope)
            case Test():
                return self.test(node, scope=scope)
            case _:
                return None

    def some(self, node: Some, scope: str) -> Filter | None:
        if scope:
            self.source.refuse("rule.nested_where", node.at, node.end, scope=node.scope)
            return None
        inner = self.filter(node.item, scope=node.scope)
        return None if inner is None else SomeOf(node.scope, inner, node.at, node.end)

    def test(self, node: Test, *, scope: str) -> Filter | None:
        key = node.left.key if isinstance(node.left, AttributeOf) else node.left
        if scope and key.scope:
            self.source.refuse(
                "rule.scope_inside", key.at, key.end, scope=scope, key=_plain_key(key)
            )
            return None
        if not scope and key.scope in ("event", "link"):
            inner = Test(
                Key("", key.name, False, key.at, key.end), node.op, node.right, node.at, node.end
            )
            if isinstance(node.left, AttributeOf):
                inner.left = AttributeOf(Key("", key.name, True, key.at, key.end), key.at, key.end)
            found = self.test(inner, scope=key.scope)
            return None if found is None else SomeOf(key.scope, found, node.at, node.end)
        if _is_trace_key(key) and not isinstance(node.left, AttributeOf):
            what = f"`{key.name}` inside a filter"
            self.source.refuse(
                "rule.not_yet",
                key.at,
                key.end,
                construct=what,
                next="compare it outside of `where(…)`",
            )
            return None
        if not key.quoted and not key.scope and key.name.split(".")[0] in self.aliases:
            self.refuse_binding(key)
            return None
        reader = self.reader(node, key, scope)
        if node.op == "exists":
            return Ask(reader, "exists", None, node.at, node.end)
        if node.op == "":
            return Ask(reader, "==", True, node.at, node.end)
        if node.right is None:
            return None
        operand = self.right_operand(node, reader, scope)
        return None if operand is None else Ask(reader, node.op, operand, node.at, node.end)

    def refuse_binding(self, key: Key) -> None:
        binding = key.name.split(".")[0]
        self.source.refuse(
            "rule.not_yet",
            key.at,
            key.end,
            construct=f"`{key.name}` (a value of binding `{binding}`)",
            next="compare with a constant",
        )

    def reader(self, node: Test, key: Key, scope: str) -> Reader:
        """Decide what a key on the left reads."""
        plain = not isinstance(node.left, AttributeOf) and not key.quoted
        if scope:
            own = plain and key.name in _ITEM_INTRINSICS[scope]
            return Reader(f"{scope} intrinsic" if own else scope, key.name)
        if key.scope:
            return Reader(key.scope, key.name)
        if plain and self.is_intrinsic(node, key):
            return Reader("intrinsic", key.name)
        return Reader("any", key.name)

    def is_intrinsic(self, node: Test, key: Key) -> bool:
        """Tell whether a key is the span's own property in this comparison, and say if not."""
        name = key.name
        if name in _TEXT_INTRINSICS:
            return True
        if name in _WORDS_OF:
            return self.is_word_intrinsic(node, key)
        if name in _TIME_INTRINSICS:
            taken = _is_time(node)
            if not taken:
                self.warn_attribute(key, f"compare the span's {name} with a duration: `2s`")
            return taken
        if name == "is_root":
            right = node.right
            taken = node.op == "" or (
                node.op in ("==", "!=")
                and isinstance(right, Literal)
                and isinstance(right.value, bool)
            )
            if not taken:
                self.warn_attribute(key, "ask `is_root` alone, or compare with true or false")
            return taken
        return False

    def is_word_intrinsic(self, node: Test, key: Key) -> bool:
        words = _WORDS_OF[key.name]
        texts = _texts(node)
        if texts is not None and all(text in words for text in texts):
            return True
        listed = " ".join(sorted(words))
        if texts is not None:
            other = next(text for text in texts if text not in words)
            meant = nearest(other, words)
            self.source.warn(
                "rule.intrinsic_word",
                node.at,
                node.end,
                word=other,
                key=key.name,
                words=listed,
                hint=f"did you mean `{meant}`? the words are {listed}" if meant else None,
            )
            return False
        self.warn_attribute(key, f"the span's own {key.name} is one of {listed}")
        return False

    def warn_attribute(self, key: Key, following: str) -> None:
        self.source.warn("rule.reads_attribute", key.at, key.end, word=key.name, next=following)

    # -- the right side of a filter ----------------------------------------------------------------

    def right_operand(self, node: Test, reader: Reader, scope: str) -> Operand:
        right = node.right
        assert right is not None
        times = reader.source == "intrinsic" and reader.key in _TIME_INTRINSICS
        if isinstance(right, AttributeOf):
            return self.attribute_operand(node, right, scope)
        if isinstance(right, Key):
            return self.key_operand(node, right, reader, scope)
        if isinstance(right, Literal) and isinstance(right.value, Duration):
            if times:
                return right.value
            self.source.refuse("rule.no_unit", right.at, right.end)
            return None
        return self.operand(node.op, right, text_only=False, at=node.at, end=node.end)

    def attribute_operand(self, node: Test, right: AttributeOf, scope: str) -> Operand:
        key = right.key
        if node.op == "in":
            self.source.refuse("rule.list_expected", right.at, right.end)
            return None
        if node.op == "matches":
            self.source.refuse("rule.pattern_not_text", right.at, right.end)
            return None
        return self.right_reader(key, scope)

    def right_reader(self, key: Key, scope: str) -> Reader | None:
        if scope and key.scope:
            self.source.refuse(
                "rule.scope_inside", key.at, key.end, scope=scope, key=_plain_key(key)
            )
            return None
        if key.scope in ("event", "link"):
            self.source.refuse("rule.scope_on_right", key.at, key.end, scope=key.scope)
            return None
        return Reader(scope or key.scope or "any", key.name)

    def key_operand(self, node: Test, right: Key, reader: Reader, scope: str) -> Operand:
        """A word on the right: a text, or after `<` and its like an attribute of the same span."""
        first = (right.scope or right.name).split(".")[0]
        if first in self.aliases and _is_dotted(right):
            self.refuse_binding(right)
            return None
        if _is_trace_key(right):
            self.source.refuse(
                "rule.not_yet",
                right.at,
                right.end,
                construct=f"`{right.name}` inside a filter",
                next="compare it outside of `where(…)`",
            )
            return None
        if node.op in ORDER_OPERATORS:
            if not scope and not right.scope and self.is_right_intrinsic(reader, right):
                return Reader("intrinsic", right.name)
            return self.right_reader(right, scope)
        if _is_dotted(right):
            self.refuse_dotted(right)
            return None
        word = right.name
        if word in _NULL_WORDS and node.op in ("==", "!="):
            key_text = self.text_of(node.left)
            self.source.warn("rule.null_word", right.at, right.end, word=word, key=key_text)
        literal = Literal(word, True, right.at, right.end)
        return self.operand(node.op, literal, text_only=False, at=node.at, end=node.end)

    def is_right_intrinsic(self, reader: Reader, right: Key) -> bool:
        if right.name in _TEXT_INTRINSICS:
            return True
        on_times = reader.source == "intrinsic" and reader.key in _TIME_INTRINSICS
        return on_times and right.name in _TIME_INTRINSICS

    def refuse_dotted(self, key: Key) -> None:
        word = self.text_of(key)
        meant = nearest(word.split(".")[0], sorted(self.aliases))
        hint = f'`"{word}"` for the text, `attr({word})` for the attribute'
        if meant:
            hint += f"; did you mean `{meant}.{word.partition('.')[2]}`?"
        self.source.refuse("rule.dotted_word", key.at, key.end, word=word, hint=hint)

    def operand(
        self,
        op: str,
        right: Key | AttributeOf | Literal | ListLiteral,
        *,
        text_only: bool,
        at: int,
        end: int,
    ) -> Operand:
        """Return the constant of a comparison, or None with a problem."""
        if isinstance(right, ListLiteral):
            return tuple(self.constant(item) for item in right.items) or None
        if isinstance(right, Key):
            right = Literal(right.name, True, right.at, right.end)
        assert isinstance(right, Literal)
        if isinstance(right.value, Duration):
            self.source.refuse("rule.no_unit", right.at, right.end)
            return None
        value = self.constant(right)
        if op == "matches":
            return self.pattern(right)
        if op in ORDER_OPERATORS and isinstance(value, bool):
            self.source.refuse(
                "rule.operator_type",
                at,
                end,
                op=op,
                what="true and false",
                next="compare with `== true` or `== false`",
            )
            return None
        if not text_only and op in ("==", "!=") and _is_uneven(value):
            self.source.warn("rule.float_equality", right.at, right.end, number=self.text_of(right))
        return value

    def constant(self, literal: Literal) -> Constant:
        value = literal.value
        assert not isinstance(value, Duration)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    def pattern(self, literal: Literal) -> Operand:
        pattern = literal.value
        if not isinstance(pattern, str):
            self.source.refuse("rule.pattern_not_text", literal.at, literal.end)
            return None
        if len(pattern) > MAX_PATTERN_CHARACTERS:
            limit = f"{MAX_PATTERN_CHARACTERS:,}"
            self.source.refuse("rule.pattern_too_long", literal.at, literal.end, limit=limit)
            return None
        self.pattern_count += 1
        self.unicode_class_count += unicode_classes_in(pattern)
        for count, limit_of, what in (
            (self.pattern_count, MAX_PATTERNS, "patterns"),
            (self.unicode_class_count, MAX_UNICODE_CLASSES, "Unicode classes in patterns"),
        ):
            if count > limit_of:
                self.source.refuse(
                    "rule.too_many_patterns", literal.at, literal.end, limit=limit_of, what=what
                )
                return None
        try:
            compile_pattern(pattern)
        except PatternError as error:
            self.source.refuse("rule.pattern", literal.at, literal.end, reason=str(error))
            return None
        return pattern


_SCOPED: Final = frozenset({"span", "resource", "scope", "event", "link"})
_LARGEST: Final = 10**309
_UNITS: Final[Mapping[tuple[Unit, str, Unit], Unit]] = {
    ("number", "*", "number"): "number",
    ("number", "/", "number"): "number",
    ("duration", "*", "number"): "duration",
    ("number", "*", "duration"): "duration",
    ("duration", "/", "number"): "duration",
    ("duration", "/", "duration"): "number",
}


def _trace_word(term: SpanTerm) -> str | None:
    """Return what follows `trace.` if a path is one of the four values of a trace."""
    if term.quoted or term.filters or term.parts[0] != "trace":
        return None
    word = ".".join(term.parts[1:])
    return word if word in TRACE_WORDS else None


def _is_trace_key(key: Key) -> bool:
    first, _, rest = key.name.partition(".")
    return not key.quoted and not key.scope and first == "trace" and rest in TRACE_WORDS


def _is_dotted(key: Key) -> bool:
    return bool(key.scope) or "." in key.name


def _plain_key(key: Key) -> str:
    return key.name if key.name.replace(".", "").replace("_", "").isalnum() else f'"{key.name}"'


def _is_time(node: Test) -> bool:
    """Tell whether the right side is a duration or another time of the same span."""
    right = node.right
    if isinstance(right, Literal):
        return isinstance(right.value, Duration) and node.op in SYMBOL_OPERATORS
    return (
        isinstance(right, Key)
        and node.op in ORDER_OPERATORS
        and not right.quoted
        and not right.scope
        and right.name in _TIME_INTRINSICS
    )


def _texts(node: Test) -> list[str] | None:
    """Return the texts that a comparison by `==`, `!=` or `in` asks for, or None."""
    right = node.right
    if node.op == "in" and isinstance(right, ListLiteral):
        texts = [item.value for item in right.items if isinstance(item.value, str)]
        return texts if len(texts) == len(right.items) else None
    if node.op not in ("==", "!="):
        return None
    if isinstance(right, Key) and not _is_dotted(right):
        return [right.name]
    if isinstance(right, Literal) and isinstance(right.value, str):
        return [right.value]
    return None


def _is_uneven(value: Constant) -> bool:
    return isinstance(value, float) and not value.is_integer()


def _flat_every(items: tuple[Condition, ...]) -> Condition:
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Every) else (item,))
    return Every(tuple(flat))


def _flat_either(items: tuple[Condition, ...]) -> Condition:
    flat: list[Condition] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Either) else (item,))
    return Either(tuple(flat))


def _all_filters(items: list[Filter]) -> Filter:
    flat: list[Filter] = []
    for item in items:
        flat.extend(item.items if isinstance(item, AllFilters) else (item,))
    return flat[0] if len(flat) == 1 else AllFilters(tuple(flat))


def _any_filter(items: list[Filter]) -> Filter:
    flat: list[Filter] = []
    for item in items:
        flat.extend(item.items if isinstance(item, AnyFilter) else (item,))
    return AnyFilter(tuple(flat))


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
