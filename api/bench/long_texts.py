"""Rule texts as long as the language allows, in the shapes that could make checking slow.

A text holds at most `MAX_TEXT_BYTES` and `MAX_TOKENS` words: every shape here comes close to both
(long names fill up what few words leave), and every text is a valid rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import dsl
from dsl.bindings import MAX_BINDINGS
from dsl.filter_checker import MAX_PATTERNS
from dsl.lexer import MAX_TOKENS
from dsl.source import MAX_TEXT_BYTES


@dataclass(frozen=True, slots=True)
class CheckedText:
    """The CPU time of parsing and checking one text."""

    shape: str
    text_bytes: int
    ms: float


def check_slowest(*, repeats: int) -> CheckedText:
    """Parse and check a text of every shape and return the slowest."""
    return max((_check(shape, repeats) for shape in SHAPES), key=lambda checked: checked.ms)


def _check(shape: Shape, repeats: int) -> CheckedText:
    text = shape.text()
    times_ms = []
    for _ in range(repeats):
        begun_ns = time.process_time_ns()
        dsl.check(text)
        times_ms.append((time.process_time_ns() - begun_ns) / 1e6)
    return CheckedText(shape.name, len(text.encode()), min(times_ms))


_SPARE_WORDS = 60
"""Words left to what stands around the pieces of a text."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A text of many pieces. piece: (number from 0, padding for a name) → text of so many words.

    most: how many pieces the language allows, if it is not the words that limit them.
    """

    name: str
    head: str
    piece: Callable[[int, str], str]
    words: int
    separator: str
    tail: str
    most: int = MAX_TOKENS

    def text(self) -> str:
        """Return as many pieces as there may be words, their names filling the text up."""
        count = min((MAX_TOKENS - _SPARE_WORDS) // self.words, self.most)
        bare = [self.piece(number, "") for number in range(count)]
        around = len(self.head) + len(self.tail) + len(self.separator) * (count - 1)
        padding = "x" * ((MAX_TEXT_BYTES - around - sum(map(len, bare))) // count)
        pieces = (self.piece(number, padding) for number in range(count))
        return self.head + self.separator.join(pieces) + self.tail


_DEEP = 90
_LISTED = 1_000
_ALTERNATIVES = 85
_SUMMED = 90


def _related(number: int, padding: str) -> str:
    share = padding[: len(padding) // _ALTERNATIVES]
    filters = " or ".join(f"k{way}{share} == q{number}.u{way}" for way in range(_ALTERNATIVES))
    return f"s{number}.where({filters}) after q{number} as q{number + 1}"


def _listed(number: int, padding: str) -> str:
    # The padding is of a piece of a thousand items: each gets its share.
    share = padding[: len(padding) // _LISTED]
    return f"b{number}.where(x in [{', '.join(f'v{item}{share}' for item in range(_LISTED))}])"


def _summed(number: int, padding: str) -> str:
    share = padding[: len(padding) // _SUMMED]
    counts = (f"count(s{number}_{term}{share})" for term in range(_SUMMED))
    return f"{' + '.join(counts)} > {number}"


SHAPES: tuple[Shape, ...] = (
    Shape(
        "long `and` of spans",
        "when { a }\nalways { ",
        lambda n, pad: f"s{n}{pad}",
        2,
        " and ",
        " }",
    ),
    Shape(
        "long `or` of short forms",
        "when { ",
        lambda n, pad: f"s{n}{pad}.amount > {n}",
        6,
        " or ",
        " }\nalways { b }",
    ),
    Shape(
        "long `and` of filters",
        "when { a.where(",
        lambda n, pad: f"k{n}{pad} == {n}",
        4,
        " and ",
        ") }\nalways { b }",
    ),
    Shape(
        "long `or` of filters",
        "when { a.where(",
        lambda n, pad: f'k == "v{n}{pad}"',
        4,
        " or ",
        ") }\nalways { b }",
    ),
    Shape("long lists", "when { a }\nalways { ", _listed, 2 * _LISTED + 9, " and ", " }"),
    Shape(
        "deep brackets",
        "when { a }\nalways { ",
        lambda n, pad: "(" * _DEEP + f"s{n}{pad}" + ")" * _DEEP,
        2 * _DEEP + 2,
        " and ",
        " }",
    ),
    Shape(
        "deep `and` in `or`",
        "when { a }\nalways { ",
        lambda n, pad: f"(b{n} or (c{n} and " * 20 + f"s{n}{pad}" + "))" * 20,
        20 * 8 + 2,
        " and ",
        " }",
    ),
    Shape(
        "deep `not`",
        "when { a }\nalways { ",
        lambda n, pad: "not " * _DEEP + f"s{n}{pad}",
        _DEEP + 2,
        " and ",
        " }",
    ),
    Shape(
        "bindings, each related to the one before",
        "when { a as q0 and ",
        _related,
        14 + 6 * _ALTERNATIVES,
        " and ",
        " }\nalways { z }",
        most=MAX_BINDINGS - 1,
    ),
    Shape(
        "relations to one binding",
        "when { a as q }\nalways { ",
        lambda n, pad: f"s{n}{pad}.where(u == q.k{n}) after q within {n + 1}s",
        17,
        " and ",
        " }",
    ),
    Shape(
        "aggregates",
        "when { a }\nalways { ",
        lambda n, pad: f"sum(k{n} of s{n}{pad}) > {n}",
        9,
        " and ",
        " }",
    ),
    Shape(
        "sums of counts",
        "when { a }\nalways { ",
        _summed,
        5 * _SUMMED + 2,
        " or ",
        " }",
    ),
    Shape(
        "sequences",
        "when { a }\nalways { ",
        lambda n, pad: f"s{n}{pad} then t{n} then u{n} within 5s",
        8,
        " and ",
        " }",
    ),
    Shape(
        "patterns",
        "when { a }\nalways { ",
        lambda n, pad: f'b.where(k matches "^v{n}{pad[:900]}.*$")',
        9,
        " or ",
        " }",
        most=MAX_PATTERNS,
    ),
)
