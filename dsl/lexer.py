"""Text to tokens. Knows characters, not grammar.

Usual mistakes (`&&`, `=`, single quotes, `10MB`) are answered here with a problem of their own and
turned into the token that was meant, so that the parser goes on and finds the next one.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, NamedTuple

from dsl.source import Source
from dsl.values import Duration

MAX_STRING_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 10_000
MAX_NUMBER_DIGITS = 309
MAX_TOKENS = 8_000
"""A thousand conditions and more. Checking takes up to 10 µs a token, and 100 ms are allowed."""


class Token(NamedTuple):
    """A word of the text.

    kind: "ident", "string", "number", "duration", "end", or the punctuation itself.
    value: the text of a string, the number, the Duration; the word of an ident.
    """

    kind: str
    value: str | int | float | Duration
    start: int
    end: int


NS_PER_UNIT: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}

# Possessive quantifiers (`*+`, `(?>`) keep every branch linear on hostile text.
_TOKEN = re.compile(
    r"""
    \s*+ (?:
      (?P<ident>[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<punct>(?!//)(?:={3,}+|!={2,}+|==|!=|<=|>=|<>|=~|!~|&&|\|\||[{}()\[\],.<>+*/-]))
    | (?P<number>[0-9]++(?>\.[0-9]++)?(?>[eE][+-]?[0-9]++)?)(?P<unit>[A-Za-z_µ%][A-Za-z0-9_µ%]*+)?
    | (?P<string>"(?>[^"\\]++|\\.)*+")
    | (?P<single>'[^'\n]*+'?)
    | (?P<open>")
    | (?P<comment>//[^\n]*+)
    | (?P<mistake>[=&|!;\#])
    | (?P<last>\Z)
    | (?P<other>.)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_token = tuple.__new__  # half the time of Token(…), for the two kinds that are everywhere
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r'\\(["\\])')

_INSTEAD: Final[dict[str, tuple[str, str, str]]] = {
    # what stands there: (problem, what was meant, kind of the token that stands in for it)
    "&&": ("rule.ampersands", "and", "ident"),
    "&": ("rule.ampersands", "and", "ident"),
    "||": ("rule.bars", "or", "ident"),
    "|": ("rule.bars", "or", "ident"),
    "!": ("rule.exclamation", "not", "ident"),
    "=": ("rule.single_equals", "==", "=="),
    "===": ("rule.triple_equals", "==", "=="),
    "!==": ("rule.triple_equals", "!=", "!="),
    "<>": ("rule.unlike", "!=", "!="),
    "=~": ("rule.unlike", "matches", "ident"),
    "!~": ("rule.not_matches", "matches", "ident"),
}


def tokenize(source: Source) -> list[Token] | None:
    """Return the tokens of a text, always ending with one "end" token. Problems go to source.

    None: there are more than MAX_TOKENS, and nothing more is to be said about the text.
    """
    text = source.text
    tokens: list[Token] = []
    add = tokens.append
    position, size = 0, len(text)
    scan = _TOKEN.match
    while position < size:
        found = scan(text, position)
        assert found is not None  # the last branch takes any character
        kind = found.lastgroup
        start, position = found.span(kind)  # type: ignore[arg-type]
        if kind == "ident":
            add(_token(Token, ("ident", text[start:position], start, position)))
        elif kind == "punct":
            word = text[start:position]
            if word in _INSTEAD or len(word) > 2:
                add(_instead(source, word, start, position))
            else:
                add(_token(Token, (word, word, start, position)))
        elif kind == "comment" or kind == "last":
            continue
        elif kind == "number" or kind == "unit":
            start = found.start("number")
            add(_number(source, found["number"], found["unit"] or "", start))
        elif kind == "string":
            add(_string(source, found[kind], start, position))
        elif kind == "single":
            add(_single(source, found[kind], start, position))
        elif kind == "open":
            source.refuse("rule.unclosed_string", start, start + 1)
            inner = text[start + 1 : start + 1 + MAX_STRING_CHARACTERS]
            add(Token("string", inner, start, size))
            position = size
        elif kind == "mistake":
            position = _mistake(source, tokens, start)
        else:
            source.refuse("rule.bad_character", start, position, character=_shown(text[start]))
            position = _after_run(text, start)
        if len(tokens) > MAX_TOKENS:
            source.refuse("rule.too_many_words", start, position, limit=f"{MAX_TOKENS:,}")
            return None
    add(Token("end", "", size, size))
    return tokens


def refuse_surrogates(source: Source) -> bool:
    """Refuse text with halves of UTF-16 pairs: no encoding of it exists. True if refused."""
    found = _SURROGATE.search(source.text)
    if found is None:
        return False
    shown = f"U+{ord(found.group()):04X}"
    source.refuse("rule.bad_character", found.start(), found.end(), character=shown)
    return True


def _string(source: Source, raw: str, start: int, end: int) -> Token:
    inner = raw[1:-1]
    if len(inner) > MAX_STRING_CHARACTERS:
        source.refuse("rule.string_too_long", start, end, limit=f"{MAX_STRING_CHARACTERS:,}")
    return Token("string", _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner, start, end)


def _single(source: Source, raw: str, start: int, end: int) -> Token:
    inner = raw[1:-1] if len(raw) > 1 and raw.endswith("'") else raw[1:]
    source.refuse("rule.single_quotes", start, end, text=f'"{inner}"')
    return Token("string", inner, start, end)


def _instead(source: Source, word: str, start: int, end: int) -> Token:
    # `====` is one mistake, the same as `===`.
    code, meant, kind = _INSTEAD[word[:3]]
    source.refuse(code, start, end, op=word, instead=meant)
    return Token(kind, meant, start, end)


def _mistake(source: Source, tokens: list[Token], start: int) -> int:
    """Handle a character that other languages use; return where to go on."""
    word = source.text[start]
    if word == "#":
        source.refuse("rule.comment_style", start, start + 1)
        end_of_line = source.text.find("\n", start)
        return len(source.text) if end_of_line < 0 else end_of_line
    if word == ";":
        source.refuse("rule.semicolon", start, start + 1)
    else:
        tokens.append(_instead(source, word, start, start + 1))
    return start + 1


def _number(source: Source, digits: str, unit: str, start: int) -> Token:
    end = start + len(digits) + len(unit)
    if unit == "" or unit in NS_PER_UNIT:
        exact = _exact(digits)
        if exact is None:
            source.refuse("rule.number_range", start, end, number=digits)
            return Token("number", 0, start, end)
        if unit == "":
            return Token("number", exact, start, end)
        return _duration(source, digits, unit, start)
    if unit[0] in "smhdnu" and any(char.isdigit() for char in unit):
        source.refuse("rule.compound_duration", start, end, text=digits + unit)
        return Token("duration", Duration(0), start, end)
    source.refuse("rule.unknown_unit", start, end, text=digits + unit)
    return Token("number", 0, start, end)


def _exact(digits: str) -> int | float | None:
    """Return the number, or None if it is out of range. Whole numbers stay integers."""
    mantissa, _, exponent = digits.lower().partition("e")
    if len(mantissa) > 2 * MAX_NUMBER_DIGITS or len(exponent) > 4:
        return None
    if mantissa == digits and "." not in digits:
        return int(digits) if len(digits) <= MAX_NUMBER_DIGITS else None
    number = float(digits)
    return None if number == float("inf") else number


def _duration(source: Source, digits: str, unit: str, start: int) -> Token:
    end = start + len(digits) + len(unit)
    if digits.isdigit():
        return Token("duration", Duration(int(digits) * NS_PER_UNIT[unit]), start, end)
    ns = Fraction(digits) * NS_PER_UNIT[unit]
    if ns.denominator != 1:
        source.refuse("rule.duration_too_fine", start, end, text=digits + unit)
    return Token("duration", Duration(int(ns)), start, end)


def _shown(character: str) -> str:
    printable = character.isprintable() and not character.isspace()
    return f"`{character}`" if printable else f"U+{ord(character):04X}"


def _after_run(text: str, start: int) -> int:
    """Return the end of a run of one bad character, so that a page of them is one problem."""
    end = start + 1
    while end < len(text) and text[end] == text[start]:
        end += 1
    return end
