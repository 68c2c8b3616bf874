"""Tokens to a tree, by recursive descent.

A mistake is recorded, the parser steps over the operand it stands in and goes on, so that one look
shows all mistakes. Types, and where bindings hold, are not looked at here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from dsl.lexer import MAX_NAME_CHARACTERS, Token
from dsl.nodes import (
    Aggregate,
    And,
    AttributeOf,
    Broken,
    Clause,
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
    Relation,
    Sequence,
    Some,
    SpanTerm,
    Sum,
    Test,
)
from dsl.source import Source
from dsl.values import Duration
from dsl.words import (
    AGGREGATES,
    CLAUSES,
    FLIPPED,
    KINSHIP,
    OPERATOR_WORDS,
    RESERVED,
    SCOPES,
    SYMBOL_OPERATORS,
    did_you_mean,
    nearest,
    nearest_operator,
)

MAX_NESTING: Final = 100
MAX_LIST_ITEMS: Final = 1_000
MAX_TERMS: Final = 1_000
_LOOK_AHEAD: Final = 6
_JOINERS: Final = frozenset({"and", "or"})
_ORDER_WORDS: Final = frozenset({"before", "after", "during"})
_FUNCTIONS: Final = AGGREGATES | {"count"}
T = TypeVar("T")


class _Wrong(Exception):
    """Leaves an operand whose problem is already recorded."""


class _TooDeep(Exception):
    """Leaves the text: nesting is over the limit."""


def parse(source: Source, tokens: list[Token]) -> Promise | None:
    """Return the tree of a rule text, or None if it is none. Problems go to source."""
    return whole(Parser(source, tokens).rule)


def parse_filter(source: Source, tokens: list[Token]) -> Node | None:
    """Return the tree of a filter alone (what stands inside `where(…)`), or None."""
    return whole(Parser(source, tokens).filter_alone)


def whole(parse_text: Callable[[], T]) -> T | None:
    """Return what a parser makes of a whole text, or None if its nesting is over the limit."""
    try:
        return parse_text()
    except _TooDeep:
        return None


class Parser:
    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        # A few more ends, so that looking ahead needs no check.
        self.tokens = tokens + tokens[-1:] * _LOOK_AHEAD
        # What is asked most, side by side: the kinds of the tokens, and what words they are.
        self.kinds = [token[0] for token in self.tokens]
        self.words = [token[1] if token[0] == "ident" else None for token in self.tokens]
        self.i = 0
        self.depth = 0
        self.quiet = False  # a closing bracket may be missing because of a recorded problem

    # -- looking and stepping ------------------------------------------------------------------

    def is_word(self, word: str, ahead: int = 0) -> bool:
        return self.words[self.i + ahead] == word

    def kind(self, ahead: int = 0) -> str:
        return self.kinds[self.i + ahead]

    def last_end(self) -> int:
        return self.tokens[self.i - 1].end if self.i else 0

    def shown(self, token: Token) -> str:
        if token.kind == "end":
            return "the end of the text"
        return f"`{self.source.text[token.start : token.end]}`"

    def refuse_token(self, code: str, *, hint: str | None = None, **words: object) -> None:
        token = self.tokens[self.i]
        words.setdefault("found", self.shown(token))
        self.source.refuse(code, token.start, token.end, hint=hint, **words)

    def wrong(self, code: str, *, hint: str | None = None, **words: object) -> _Wrong:
        self.refuse_token(code, hint=hint, **words)
        return _Wrong()

    def wrong_at(
        self, code: str, at: int, end: int, *, hint: str | None = None, **words: object
    ) -> _Wrong:
        """Record a problem between two offsets; return what leaves the operand."""
        self.source.refuse(code, at, end, hint=hint, **words)
        return _Wrong()

    def tried(self, parse_part: Callable[[], T]) -> T | None:
        """Return what parses, or None where it does not; its problem is then recorded."""
        try:
            return parse_part()
        except _Wrong:
            return None

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.refuse_token("rule.too_deep", limit=MAX_NESTING)
            raise _TooDeep

    def starts_clause(self) -> bool:
        return self.words[self.i] in CLAUSES and self.kinds[self.i + 1] == "{"

    # -- the rule ------------------------------------------------------------------------------

    def rule(self) -> Promise | None:
        if self.kind() == "end":
            self.refuse_token("rule.empty")
            return None
        clauses: dict[str, Clause] = {}
        seen_any = False
        while self.kind() != "end":
            token = self.tokens[self.i]
            word = str(token.value)
            if token.kind == "ident" and word in CLAUSES:
                self.clause(word, clauses)
                seen_any = True
            elif token.kind == "ident" and word in ("correlate", "expect") and self.kind(1) == "{":
                self.refuse_token("rule.own_text", word=word)
                return None
            elif token.kind == "ident" and self.kind(1) == "{":
                self.unknown_clause(word)
                seen_any = True
            else:
                self.stray(seen_any)
                seen_any = True
        self.require(clauses)
        return Promise(clauses)

    def require(self, clauses: dict[str, Clause]) -> None:
        """Refuse a rule without `when`, or without a promise."""
        if self.source.problems and not clauses:
            return
        at = min(clause.at for clause in clauses.values()) if clauses else 0
        end = at + 4
        misread = any(
            problem.code in ("rule.unknown_clause", "rule.bare_condition")
            for problem in self.source.problems
        )
        if misread:
            return
        if "when" not in clauses:
            first = min(clauses.values(), key=lambda clause: clause.at)
            self.source.refuse("rule.no_when", first.at, first.at + len(first.word))
        elif len(clauses) == 1:
            self.source.refuse("rule.no_promise", at, end)

    def clause(self, word: str, clauses: dict[str, Clause]) -> None:
        token = self.tokens[self.i]
        self.i += 1
        if self.kind() != "{":
            self.refuse_token("rule.expected_brace", clause=word)
            body: Node = Broken(token.start, token.end)
            self.skip_to_clause()
        else:
            body = self.block(word)
        if word in clauses:
            self.source.refuse("rule.clause_twice", token.start, token.end, clause=word)
            return
        clauses[word] = Clause(word, body, token.start, self.last_end())

    def block(self, word: str) -> Node:
        opening = self.tokens[self.i]
        self.i += 1
        self.depth = 0
        self.quiet = False
        if self.kind() == "}":
            if self.all_blank(opening.end, self.tokens[self.i].start):
                end = self.tokens[self.i].end
                self.source.refuse("rule.empty_clause", opening.start, end, clause=word)
            self.i += 1
            return Broken(opening.start, self.last_end())
        body = self.condition()
        while self.kind() not in ("}", "end") and not self.starts_clause():
            self.leftover()
        if self.kind() == "}":
            self.i += 1
        elif not self.quiet or self.kind() == "end" or self.starts_clause():
            self.source.refuse("rule.unclosed_brace", opening.start, opening.end)
        return body

    def all_blank(self, at: int, end: int) -> bool:
        """Tell whether nothing was lost between two places: no character that is no token."""
        lines = self.source.text[at:end].split("\n")
        return not any(line.partition("//")[0].strip() for line in lines)

    def leftover(self) -> None:
        """Answer what follows a complete condition, and step over it."""
        token = self.tokens[self.i]
        if not self.quiet:
            self.refuse_leftover(token)
        self.i += 1
        self.skip_operand()
        if self.kind() == ")" or (self.kind() == "ident" and self.tokens[self.i].value in _JOINERS):
            self.quiet = True
            self.i += 1
            if self.kind() not in ("}", "end", ")"):
                self.condition()

    def refuse_leftover(self, token: Token) -> None:
        word = str(token.value)
        if token.kind == "ident" and word.lower() in ("and", "or", "not") and word != word.lower():
            self.refuse_token("rule.capital_word", word=word, instead=word.lower())
        elif token.kind == "ident" and word == "where":
            name = self.source.text[self.tokens[self.i - 1].start : self.last_end()]
            self.refuse_token("rule.missing_where", name=name)
        elif self.i and self.is_word("count", -1):
            before = self.tokens[self.i - 1]
            self.source.refuse("rule.count_plain", before.start, before.end)
        elif token.kind == "ident" and self.kind(1) in ("string", "number", "duration", "["):
            self.unknown_operator(word)
        elif token.kind in ("ident", "string", "number"):
            self.refuse_token("rule.missing_and", hint=self.meant_relation(word))
        elif token.kind in SYMBOL_OPERATORS:
            self.refuse_token("rule.chained_comparison")
        else:
            self.refuse_token("rule.unexpected")

    def meant_relation(self, word: str) -> str | None:
        """Return the hint for a word that was probably meant to go on after a span test."""
        if self.tokens[self.i].kind != "ident":
            return None
        if word in KINSHIP:
            return f"write `{word} of` and the binding of a span"
        return did_you_mean(word, _GOES_ON) or None

    def unknown_operator(self, word: str) -> None:
        if word in OPERATOR_WORDS:
            self.refuse_token("rule.chained_comparison")
            return
        meant = nearest_operator(word)
        hint = _MISPLACED.get(word) or (f"did you mean `{meant}`?" if meant else None)
        self.refuse_token("rule.unknown_operator", hint=hint, word=word)

    def unknown_clause(self, word: str) -> None:
        meant = _CLAUSE_LIKE.get(word.lower()) or nearest(word, CLAUSES)
        hint = f"did you mean `{meant}`?" if meant else None
        self.refuse_token("rule.unknown_clause", hint=hint, word=word)
        self.i += 1
        self.block(word)

    def stray(self, seen_any: bool) -> None:
        token = self.tokens[self.i]
        start = self.i
        self.skip_to_clause()
        end = self.tokens[max(start, self.i - 1)].end
        if seen_any:
            self.source.refuse("rule.text_after", token.start, end, found=self.shown(token))
        else:
            text = self.source.text[token.start : end]
            self.source.refuse("rule.bare_condition", token.start, end, text=text)

    def skip_to_clause(self) -> None:
        """Go to the next word that opens a clause outside braces, or to the end."""
        nesting = 0
        first = self.i
        kind = self.kind()
        while kind != "end":
            if kind == "{":
                nesting += 1
            elif kind == "}":
                nesting = max(0, nesting - 1)
            elif (
                kind == "ident"
                and nesting == 0
                and self.kind(1) == "{"
                and (self.i > first or self.starts_clause())
            ):
                return
            self.i += 1
            kind = self.kind()

    def skip_operand(self) -> None:
        """Go to the `and`, `or` or closing bracket that ends the operand we stand in."""
        nesting = 0
        while True:
            token = self.tokens[self.i]
            kind = token.kind
            if kind in ("end", "}") or self.starts_clause():
                return
            if kind in ("(", "["):
                nesting += 1
            elif kind in (")", "]"):
                if nesting == 0 and kind == ")":
                    return
                nesting = max(0, nesting - 1)
            elif nesting == 0 and kind == "ident" and token.value in _JOINERS:
                return
            self.i += 1

    # -- joining: the same for conditions and filters --------------------------------------------

    def condition(self) -> Node:
        return self.joined(self.comparison)

    def filter(self) -> Node:
        return self.joined(self.filter_test)

    def joined(self, operand: Callable[[], Node]) -> Node:
        """Parse operands with `not`, `and`, `or`, in that order of strength."""
        at = self.tokens[self.i].start
        alternatives: list[Node] = []
        together = [self.negated(operand)]
        words = self.words
        while True:
            word = words[self.i]
            if word == "and":
                self.i += 1
                together.append(self.negated(operand))
            elif word == "or":
                self.i += 1
                alternatives.append(_all_of(together))
                together = [self.negated(operand)]
            else:
                break
        alternatives.append(_all_of(together))
        return alternatives[0] if len(alternatives) == 1 else Or(alternatives, at, self.last_end())

    def negated(self, operand: Callable[[], Node]) -> Node:
        starts: list[int] = []
        while self.words[self.i] == "not":
            starts.append(self.tokens[self.i].start)
            self.deeper()
            self.i += 1
        start = self.i
        self.quiet = False
        try:
            node = operand()
        except _Wrong:
            self.quiet = True
            at = self.tokens[start].start
            self.skip_operand()
            node = Broken(at, max(at, self.last_end()))
        if starts:
            end = self.last_end()
            for at in reversed(starts):
                node = Not(node, at, end)
            self.depth -= len(starts)
        return node

    def close(self, opening: Token) -> None:
        """Step over the `)` that belongs to an opening one."""
        if self.kind() == ")":
            self.i += 1
            return
        if self.quiet:
            return
        token = self.tokens[self.i]
        if token.kind in ("end", "}") or self.starts_clause():
            self.source.refuse("rule.unclosed_parenthesis", opening.start, opening.end)
            self.quiet = True
            return
        self.refuse_leftover(token)
        self.quiet = True
        self.skip_operand()
        while self.kind() == "ident" and not self.starts_clause():
            self.i += 1
            self.skip_operand()
        if self.kind() == ")":
            self.i += 1

    # -- trace level -----------------------------------------------------------------------------

    def comparison(self) -> Node:
        token = self.tokens[self.i]
        at = token.start
        if self.words[self.i + 1] in _JOINERS and self.is_lone_name(token):
            self.i += 1
            return SpanTerm([str(token.value)], False, [], None, [], at, token.end)
        left = self.arithmetic(right=False)
        op_token = self.tokens[self.i]
        op = self.operator()
        if op is None:
            return left
        if op == "exists":
            return Compare(left, op, None, op_token.start, at, self.last_end())
        right = self.list_literal() if op == "in" else self.right_side(op)
        node = Compare(left, op, right, op_token.start, at, self.last_end())
        if self.kind() in SYMBOL_OPERATORS:
            raise self.wrong("rule.chained_comparison")
        return node

    def is_lone_name(self, token: Token) -> bool:
        """Tell whether a word is a whole condition: most are, and this saves ten calls each."""
        return (
            token.kind == "ident"
            and token.value not in RESERVED
            and token.end - token.start <= MAX_NAME_CHARACTERS
        )

    def operator(self) -> str | None:
        """Step over an operator and return it, or stay and return None."""
        kind, word = self.kinds[self.i], self.words[self.i]
        if kind in SYMBOL_OPERATORS:
            self.i += 1
            return kind
        if word in OPERATOR_WORDS:
            self.i += 1
            return str(word)
        return None

    def right_side(self, op: str) -> Node:
        if self.kind() == "[":
            self.refuse_token("rule.list_with_operator", op=op)
            self.list_literal()
            raise _Wrong
        if self.kind() in ("end", "}", ")", ",") or self.is_joiner():
            raise self.wrong("rule.expected_value", op=op)
        return self.arithmetic(right=True)

    def is_joiner(self) -> bool:
        return self.words[self.i] in _JOINERS

    def arithmetic(self, *, right: bool) -> Node:
        at = self.tokens[self.i].start
        first = self.product(right=right)
        if self.kinds[self.i] not in ("+", "-"):
            return first
        signs, items = ["+"], [first]
        while self.kind() in ("+", "-"):
            self.refuse_hyphen(items[-1])
            signs.append(self.kind())
            self.refuse_long_calculation(signs, at)
            self.i += 1
            items.append(self.product(right=right))
        return Sum(signs, items, at, self.last_end())

    def product(self, *, right: bool) -> Node:
        at = self.tokens[self.i].start
        first = self.unary(right=right)
        if self.kinds[self.i] not in ("*", "/"):
            return first
        signs, items = ["*"], [first]
        while self.kind() in ("*", "/"):
            self.refuse_hyphen(items[-1])
            signs.append(self.kind())
            self.refuse_long_calculation(signs, at)
            self.i += 1
            items.append(self.unary(right=right))
        return Product(signs, items, at, self.last_end())

    def refuse_long_calculation(self, signs: list[str], at: int) -> None:
        if len(signs) > MAX_TERMS:
            limit = f"{MAX_TERMS:,}"
            self.source.refuse("rule.calculation_too_long", at, self.last_end(), limit=limit)
            raise _Wrong

    def refuse_hyphen(self, left: Node) -> None:
        """Refuse `my-service.call`: a name with a hyphen or slash in it must be quoted."""
        token = self.tokens[self.i]
        following = self.tokens[self.i + 1]
        touching = left.end == token.start and token.end == following.start
        if touching and isinstance(left, SpanTerm) and following.kind == "ident":
            raise self.wrong("rule.quote_name", character=token.kind)

    def unary(self, *, right: bool) -> Node:
        token = self.tokens[self.i]
        if token.kind != "-":
            return self.primary(right=right)
        self.deeper()
        self.i += 1
        item = self.unary(right=right)
        self.depth -= 1
        if isinstance(item, Literal) and isinstance(item.value, int | float) and not item.word:
            return Literal(-item.value, False, token.start, item.end)
        return Negative(item, token.start, self.last_end())

    def primary(self, *, right: bool) -> Node:
        token = self.tokens[self.i]
        kind = token.kind
        if kind == "ident":
            return self.worded(token, right=right)
        if kind == "string":
            if right:
                self.i += 1
                return Literal(str(token.value), False, token.start, token.end)
            return self.span_condition()
        if kind in ("number", "duration"):
            self.i += 1
            return Literal(token.value, False, token.start, token.end)
        if kind == "(":
            return self.parenthesised(token)
        if kind == "[":
            raise self.wrong("rule.list_expected")
        raise self.wrong("rule.expected_condition")

    def parenthesised(self, opening: Token) -> Node:
        self.deeper()
        self.i += 1
        if self.kind() == ")":
            raise self.wrong("rule.expected_condition")
        node = self.condition()
        self.close(opening)
        self.depth -= 1
        return node

    def worded(self, token: Token, *, right: bool) -> Node:
        word = str(token.value)
        if word in ("true", "false") and (right or self.kind(1) != "."):
            self.i += 1
            return Literal(word == "true", False, token.start, token.end)
        if self.kinds[self.i + 1] == "(":
            if word == "count":
                return self.count(token)
            if word in AGGREGATES:
                return self.aggregate(token)
            if word == "attr":
                return self.attribute_of()
        return self.right_word() if right else self.span_condition()

    def count(self, token: Token) -> Node:
        self.i += 1
        opening = self.tokens[self.i]
        self.i += 1
        self.deeper()
        term = self.counted_term()
        self.close(opening)
        self.depth -= 1
        if self.kind() == "." and self.is_word("where", 1):
            name = ".".join(term.parts)
            self.i += 1
            raise self.wrong("rule.count_where", name=name)
        return Count(term, token.start, self.last_end())

    def aggregate(self, token: Token) -> Node:
        self.i += 1
        opening = self.tokens[self.i]
        self.i += 1
        self.deeper()
        key = self.key()
        if not self.is_word("of"):
            raise self.wrong("rule.unexpected", hint=f"write `{token.value}(attribute of span)`")
        self.i += 1
        term = self.counted_term()
        self.close(opening)
        self.depth -= 1
        return Aggregate(str(token.value), key, term, token.start, self.last_end())

    def counted_term(self) -> SpanTerm:
        token = self.tokens[self.i]
        if self.is_function(token):
            raise self.wrong("rule.unexpected", hint="what is counted is the name of a span")
        term = self.related_term()
        if self.is_joiner():
            hint = "one span test is counted: write `count(a) + count(b)`"
            self.refuse_token("rule.unexpected", hint=hint)
            while self.is_joiner():
                self.i += 1
                self.skip_operand()
        return term

    def is_function(self, token: Token) -> bool:
        return token.kind == "ident" and token.value in _FUNCTIONS and self.kind(1) == "("

    def attribute_of(self) -> AttributeOf:
        at = self.tokens[self.i].start
        self.i += 1
        opening = self.tokens[self.i]
        self.i += 1
        if self.kind() not in ("ident", "string"):
            raise self.wrong("rule.attr_argument")
        key = self.key()
        if self.kind() != ")":
            raise self.wrong("rule.attr_argument")
        self.close(opening)
        return AttributeOf(key, at, self.last_end())

    def right_word(self) -> Node:
        """A word to the right of an operator at trace level: a text, or a name with dots."""
        token = self.tokens[self.i]
        glued = self.glued_word()
        if glued is not None:
            return glued
        parts = self.dotted()
        if self.kind() == "." and self.is_word("where", 1):
            raise self.wrong("rule.unexpected", hint="a span test cannot stand here")
        return SpanTerm(parts, False, [], None, [], token.start, self.last_end())

    # -- spans -----------------------------------------------------------------------------------

    def span_condition(self) -> Node:
        term = self.related_term()
        if self.words[self.i] == "then":
            return self.sequence(term)
        return term

    def related_term(self) -> SpanTerm:
        """Parse a span test with its relations, and its name before or behind them."""
        term = self.span_test()
        word = self.words[self.i]
        if word is not None and word != "then":
            self.alias(term)
            self.relations(term)
            self.alias(term)
        return term

    def sequence(self, first: SpanTerm) -> Sequence:
        steps = [first]
        while self.words[self.i] == "then":
            self.i += 1
            token = self.tokens[self.i]
            if token.kind not in ("ident", "string") or self.is_function(token):
                raise self.wrong("rule.sequence_brackets")
            if token.value == "not" and token.kind == "ident":
                raise self.wrong("rule.reserved_word", word="not", hint=_NO_STEP)
            step = self.span_test()
            if self.words[self.i] == "as":
                self.alias(step)
            steps.append(step)
        if self.starts_relation():
            raise self.wrong("rule.sequence_brackets")
        return Sequence(steps, self.within(), first.at, self.last_end())

    def starts_relation(self) -> bool:
        word, following = self.words[self.i], self.words[self.i + 1]
        if word is None or following is None:
            return False
        return (word in KINSHIP and following == "of") or word in _ORDER_WORDS

    def span_test(self) -> SpanTerm:
        token = self.tokens[self.i]
        if token.kind == "string":
            self.i += 1
            parts = [str(token.value)]
            if self.kind() == "." and not self.is_word("where", 1):
                self.i += 1
                parts.append(self.segment())
            self.refuse_long_name(parts, token.start)
            return self.filtered(parts, True, token.start)
        if token.kind != "ident":
            raise self.wrong("rule.expected_name")
        if token.value in RESERVED:
            self.refuse_reserved(token)
        if self.kinds[self.i + 1] == ".":
            self.refuse_old_dialect(token)
        return self.filtered(self.dotted(), False, token.start)

    def filtered(self, parts: list[str], quoted: bool, at: int) -> SpanTerm:
        filters: list[Node] = []
        while self.kind() == "." and self.is_word("where", 1):
            self.i += 2
            opening = self.tokens[self.i]
            if opening.kind != "(":
                raise self.wrong("rule.expected_parenthesis", word="where")
            self.deeper()
            self.i += 1
            if self.kind() == ")":
                self.source.refuse("rule.empty_where", opening.start, self.tokens[self.i].end)
                filters.append(Broken(opening.start, self.tokens[self.i].end))
            else:
                filters.append(self.filter())
            self.close(opening)
            self.depth -= 1
        if self.kinds[self.i] in (".", "("):
            self.refuse_call(parts, quoted, at)
        return SpanTerm(parts, quoted, filters, None, [], at, self.last_end())

    def refuse_call(self, parts: list[str], quoted: bool, at: int) -> None:
        """Refuse `payment.charge(amount > 5)` and `has(x)`."""
        if self.kind() == ".":
            if self.kind(1) == "ident":
                return
            self.i += 1
            raise self.wrong("rule.expected_segment")
        word = parts[-1]
        meant = nearest(word, _FUNCTIONS) if len(parts) == 1 and not quoted else None
        if meant or (len(parts) == 1 and word in ("has", "exists")):
            hint = f"did you mean `{meant}`?" if meant else "a name alone asks for such a span"
            self.source.refuse("rule.unknown_function", at, self.last_end(), hint=hint, word=word)
            raise _Wrong
        raise self.wrong("rule.missing_where", name=".".join(parts))

    def refuse_reserved(self, token: Token) -> None:
        word = str(token.value)
        if word in _JOINERS or (word in OPERATOR_WORDS and self.kind(1) in ("string", "[")):
            raise self.wrong("rule.expected_condition")
        raise self.wrong("rule.reserved_word", word=word)

    def refuse_old_dialect(self, token: Token) -> None:
        """Answer `trace.has(x)`, `trace.count(x)` and `span.attributes["k"]` with modern text."""
        if self.kind(2) != "ident":
            return
        method = str(self.tokens[self.i + 2].value)
        at = token.start
        if token.value == "trace" and method in ("has", "count") and self.kind(3) == "(":
            self.i += 4
            inner_at = self.tokens[self.i].start
            self.skip_operand()
            inner = self.source.text[inner_at : self.tokens[self.i].start].strip()
            if method == "has":
                self.i += self.kind() == ")"
                suffix_at = self.last_end()
                self.skip_operand()
                instead = (inner + self.source.text[suffix_at : self.last_end()]).strip()
                self.source.refuse("rule.old_has", at, self.last_end(), instead=instead)
            else:
                self.source.refuse("rule.old_count", at, self.tokens[self.i].end, name=inner)
            raise _Wrong
        if method == "attributes" and self.kind(3) == "[":
            raise self.old_attributes(token)

    def old_attributes(self, token: Token) -> _Wrong:
        key = self.tokens[self.i + 4]
        name = str(key.value) if key.kind in ("string", "ident") else "key"
        scope = str(token.value)
        instead = _key_text("" if scope in ("span", "attributes") else scope, name)
        self.source.refuse(
            "rule.old_attributes",
            token.start,
            key.end,
            scope=scope,
            instead=f"some.span.where({instead} …)" if self.depth == 0 else instead,
        )
        return _Wrong()

    def dotted(self) -> list[str]:
        """Parse `a.b.c`, stopping in front of `.where`."""
        token = self.tokens[self.i]
        parts = [str(token.value)]
        self.i += 1
        while self.kinds[self.i] == "." and self.words[self.i + 1] != "where":
            self.i += 1
            parts.append(self.segment())
        if self.tokens[self.i - 1].end - token.start > MAX_NAME_CHARACTERS:
            self.refuse_long_name(parts, token.start)
        return parts

    def segment(self) -> str:
        token = self.tokens[self.i]
        if token.kind != "ident":
            raise self.wrong("rule.expected_segment")
        self.i += 1
        return str(token.value)

    def refuse_long_name(self, parts: list[str], at: int) -> None:
        if sum(map(len, parts)) > MAX_NAME_CHARACTERS:
            limit = f"{MAX_NAME_CHARACTERS:,}"
            self.source.refuse("rule.name_too_long", at, self.last_end(), limit=limit)

    def alias(self, term: SpanTerm) -> None:
        if self.words[self.i] == "as" and self.kinds[self.i + 1] == "ident":
            term.alias = str(self.tokens[self.i + 1].value)
            self.i += 2
            term.end = self.last_end()

    def relations(self, term: SpanTerm) -> None:
        while self.starts_relation():
            word = str(self.tokens[self.i].value)
            at = self.tokens[self.i].start
            self.i += 2 if word in KINSHIP else 1
            if self.kind() != "ident" or self.is_joiner():
                raise self.wrong("rule.expected_name", hint="name the binding of `when { … as q }`")
            binding = str(self.tokens[self.i].value)
            self.i += 1
            within = self.within() if word in ("before", "after") else None
            term.relations.append(Relation(word, binding, within, at, self.last_end()))
            term.end = self.last_end()

    def within(self) -> Duration | None:
        if self.words[self.i] != "within":
            return None
        self.i += 1
        token = self.tokens[self.i]
        if not isinstance(token.value, Duration):
            raise self.wrong("rule.expected_value", op="within", hint="write `within 5s`")
        self.i += 1
        return token.value

    # -- filters ---------------------------------------------------------------------------------

    def filter_alone(self) -> Node:
        if self.kind() == "end":
            self.refuse_token("rule.expected_key")
            return Broken(0, 0)
        node = self.filter()
        if self.kind() != "end":
            self.refuse_leftover(self.tokens[self.i])
        return node

    def filter_test(self) -> Node:
        token = self.tokens[self.i]
        if token.kind == "(":
            return self.parenthesised_filter(token)
        if token.kind == "ident" and token.value in ("event", "link"):
            some = self.some(str(token.value))
            if some is not None:
                return some
        self.refuse_literal_left(token)
        if token.kind == "ident" and token.value == "attr" and self.kind(1) == "(":
            left: Key | AttributeOf = self.attribute_of()
        else:
            left = self.key()
        return self.filter_rest(left)

    def parenthesised_filter(self, opening: Token) -> Node:
        self.deeper()
        self.i += 1
        if self.kind() == ")":
            raise self.wrong("rule.expected_key")
        node = self.filter()
        self.close(opening)
        self.depth -= 1
        if self.kind() in ("+", "-", "*", "/"):
            raise self.wrong("rule.arithmetic_in_where")
        return node

    def some(self, scope: str) -> Node | None:
        """Parse `event.where(…)`; stay and return None if it is something else."""
        if not (self.kind(1) == "." and self.is_word("where", 2) and self.kind(3) == "("):
            return None
        at = self.tokens[self.i].start
        self.i += 3
        opening = self.tokens[self.i]
        self.deeper()
        self.i += 1
        if self.kind() == ")":
            self.source.refuse("rule.empty_where", opening.start, self.tokens[self.i].end)
            item: Node = Broken(at, self.tokens[self.i].end)
        else:
            item = self.filter()
        self.close(opening)
        self.depth -= 1
        return Some(scope, item, at, self.last_end())

    def refuse_literal_left(self, token: Token) -> None:
        """Refuse `x.where(5 < amount)` and say how to turn it round."""
        literal = token.kind in ("number", "duration", "-") or (
            token.kind == "ident" and token.value in ("true", "false")
        )
        if token.kind == "string" and self.kind(1) in SYMBOL_OPERATORS:
            # "a" == b may be a quoted key; only a plain word on the right and == says nothing.
            return
        if not literal:
            return
        start = self.i
        self.i += 1 + (token.kind == "-")
        op = self.kind()
        value_text = self.source.text[token.start : self.last_end()]
        if op in SYMBOL_OPERATORS and self.kind(1) in ("ident", "string"):
            self.i += 1
            key_at = self.tokens[self.i].start
            self.key()
            key_text = self.source.text[key_at : self.last_end()]
            self.source.refuse(
                "rule.literal_left",
                token.start,
                self.last_end(),
                instead=f"{key_text} {FLIPPED[op]} {value_text}",
            )
            raise _Wrong
        self.i = start
        raise self.wrong("rule.expected_key")

    def filter_rest(self, left: Key | AttributeOf) -> Node:
        op = self.operator()
        if op is None:
            self.refuse_after_key(left)
            return Test(left, "", None, left.at, left.end)
        if op == "exists":
            return Test(left, op, None, left.at, self.last_end())
        right = self.list_literal() if op == "in" else self.value(op)
        if self.kind() in ("+", "-", "*", "/"):
            raise self.wrong("rule.arithmetic_in_where")
        if self.kind() in SYMBOL_OPERATORS:
            raise self.wrong("rule.chained_comparison")
        return Test(left, op, right, left.at, self.last_end())

    def refuse_after_key(self, left: Key | AttributeOf) -> None:
        """Say what is wrong with what follows a key that is neither an operator nor an end."""
        token = self.tokens[self.i]
        if token.kind in ("+", "-", "*", "/"):
            touching = left.end == token.start and self.tokens[self.i + 1].start == token.end
            code = "rule.quote_name" if touching else "rule.arithmetic_in_where"
            raise self.wrong(code, character=token.kind)
        if token.kind == "[" and isinstance(left, Key) and left.name == "attributes":
            key = self.tokens[self.i + 1]
            instead = _key_text("" if left.scope == "span" else left.scope, str(key.value))
            scope = left.scope or "span"
            self.source.refuse(
                "rule.old_attributes", left.at, key.end, scope=scope, instead=instead
            )
            raise _Wrong
        if token.kind == "(" and isinstance(left, Key):
            raise self.wrong("rule.unexpected", hint=did_you_mean(left.name, ["attr"]) or None)
        if token.kind != "ident" or token.value in _JOINERS:
            return
        word = str(token.value)
        if word.lower() in _JOINERS:
            raise self.wrong("rule.capital_word", word=word, instead=word.lower())
        if self.kind(1) in (")", "}", "end") and nearest_operator(word) is None:
            behind = f"`exists` stands behind the attribute: `{word} exists`"
            hint = behind if isinstance(left, Key) and left.name == "exists" else None
            raise self.wrong("rule.missing_and", hint=hint)
        self.unknown_operator(word)
        raise _Wrong

    def key(self) -> Key:
        token = self.tokens[self.i]
        if token.kind == "string":
            self.i += 1
            self.refuse_long_name([str(token.value)], token.start)
            return Key("", str(token.value), True, token.start, token.end)
        if token.kind != "ident" or (token.value in RESERVED and self.not_a_key(token)):
            raise self.wrong("rule.expected_key")
        parts = [str(token.value)]
        tail = ""
        self.i += 1
        if self.kinds[self.i] != "." and token.end - token.start <= MAX_NAME_CHARACTERS:
            return Key("", parts[0], False, token.start, token.end)
        while self.kind() == ".":
            if self.kind(1) == "string":
                tail = str(self.tokens[self.i + 1].value)
                parts.append(tail)
                self.i += 2
                break
            self.i += 1
            parts.append(self.segment())
        self.refuse_long_name(parts, token.start)
        scope = parts.pop(0) if len(parts) > 1 and parts[0] in SCOPES else ""
        return Key(scope, ".".join(parts), False, token.start, self.last_end(), tail)

    def not_a_key(self, token: Token) -> bool:
        """Tell whether a word of the language stands where a key should, and is not one."""
        if token.value in ("and", "or", "not", "true", "false"):
            return True
        following = self.tokens[self.i + 1]
        if following.kind in SYMBOL_OPERATORS or following.kind in (".", ")"):
            return False
        return not (following.kind == "ident" and following.value in OPERATOR_WORDS | _JOINERS)

    def value(self, op: str) -> Key | AttributeOf | Literal:
        token = self.tokens[self.i]
        if token.kind == "[":
            self.refuse_token("rule.list_with_operator", op=op)
            self.list_literal()
            raise _Wrong
        if token.kind == "-" and self.kind(1) == "number":
            self.i += 2
            number = self.tokens[self.i - 1].value
            assert isinstance(number, int | float)
            return Literal(-number, False, token.start, self.last_end())
        if token.kind in ("string", "number", "duration"):
            self.i += 1
            return Literal(token.value, False, token.start, token.end)
        if token.kind == "(":
            raise self.wrong("rule.arithmetic_in_where")
        if token.kind != "ident" or token.value in _JOINERS or token.value == "not":
            raise self.wrong("rule.expected_value", op=op)
        if token.value in ("true", "false"):
            self.i += 1
            return Literal(token.value == "true", False, token.start, token.end)
        if token.value == "attr" and self.kind(1) == "(":
            return self.attribute_of()
        if self.is_function(token):
            self.i += 1
            hint = f"filters do not calculate: compare `{token.value}(…)` outside of `where(…)`"
            raise self.wrong("rule.unexpected", hint=hint)
        return self.glued_word() or self.key()

    def glued_word(self) -> Literal | None:
        """Parse `staging-crm`: one word with hyphens and no blanks, as a text."""
        tokens, i = self.tokens, self.i
        if self.kinds[i + 1] != "-":
            return None
        end = tokens[i].end
        j = i + 1
        while (
            tokens[j].kind == "-"
            and tokens[j].start == end
            and tokens[j + 1].kind in ("ident", "number", "duration")
            and tokens[j + 1].start == tokens[j].end
        ):
            end = tokens[j + 1].end
            j += 2
        if j == i + 1:
            return None
        self.i = j
        return Literal(self.source.text[tokens[i].start : end], True, tokens[i].start, end)

    def list_literal(self) -> ListLiteral:
        opening = self.tokens[self.i]
        if opening.kind != "[":
            raise self.wrong("rule.list_expected")
        self.i += 1
        items: list[Literal] = []
        while self.kind() != "]":
            items.append(self.list_item())
            if len(items) > MAX_LIST_ITEMS:
                limit = f"{MAX_LIST_ITEMS:,}"
                end = self.last_end()
                self.source.refuse("rule.list_too_long", opening.start, end, limit=limit)
                raise _Wrong
            if self.kind() == ",":
                self.i += 1
            elif self.kind() != "]":
                self.refuse_list_end(opening)
        self.i += 1
        if not items:
            self.source.refuse("rule.empty_list", opening.start, self.last_end())
        return ListLiteral(items, opening.start, self.last_end())

    def refuse_list_end(self, opening: Token) -> None:
        if self.kind() in ("end", "}", ")") or self.is_joiner() or self.starts_clause():
            self.source.refuse("rule.unclosed_list", opening.start, opening.end)
            raise _Wrong
        raise self.wrong("rule.list_item", hint="items are separated by commas")

    def list_item(self) -> Literal:
        token = self.tokens[self.i]
        if token.kind == "-" and self.kind(1) == "number":
            self.i += 2
            number = self.tokens[self.i - 1].value
            assert isinstance(number, int | float)
            return Literal(-number, False, token.start, self.last_end())
        if token.kind in ("string", "number"):
            self.i += 1
            return Literal(token.value, False, token.start, token.end)
        if token.kind == "ident" and token.value not in ("and", "or", "not"):
            glued = self.glued_word()
            if glued is not None:
                return glued
            self.i += 1
            if self.kind() == ".":
                raise self.wrong("rule.list_item", hint="put texts with dots in quotes")
            if token.value in ("true", "false"):
                return Literal(token.value == "true", False, token.start, token.end)
            return Literal(str(token.value), True, token.start, token.end)
        raise self.wrong("rule.list_item")


_CLAUSE_LIKE: Final = {
    "if": "when",
    "given": "when",
    "on": "when",
    "must": "always",
    "require": "always",
    "requires": "always",
    "then": "always",
    "forbid": "never",
    "deny": "never",
}

_GOES_ON: Final = (*sorted(KINSHIP | _ORDER_WORDS), "then", "within", "as")
"""Words that may follow a span test."""
_MISPLACED: Final = {
    "not": "`not` stands before the whole test: `not tier in [gold]`",
    "within": "`within` follows `before q`, `after q` or the last step of `a then b`",
}
"""Words of the language that stand where an operator should, and what to write."""
_NO_STEP: Final = (
    "`not a then b` denies the whole; what must not come between two bound steps is "
    "`never { c after a before b }`"
)


def _all_of(items: list[Node]) -> Node:
    return items[0] if len(items) == 1 else And(items, items[0].at, items[-1].end)


def _key_text(scope: str, name: str) -> str:
    plain = all(part.isidentifier() and part.isascii() for part in name.split("."))
    text = name if plain else f'"{name}"'
    return f"{scope}.{text}" if scope else text
