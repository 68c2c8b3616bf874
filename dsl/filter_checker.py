"""What stands inside `where(…)`: which reading a key has, and what it is compared with.

An intrinsic has a type; a comparison that its type cannot answer means the attribute of that name.
A binding or `trace` in front of a key reads another span, or the trace: such filters are taken
apart from the predicate by the checker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dsl.bindings import Bindings
from dsl.nodes import And, AttributeOf, Key, ListLiteral, Literal, Node, Not, Or, Some, Test
from dsl.plan import (
    AllFilters,
    AnyFilter,
    Ask,
    Filter,
    NoFilter,
    Operand,
    Reader,
    SomeOf,
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

TEXT_INTRINSICS: Final = frozenset({"name", "service", "status_message"})
TIME_INTRINSICS: Final = frozenset({"duration", "start"})
_WORDS_OF: Final[Mapping[str, frozenset[str]]] = {"kind": KIND_WORDS, "status": STATUS_WORDS}
_ITEM_INTRINSICS: Final[Mapping[str, frozenset[str]]] = {
    "event": frozenset({"name"}),
    "link": frozenset({"trace_id", "span_id"}),
}
_NULL_WORDS: Final = frozenset({"null", "nil", "none", "None", "NULL", "undefined"})

Right: TypeAlias = Key | AttributeOf | Literal | ListLiteral | None


@dataclass(slots=True)
class FilterChecker:
    """Reads the filters of one rule.

    alone: the filter belongs to no rule, so that there is no trace to ask. trace_words: what the
    filters read of the trace so far.
    """

    source: Source
    bindings: Bindings
    alone: bool = False
    trace_words: set[str] = field(default_factory=set)
    pattern_count: int = 0
    unicode_class_count: int = 0

    def text_of(self, node: Node | Key) -> str:
        """Return a node as it was written."""
        return self.source.text[node.at : node.end]

    def filter(self, node: Node, *, scope: str) -> Filter | None:
        """Return the meaning of a filter; scope: "event" or "link" inside their `where`."""
        match node:
            case And(items=items) | Or(items=items):
                filters = [self.filter(item, scope=scope) for item in items]
                known = [one for one in filters if one is not None]
                if len(known) < len(filters):
                    return None
                return all_filters(known) if isinstance(node, And) else any_filter(known)
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
        """Return the meaning of one comparison."""
        key = node.left.key if isinstance(node.left, AttributeOf) else node.left
        if scope and key.scope:
            self.source.refuse(
                "rule.scope_inside", key.at, key.end, scope=scope, key=_plain_key(key)
            )
            return None
        if not scope and key.scope in ("event", "link"):
            return self.item_test(node, key)
        if isinstance(node.left, AttributeOf):
            return None if self.is_taken(key) else self.compared(node, key, scope=scope)
        if _is_trace_key(key):
            return self.trace_test(node, key, scope)
        return self.key_test(node, key, scope)

    def item_test(self, node: Test, key: Key) -> Filter | None:
        """`event.k == 1` is `event.where(k == 1)`, and `k` is never the event's own name."""
        inner = Test(
            Key("", key.name, False, key.at, key.end), node.op, node.right, node.at, node.end
        )
        if isinstance(node.left, AttributeOf):
            inner.left = AttributeOf(Key("", key.name, True, key.at, key.end), key.at, key.end)
        found = self.test(inner, scope=key.scope)
        return None if found is None else SomeOf(key.scope, found, node.at, node.end)

    def key_test(self, node: Test, key: Key, scope: str) -> Filter | None:
        """Compare what a key reads off the span itself, or off the span of a binding."""
        first = key.name.split(".")[0]
        bound = (
            not key.quoted and not key.scope and self.bindings.begins(first, at=key.at, end=key.end)
        )
        if bound is None:
            return None
        if not bound:
            return self.compared(node, key, scope=scope)
        owned = self.bound_key(key)
        return None if owned is None else self.compared(node, owned[1], scope="", of=owned[0])

    def bound_key(self, key: Key) -> tuple[str, Key] | None:
        """Return the binding in front of a key and what it reads; None with a problem."""
        owned = self.bindings.owner(key)
        assert owned is not None
        binding, own = owned
        if not own.name:
            self.refuse_bare(key, binding)
            return None
        if own.scope in ("event", "link"):
            self.source.refuse("rule.bound_item", key.at, key.end, word=binding, scope=own.scope)
            return None
        return binding, own

    def refuse_bare(self, key: Key, binding: str) -> None:
        following = f"read something of it, such as `{binding}.user.id`"
        self.source.refuse(
            "rule.bare_binding", key.at, key.end, text=binding, word=binding, next=following
        )

    def is_taken(self, key: Key) -> bool:
        """Refuse an attribute that begins like a binding. True if it does."""
        first = key.name.split(".")[0]
        taken = not key.quoted and not key.scope and first in self.bindings.all
        if taken:
            following = f'an attribute begins with it: write `attr("{key.name}")`'
            self.source.refuse("rule.binding_name", key.at, key.end, word=first, next=following)
        return taken

    def compared(self, node: Test, key: Key, *, scope: str, of: str = "") -> Filter | None:
        """Compare what a key reads with the right side. of: the binding whose span is read."""
        reader = self.reader(node, key, scope=scope, of=of)
        if node.op == "exists":
            return Ask(reader, "exists", None, node.at, node.end)
        if node.op == "":
            return Ask(reader, "==", True, node.at, node.end)
        if node.right is None:
            return None
        operand = self.right_operand(node, reader, scope)
        return None if operand is None else Ask(reader, node.op, operand, node.at, node.end)

    def trace_test(self, node: Test, key: Key, scope: str) -> Filter | None:
        """Compare one of the four values of the trace."""
        word = key.name.partition(".")[2]
        if not self.is_of_trace(word, key):
            return None
        reader = Reader("trace", word)
        if node.op == "exists":
            return Ask(reader, "exists", None, node.at, node.end)
        if node.right is None:
            found = f"`{key.name}`"
            hint = f"compare it: `{key.name} == …`"
            self.source.refuse("rule.unexpected", key.at, key.end, hint=hint, found=found)
            return None
        operand = self.right_operand(node, reader, scope)
        if operand is None:
            return None
        if word == "duration" and not _is_duration(operand):
            self.source.refuse(
                "rule.mixed_units",
                node.at,
                node.end,
                left="a duration",
                op=node.op,
                right="anything else",
                next="durations are written with a unit: `2s`",
            )
            return None
        return Ask(reader, node.op, operand, node.at, node.end)

    def is_of_trace(self, word: str, key: Key) -> bool:
        """Note that a filter reads the trace; refuse it where there is none."""
        if self.alone:
            hint = "such a filter knows its span, and no trace"
            self.source.refuse("rule.unexpected", key.at, key.end, hint=hint, found=f"`{key.name}`")
            return False
        self.trace_words.add(word)
        return True

    def reader(self, node: Test, key: Key, *, scope: str, of: str) -> Reader:
        """Decide what a key on the left reads."""
        plain = not isinstance(node.left, AttributeOf) and not key.quoted
        if scope:
            own = plain and key.name in _ITEM_INTRINSICS[scope]
            return Reader(f"{scope} intrinsic" if own else scope, key.name)
        if key.scope:
            return Reader(key.scope, key.name, of)
        if plain and self.is_intrinsic(node, key):
            return Reader("intrinsic", key.name, of)
        return Reader("any", key.name, of)

    def is_intrinsic(self, node: Test, key: Key) -> bool:
        """Tell whether a key is the span's own property in this comparison, and say if not."""
        name = key.name
        if name in TEXT_INTRINSICS:
            return True
        if name in _WORDS_OF:
            return self.is_word_intrinsic(node, key)
        if name in TIME_INTRINSICS:
            taken = self.is_time(node)
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

    def is_time(self, node: Test) -> bool:
        """Tell whether the right side is a duration, or another time."""
        right = node.right
        if isinstance(right, Literal):
            return isinstance(right.value, Duration) and node.op in SYMBOL_OPERATORS
        if not isinstance(right, Key) or right.quoted or right.scope:
            return False
        if right.name == "trace.duration":
            return node.op in SYMBOL_OPERATORS
        owned = self.bindings.owner(right)
        if owned is None:
            return node.op in ORDER_OPERATORS and right.name in TIME_INTRINSICS
        own = owned[1]
        return (
            node.op in SYMBOL_OPERATORS
            and not own.quoted
            and not own.scope
            and own.name in TIME_INTRINSICS
        )

    def right_operand(self, node: Test, reader: Reader, scope: str) -> Operand:
        """Return what a value is compared with, or None with a problem."""
        right = node.right
        assert right is not None
        if isinstance(right, AttributeOf):
            return None if self.is_taken(right.key) else self.attribute_operand(node, right, scope)
        if isinstance(right, Key):
            return self.key_operand(node, right, reader, scope)
        if isinstance(right, Literal) and isinstance(right.value, Duration):
            if _is_time_reader(reader):
                return right.value
            self.source.refuse("rule.no_unit", right.at, right.end)
            return None
        return self.operand(node.op, right, text_only=False, at=node.at, end=node.end)

    def attribute_operand(self, node: Test, right: AttributeOf, scope: str) -> Operand:
        if not self.takes_values(node.op, right):
            return None
        return self.right_reader(right.key, scope)

    def takes_values(self, op: str, right: Key | AttributeOf) -> bool:
        """Tell whether an operator takes what is read on the right, and say if not."""
        code = {"in": "rule.list_expected", "matches": "rule.pattern_not_text"}.get(op)
        if code is not None:
            self.source.refuse(code, right.at, right.end)
        return code is None

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
        """A word on the right is text; after `<` and its like an attribute of the same span.

        With a binding or `trace` in front it is read there.
        """
        if _is_trace_key(right):
            return self.trace_operand(node, right, reader)
        first = right.name.split(".")[0]
        if not right.quoted and not right.scope:
            bound = self.bindings.begins(first, at=right.at, end=right.end)
            if bound is None:
                return None
            if bound:
                return self.bound_operand(node, right, reader)
        if node.op in ORDER_OPERATORS:
            own = not scope and not right.scope and self.is_right_intrinsic(reader, right)
            return Reader("intrinsic", right.name) if own else self.right_reader(right, scope)
        if _is_dotted(right):
            self.refuse_dotted(right)
            return None
        word = right.name
        if word in _NULL_WORDS and node.op in ("==", "!="):
            key_text = self.text_of(node.left)
            self.source.warn("rule.null_word", right.at, right.end, word=word, key=key_text)
        literal = Literal(word, True, right.at, right.end)
        return self.operand(node.op, literal, text_only=False, at=node.at, end=node.end)

    def bound_operand(self, node: Test, right: Key, reader: Reader) -> Operand:
        owned = self.bound_key(right)
        if owned is None or not self.takes_values(node.op, right):
            return None
        binding, own = owned
        if own.scope:
            return Reader(own.scope, own.name, binding)
        if not own.quoted and self.is_right_intrinsic(reader, own):
            return Reader("intrinsic", own.name, binding)
        if not own.quoted and own.name in TIME_INTRINSICS:
            self.warn_attribute(own, f"compare the span's {own.name} with another time")
        return Reader("any", own.name, binding)

    def trace_operand(self, node: Test, right: Key, reader: Reader) -> Operand:
        word = right.name.partition(".")[2]
        if not self.is_of_trace(word, right) or not self.takes_values(node.op, right):
            return None
        if word == "duration" and not _is_time_reader(reader):
            self.source.refuse("rule.no_unit", right.at, right.end)
            return None
        return Reader("trace", word)

    def is_right_intrinsic(self, reader: Reader, right: Key) -> bool:
        if right.name in TEXT_INTRINSICS:
            return True
        return _is_time_reader(reader) and right.name in TIME_INTRINSICS

    def refuse_dotted(self, key: Key) -> None:
        word = self.text_of(key)
        meant = nearest(word.split(".")[0], self.bindings.here)
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


