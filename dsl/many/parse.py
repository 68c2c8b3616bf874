"""Tokens of a `correlate` or an `expect` to a tree, by the parser of promises and a few more words.

The parts after the braces are read in any order and refused where they stand wrong, so that one
look shows all mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from dsl.lexer import Token
from dsl.many.nodes import Correlate, Expect, Source, Violated, Written
from dsl.many.parse_having import FUNCTIONS, HavingParser
from dsl.nodes import Key, SpanTerm
from dsl.parser import whole
from dsl.source import Source as Text
from dsl.values import Duration
from dsl.words import (
    CLAUSES,
    KINSHIP,
    OPERATOR_WORDS,
    SYMBOL_OPERATORS,
    WORD_OPERATORS,
    nearest,
)

S = TypeVar("S")
KINDS: Final = ("correlate", "expect")
PARTS: Final = {"correlate": ("by", "within", "having"), "expect": ("every", "by")}
_NEEDED: Final = {"correlate": ("by", "within", "having"), "expect": ("every",)}
_OTHER_WORDS: Final = {
    "correlate": {"in": "within", "over": "within", "for": "within", "per": "by", "on": "by"}
    | {"where": "having", "if": "having", "every": "within", "group": "by"},
    "expect": {"each": "every", "within": "every", "in": "every", "per": "by", "for": "by"},
}
_EXAMPLES: Final = {
    "by": "`by user.id`: what members have in common",
    "within": "`within 10m`: how long the window is",
    "having": "`having count >= 5`: what must not be so",
    "every": "`every 24h`: how far apart two of them may be",
}
_FOLLOWING: Final = KINSHIP | {"as", "then", "before", "after", "during", "within"}
"""Words that go on after a span test in a promise."""


def opens_many(tokens: list[Token]) -> bool:
    """Tell whether a text is meant to be a `correlate` or an `expect`."""
    first, second = tokens[0], tokens[min(1, len(tokens) - 1)]
    if first.kind != "ident" or first.value in CLAUSES:
        return False
    if first.value in KINDS:
        joined = second.kind == "ident" and second.value in _GOES_ON
        return second.kind in ("{", "ident", "string", "end") and not joined
    return second.kind == "{" and nearest(str(first.value), KINDS) is not None


_GOES_ON: Final = OPERATOR_WORDS | _FOLLOWING | {"and", "or", "in"}


def parse_many(source: Text, tokens: list[Token]) -> Correlate | Expect | None:
    """Return the tree of a text that `opens_many`, or None. Problems go to source."""
    return whole(_ManyParser(source, tokens).many)


class _ManyParser(HavingParser):
    def __init__(self, source: Text, tokens: list[Token]) -> None:
        super().__init__(source, tokens)
        braces = [i for i, token in enumerate(tokens) if token.kind == "}"]
        self.last_brace = braces[-1] if braces else -1
        self.not_plain = "rule.source_plain"

    def many(self) -> Correlate | Expect:
        token = self.tokens[0]
        word = str(token.value)
        if word not in KINDS:
            word = self.refuse_kind(word)
        self.i += 1
        return self.correlate() if word == "correlate" else self.expect()

    def refuse_kind(self, word: str) -> str:
        meant = nearest(word, KINDS)
        assert meant is not None  # opens_many has seen it
        if word.lower() == meant:
            self.refuse_token("rule.capital_word", word=word, instead=meant)
        else:
            self.refuse_token("rule.unknown_clause", hint=f"did you mean `{meant}`?", word=word)
        return meant

    def correlate(self) -> Correlate:
        node = Correlate(self.braced("correlate", self.source_here), [], None, None)

        def by() -> bool:
            node.by = self.keys()
            return True

        def within() -> bool:
            node.within = self.length("within")
            return True

        def having() -> bool:
            node.having = self.having()
            return True

        self.parts("correlate", {"by": by, "within": within, "having": having})
        return node

    def expect(self) -> Expect:
        self.not_plain = "rule.expect_plain"
        terms = self.braced("expect", self.expected_here)
        term = terms[0] if terms else None
        node = Expect(term, None, None, None)

        def every() -> bool:
            node.every = self.length("every")
            return True

        def by() -> bool:
            node.key = self.one_key()
            if self.is_word("in"):
                self.i += 1
                node.listed = self.list_literal()
            return True

        self.parts("expect", {"every": every, "by": by})
        return node

    # -- between the braces ----------------------------------------------------------------------

    def braced(self, kind: str, parse_one: Callable[[], S]) -> list[S]:
        """Parse what stands between braces: sources joined by `or`."""
        opening = self.tokens[self.i]
        if opening.kind != "{":
            self.refuse_token("rule.expected_brace", clause=kind)
            self.skip_to_part(kind)
            return []
        self.i += 1
        if self.kind() == "}":
            if self.all_blank(opening.end, self.tokens[self.i].start):
                end = self.tokens[self.i].end
                self.source.refuse("rule.empty_clause", opening.start, end, clause=kind)
            self.i += 1
            return []
        found = self.joined_sources(kind, parse_one)
        if self.kind() == "}":
            self.i += 1
        elif not self.quiet or self.kind() == "end":
            self.source.refuse("rule.unclosed_brace", opening.start, opening.end)
        return found

    def joined_sources(self, kind: str, parse_one: Callable[[], S]) -> list[S]:
        found = []
        while True:
            self.quiet = False
            one = self.tried(parse_one)
            if one is None:
                self.quiet = True
                self.skip_operand()
            else:
                found.append(one)
            if not self.joins(kind):
                return found

    def joins(self, kind: str) -> bool:
        """Step over what joins two sources; say if it is not `or`. False: no source follows."""
        while True:
            token = self.tokens[self.i]
            if token.kind in ("}", "end") or self.lacks_brace(kind):
                return False
            if kind == "expect" and not self.quiet:
                self.refuse_token("rule.expect_one")
            elif not self.quiet and not self.is_word("or"):
                self.refuse_token("rule.source_joined")
            if token.kind == "," or self.is_joiner():
                self.i += 1
                return True
            if not self.quiet and token.kind in ("ident", "string"):
                return True
            self.quiet = True
            self.i += 1
            self.skip_operand()

    def source_here(self) -> Source:
        if self.is_word("violated") and self.kind(1) == "(":
            return self.violated()
        return self.plain_span()

    def expected_here(self) -> SpanTerm:
        if self.is_word("violated") and self.kind(1) == "(":
            raise self.wrong("rule.expect_one")
        return self.plain_span()

    def violated(self) -> Violated:
        at = self.tokens[self.i].start
        self.i += 1
        opening = self.tokens[self.i]
        self.i += 1
        token = self.tokens[self.i]
        if token.kind != "string" or not token.value:
            raise self.wrong("rule.violated_argument")
        self.i += 1
        self.close(opening)
        return Violated(str(token.value), at, self.last_end())

    def plain_span(self) -> SpanTerm:
        """Parse a span test with filters, and refuse what may follow one in a promise."""
        if self.is_word("not") or self.kind() in ("(", "number", "duration", "-"):
            raise self.wrong(self.not_plain)
        token = self.tokens[self.i]
        if self.kind(1) == "(" and token.value in FUNCTIONS:
            raise self.wrong(self.not_plain)
        if self.kind(1) == "(" and nearest(str(token.value), ("violated",)):
            raise self.wrong(
                "rule.unknown_function", hint="did you mean `violated`?", word=token.value
            )
        start = token.start
        term = self.span_test()
        token = self.tokens[self.i]
        if token.kind in SYMBOL_OPERATORS or self.is_compared(token):
            raise self.compared(term, start)
        if token.kind == "ident" and token.value in _FOLLOWING and self.i < self.last_brace:
            self.skip_operand()
            found = f"`{token.value}`"
            raise self.wrong_at(self.not_plain, token.start, self.last_end(), found=found)
        return term

    def is_compared(self, token: Token) -> bool:
        compares = token.kind == "ident" and token.value in WORD_OPERATORS
        return compares and self.kind(1) in ("string", "[")

    def compared(self, term: SpanTerm, start: int) -> Exception:
        """Answer the short form of a promise, `payment.charge.amount > 1000`."""
        self.skip_operand()
        text = f"`{self.source.text[start : self.last_end()]}`"
        if term.filters or term.quoted or len(term.parts) < 2:
            return self.wrong_at(self.not_plain, start, self.last_end(), found=text)
        name = ".".join(term.parts[:-1])
        rest = self.source.text[term.end - len(term.parts[-1]) : self.last_end()]
        hint = f"write `{name}.where({rest})`"
        return self.wrong_at(self.not_plain, start, self.last_end(), found=text, hint=hint)

    # -- after the braces ------------------------------------------------------------------------

    def starts_part(self, kind: str) -> bool:
        token = self.tokens[self.i]
        return token.kind == "ident" and token.value in PARTS[kind]

    def lacks_brace(self, kind: str) -> bool:
        """Tell whether a part begins inside the braces because they are never closed."""
        return self.i > self.last_brace and self.starts_part(kind)

    def parts(self, kind: str, parsers: dict[str, Callable[[], bool]]) -> None:
        """Parse the parts of a rule until the text ends, each at most once, in their order."""
        seen: dict[str, int] = {}
        while self.kind() != "end":
            token = self.tokens[self.i]
            word = str(token.value) if token.kind == "ident" else ""
            if word not in parsers:
                word = self.refuse_other(kind, seen)
                if not word:
                    continue
            else:
                self.refuse_place(kind, word, seen)
                self.i += 1
            seen[word] = token.start
            self.depth = self.open_count = 0
            self.quiet = False
            if self.tried(parsers[word]) is None or self.quiet:
                self.skip_to_part(kind)
        for word in _NEEDED[kind]:
            if word not in seen and not self.swallowed(word):
                self.refuse_missing(kind, word)

    def swallowed(self, word: str) -> bool:
        """Tell whether a part is there after all, in what was skipped because of a problem."""
        return bool(self.source.problems) and any(token.value == word for token in self.tokens)

    def refuse_place(self, kind: str, word: str, seen: dict[str, int]) -> None:
        order = PARTS[kind]
        if word in seen:
            self.refuse_token("rule.part_twice", word=word)
        elif seen and order.index(word) < max(order.index(one) for one in seen):
            self.refuse_token("rule.part_order", word=word, next=_shape_of(kind))

    def refuse_missing(self, kind: str, word: str) -> None:
        token = self.tokens[0]
        self.source.refuse(
            "rule.part_missing",
            token.start,
            token.end,
            kind=kind,
            word=word,
            next=f"add {_EXAMPLES[word]}",
        )

    def refuse_other(self, kind: str, seen: dict[str, int]) -> str:
        """Say what is wrong with what begins no part. Returns the part that was meant, or ""."""
        token = self.tokens[self.i]
        word = str(token.value) if token.kind == "ident" else ""
        if word in (*CLAUSES, *KINDS) and self.kind(1) == "{":
            self.refuse_token("rule.own_text", word=word)
            self.i = len(self.tokens) - 1
            return ""
        meant = _OTHER_WORDS[kind].get(word) or nearest(word, PARTS[kind])
        if meant is not None and meant not in seen:
            hint = f"did you mean `{meant}`?"
            self.refuse_token("rule.unknown_part", hint=hint, kind=kind, word=word)
            self.i += 1 + (word == "group" and self.is_word("by", 1))
            return meant
        at = token.start
        self.i += 1
        self.skip_to_part(kind)
        found = self.shown(token)
        end = self.last_end()
        self.source.refuse("rule.part_unexpected", at, end, found=found, next=_shape_of(kind))
        return ""

    def skip_to_part(self, kind: str) -> None:
        while self.kind() != "end" and not self.starts_part(kind):
            if self.kind(1) == "{" and self.tokens[self.i].value in (*CLAUSES, *KINDS):
                return
            self.i += 1

    # -- what parts hold -------------------------------------------------------------------------

    def length(self, word: str) -> Written:
        token = self.tokens[self.i]
        value = token.value
        if token.kind == "number" and not self.source.text[token.end - 1].isdigit():
            value = Duration(0)  # its unit is refused already
        if not isinstance(value, Duration):
            raise self.wrong("rule.expected_duration", word=word)
        self.i += 1
        return Written(value, token.start, token.end)

    def keys(self) -> list[Key]:
        found = [self.by_key()]
        while self.kind() == ",":
            self.i += 1
            found.append(self.by_key())
        return found

    def one_key(self) -> Key:
        key = self.by_key()
        if self.kind() == ",":
            at = self.tokens[self.i].start
            while self.kind() == ",":
                self.i += 1
                self.by_key()
            self.source.refuse("rule.one_key", at, self.last_end())
        return key

    def by_key(self) -> Key:
        """Parse a key. It may be any word: what begins another part is told by what follows."""
        following = self.kind(1)
        measures = following == "ident" and self.tokens[self.i + 1].value in FUNCTIONS
        word = self.tokens[self.i].value
        if (word in ("within", "every") and following in ("duration", "number")) or (
            word == "having" and measures
        ):
            raise self.wrong("rule.expected_key")
        return self.key()


def _shape_of(kind: str) -> str:
    parts = {
        "correlate": "correlate { … } by … within … having …",
        "expect": "expect { … } every … by …",
    }
    return f"write `{parts[kind]}`"
