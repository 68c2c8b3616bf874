"""Parsing `having`: and, or, not and parentheses over `count` and `fn(key)` against numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from dsl.lexer import Token
from dsl.many.nodes import (
    Having,
    HavingAll,
    HavingAny,
    HavingBroken,
    HavingNot,
    HavingTest,
    Measured,
)
from dsl.nodes import Key
from dsl.parser import Parser
from dsl.source import Source
from dsl.values import Duration
from dsl.words import AGGREGATES, FLIPPED, OPERATOR_WORDS, SYMBOL_OPERATORS, nearest

FUNCTIONS: Final = AGGREGATES | {"count"}


class HavingParser(Parser):
    """The part of the parser that reads `having`. open_count: parentheses around where it is."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        super().__init__(source, tokens)
        self.open_count = 0

    def having(self) -> Having:
        """Parse alternatives, and what they are made of."""
        items = [self.having_all()]
        while self.is_word("or"):
            self.i += 1
            items.append(self.having_all())
        return items[0] if len(items) == 1 else HavingAny(items)

    def having_all(self) -> Having:
        items = [self.having_not()]
        while self.is_word("and"):
            self.i += 1
            items.append(self.having_not())
        return items[0] if len(items) == 1 else HavingAll(items)

    def having_not(self) -> Having:
        if not self.is_word("not"):
            return self.having_operand()
        self.deeper()
        self.i += 1
        item = HavingNot(self.having_not())
        self.depth -= 1
        return item

    def having_operand(self) -> Having:
        """Parse one operand; where it is wrong, step over it so that the next is read too."""
        self.quiet = False
        found = self.tried(self.having_test)
        if found is None:
            self.quiet = True
            self.skip_operand()
            while self.kind() == ")" and self.open_count == 0:  # of a call that went wrong
                self.i += 1
                self.skip_operand()
            return HavingBroken()
        return found

    def having_test(self) -> Having:
        token = self.tokens[self.i]
        if token.kind == "(":
            return self.having_parenthesised(token)
        self.refuse_number_left(token)
        measure = self.measured()
        op = self.having_operator(measure)
        value = self.having_number(op)
        if self.kind() in SYMBOL_OPERATORS:
            raise self.wrong("rule.chained_comparison")
        if self.kind() in ("+", "-", "*", "/"):
            raise self.wrong("rule.having_test")
        return HavingTest(measure, op, value, token.start, self.last_end())

    def having_parenthesised(self, opening: Token) -> Having:
        self.deeper()
        self.i += 1
        if self.kind() == ")":
            raise self.wrong("rule.having_test")
        self.open_count += 1
        node = self.having()
        self.close(opening)
        self.open_count -= 1
        self.depth -= 1
        return node

    # -- the left side ---------------------------------------------------------------------------

    def refuse_number_left(self, token: Token) -> None:
        """Refuse `5 <= count` and say how to turn it round."""
        if token.kind not in ("number", "duration"):
            return
        op = self.kind(1)
        if op not in SYMBOL_OPERATORS or self.kind(2) != "ident":
            raise self.wrong("rule.having_test")
        self.i += 2
        measure_at = self.tokens[self.i].start
        self.measured()
        measure_text = self.source.text[measure_at : self.last_end()]
        number_text = self.source.text[token.start : token.end]
        instead = f"{measure_text} {FLIPPED[op]} {number_text}"
        raise self.wrong_at("rule.literal_left", token.start, self.last_end(), instead=instead)

    def measured(self) -> Measured:
        token = self.tokens[self.i]
        word = str(token.value)
        opens = self.kind(1) == "("
        if token.kind != "ident" or (word not in FUNCTIONS and not opens):
            raise self.wrong("rule.having_test")
        if word == "count":
            if opens:
                raise self.wrong("rule.having_count")
            self.i += 1
            return Measured(word, None, token.start, token.end)
        if word not in FUNCTIONS:
            meant = nearest(word, sorted(FUNCTIONS))
            hint = f"did you mean `{meant}`?" if meant else f"there are {_LISTED}"
            raise self.wrong("rule.unknown_function", hint=hint, word=word)
        if not opens:
            raise self.wrong("rule.having_key", function=word)
        return self.function_of_key(token, word)

    def function_of_key(self, token: Token, word: str) -> Measured:
        self.i += 1
        opening = self.tokens[self.i]
        self.i += 1
        key = self.key()
        if self.is_word("of"):
            raise self.wrong("rule.having_of", function=word)
        if self.kind() != ")":
            raise self.wrong("rule.having_key", function=word)
        self.close(opening)
        self.refuse_trace(word, key)
        return Measured(word, key, token.start, self.last_end())

    def refuse_trace(self, word: str, key: Key) -> None:
        """Traces are counted, and nothing else: `max(trace)` has no meaning."""
        if is_trace(key) and word != "distinct":
            self.source.refuse("rule.having_trace", key.at, key.end, function=word)

    # -- operator and number ---------------------------------------------------------------------

    def having_operator(self, measure: Measured) -> str:
        token = self.tokens[self.i]
        if token.kind in SYMBOL_OPERATORS:
            self.i += 1
            return token.kind
        if token.kind == "ident" and token.value in OPERATOR_WORDS:
            following = "compare it with == != < <= > >="
            raise self.wrong("rule.operator_type", op=token.value, what="numbers", next=following)
        if token.kind in ("+", "-", "*", "/"):
            raise self.wrong("rule.having_test")
        text = self.source.text[measure.at : measure.end]
        following = f"compare it: `{text} >= 5`"
        raise self.wrong_at(
            "rule.number_as_condition", measure.at, measure.end, found=f"`{text}`", next=following
        )

    def having_number(self, op: str) -> int | Fraction | Duration:
        negative = self.kind() == "-"
        token = self.tokens[self.i + negative]
        if token.kind not in ("number", "duration"):
            raise self.wrong("rule.expected_number", op=op)
        self.i += 1 + negative
        value = token.value
        if isinstance(value, Duration):
            return Duration(-value.ns) if negative else value
        # As written: 0.1 is a tenth, not the nearest double. A number the lexer refused is 0.
        exact = Fraction(self.source.text[token.start : token.end]) if value else Fraction(0)
        number = int(exact) if exact.denominator == 1 else exact
        return -number if negative else number


_LISTED: Final = "count and " + " ".join(f"{one}(…)" for one in sorted(AGGREGATES))


def is_trace(key: Key) -> bool:
    """Tell whether a key is the word `trace`: the traces that members come from."""
    return not key.quoted and not key.scope and key.name == "trace"