# -- words and keys --------------------------------------------------------------------------------


def _is_trace_key(key: Key) -> bool:
    first, _, rest = key.name.partition(".")
    return not key.quoted and not key.scope and first == "trace" and rest in TRACE_WORDS


def _is_dotted(key: Key) -> bool:
    return bool(key.scope) or "." in key.name


def _plain_key(key: Key) -> str:
    return key.name if key.name.replace(".", "").replace("_", "").isalnum() else f'"{key.name}"'


def _is_time_reader(reader: Reader) -> bool:
    if reader.source == "trace":
        return reader.key == "duration"
    return reader.source == "intrinsic" and reader.key in TIME_INTRINSICS


def _is_duration(operand: Operand) -> bool:
    return isinstance(operand, Duration) or (
        isinstance(operand, Reader) and _is_time_reader(operand)
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


def all_filters(items: list[Filter]) -> Filter:
    """Return the `and` of filters, nested ones flattened."""
    flat: list[Filter] = []
    for item in items:
        flat.extend(item.items if isinstance(item, AllFilters) else (item,))
    return flat[0] if len(flat) == 1 else AllFilters(tuple(flat))


def any_filter(items: list[Filter]) -> Filter:
    """Return the `or` of filters, nested ones flattened."""
    flat: list[Filter] = []
    for item in items:
        flat.extend(item.items if isinstance(item, AnyFilter) else (item,))
    return AnyFilter(tuple(flat))
