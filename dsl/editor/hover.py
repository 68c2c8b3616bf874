"""What the word under the cursor means, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from dsl.editor.cursor import Cursor, Place, cursor_at
from dsl.editor.vocabulary import SCOPE_WORDS, VOCABULARY, Word
from dsl.lexer import Token, tokenize
from dsl.lint import KnownNames
from dsl.nodes import AttributeOf, Compare, Key, SpanTerm, Test, parts_of
from dsl.plan import AllFilters, AnyFilter, Ask, Filter, NoFilter, SomeOf
from dsl.problems import Problem
from dsl.rule import check, check_filter
from dsl.source import Source
from dsl.trees import bodies_of, tree_of
from dsl.words import TRACE_WORDS

MAX_LISTED: Final = 8
MAX_CODE_CHARACTERS: Final = 200
_EMPTY: Final = KnownNames()
_NAME_PLACES: Final = frozenset({Place.SPAN, Place.COUNTED, Place.NUMBER})
_KEY_PLACES: Final = frozenset({Place.KEY})


@dataclass(frozen=True, slots=True)
class Hover:
    """What is said about a piece of a text, from `start` to `end`. markdown: never empty."""

    markdown: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """The tokens of one name, or a single one."""

    text: str
    start: int
    end: int
    token: Token


def hover(text: str, offset: int, known: KnownNames | None = None) -> Hover | None:
    """Return what the word at an offset means, or None where there is nothing to say.

    The text may be broken in any way. known: what was seen in the tenant's traffic.
    """
    tokens = tokenize(Source(text))
    piece = _piece_at(tokens, offset) if tokens is not None else None
    if piece is None:
        return None
    names = known or _EMPTY
    paragraphs = [*_problems(text, piece, known), *_meaning(text, piece, offset, names)]
    return Hover("\n\n".join(paragraphs), piece.start, piece.end) if paragraphs else None


def _piece_at(tokens: list[Token], offset: int) -> _Piece | None:
    """Return the token at an offset; of a dotted name all of it."""
    for i, token in enumerate(tokens[:-1]):
        if not token.start <= offset <= token.end or token.kind in ("(", ")", "{", "}", ","):
            continue
        if token.kind not in ("ident", "."):
            return _Piece(str(token.value), token.start, token.end, token)
        first = last = i
        while first > 0 and _joined(tokens, first - 1):
            first -= 1
        while _joined(tokens, last):
            last += 1
        named = tokens[first : last + 1]
        name = "".join(str(one.value) for one in named)
        return _Piece(name, named[0].start, named[-1].end, token)
    return None


def _joined(tokens: list[Token], i: int) -> bool:
    """Tell whether two neighbours belong to one name; `.where` begins something new."""
    left, right = tokens[i], tokens[i + 1]
    if (left.kind, right.kind) == ("ident", "."):
        return tokens[min(i + 2, len(tokens) - 1)].value != "where"
    return (left.kind, right.kind) == (".", "ident") and right.value != "where"


# -- problems --------------------------------------------------------------------------------------


def _problems(text: str, piece: _Piece, known: KnownNames | None) -> Iterable[str]:
    checked = check(text, known=known)
    source = Source(text)
    first, last = source.place(piece.start), source.place(piece.end)
    for problem in (*checked.problems, *checked.warnings):
        if _overlaps(problem, first, last):
            hint = f" ({problem.hint})" if problem.hint else ""
            yield f"**{problem.message}**{hint}"


def _overlaps(problem: Problem, first: tuple[int, int], last: tuple[int, int]) -> bool:
    begins = (problem.line, problem.column)
    return first <= begins < last


# -- meanings --------------------------------------------------------------------------------------


def _meaning(text: str, piece: _Piece, offset: int, known: KnownNames) -> list[str]:
    kind = piece.token.kind
    if kind in ("number", "duration"):
        return []
    cursor = cursor_at(text, piece.start)
    if cursor is None:
        return []
    if kind == "string":
        return _of_string(piece, cursor, known)
    if kind != "ident" and kind != ".":
        return _of_word(VOCABULARY.get(piece.text), piece.text)
    return _of_name(text, piece, cursor, known)


def _of_string(piece: _Piece, cursor: Cursor, known: KnownNames) -> list[str]:
    if cursor.place in _NAME_PLACES:
        return _of_span(piece.text, known)
    return _of_attribute(piece.text, known) if cursor.place in _KEY_PLACES else []


def _of_name(text: str, piece: _Piece, cursor: Cursor, known: KnownNames) -> list[str]:
    name = piece.text
    head, _, rest = name.partition(".")
    bindings = dict(cursor.bindings)
    if head in bindings and cursor.place is not Place.NOTHING:
        return _of_binding(head, rest, bindings[head], known)
    if cursor.place is Place.NOTHING:
        return [f"{_code(name)} is a name for this span: {_code(bindings.get(name, ''))}."]
    if head == "trace" and rest in TRACE_WORDS:
        return _of_word(VOCABULARY[name], name)
    comparison = _comparison_at(text, piece)
    if comparison is not None and comparison.span and piece.token.start < comparison.start:
        return _of_span(comparison.span, known)
    reading = _reading(comparison, known) if comparison is not None else []
    if reading:
        return reading
    if cursor.place in _NAME_PLACES and not _is_called(text, piece) and name not in _NOT_NAMES:
        return _of_span(name, known)
    return _of_word(VOCABULARY.get(name), name)


_NOT_NAMES: Final = frozenset({"any", "not", "true", "false", "when", "always", "never"})


def _is_called(text: str, piece: _Piece) -> bool:
    return text[piece.end :].lstrip().startswith("(")


def _of_word(word: Word | None, text: str) -> list[str]:
    if word is None:
        return []
    example = [f"`{word.example}`"] if word.example else []
    return [f"**{_code(text)}** · {word.meaning}", *example]


def _of_span(name: str, known: KnownNames) -> list[str]:
    if not known.span_names:
        return [f"Spans named {_code(name)}."]
    if name not in known.span_names:
        return [f"No span named {_code(name)} was seen so far."]
    count = known.span_counts.get(name)
    seen = _seen(count)
    keys = sorted(known.attributes_of.get(name, ()))
    return [f"The span {_code(name)} {seen}.", *_listed("Attributes", keys)]


def _seen(count: int | None) -> str:
    if count is None:
        return "was seen"
    return "was seen once" if count == 1 else f"was seen {count:,} times"


def _of_binding(name: str, rest: str, span: str, known: KnownNames) -> list[str]:
    bound = f"{_code(name)} is the span {_code(span)} of this combination."
    return [bound, *(_of_attribute(rest, known) if rest else ())]


def _of_attribute(key: str, known: KnownNames) -> list[str]:
    types = " or ".join(sorted(known.attributes.get(key, ())))
    told = f"The attribute {_code(key)}: the span's, else the resource's."
    if types:
        told += f" Seen as {types}."
    elif known.attributes:
        told += " It was not seen so far."
    return [told, *_listed("Values", known.values.get(key, ()))]


def _listed(title: str, items: Iterable[str]) -> list[str]:
    listed = list(items)
    if not listed:
        return []
    shown = ", ".join(map(_code, listed[:MAX_LISTED]))
    more = ", …" if len(listed) > MAX_LISTED else ""
    return [f"{title}: {shown}{more}"]


# -- readings --------------------------------------------------------------------------------------


class _Comparison(NamedTuple):
    """A comparison as the text of a filter. span: what stands before the key in a short form."""

    filter: str
    start: int
    span: str = ""


def _reading(comparison: _Comparison, known: KnownNames) -> list[str]:
    """Say what the key of a comparison reads, by asking the checker about it alone."""
    ask = _first_ask(check_filter(comparison.filter).filter)
    if ask is None:
        return []
    key = ask.reader.key
    scope = ask.reader.source.partition(" ")[0]
    match scope:
        case "intrinsic":
            return _of_word(VOCABULARY[key], key)
        case "any":
            return [*_of_attribute(key, known), *_note(key)]
        case _:
            meaning = SCOPE_WORDS[scope].meaning if scope in SCOPE_WORDS else ""
            told = f"**{_code(f'{scope}.{key}')}** · {meaning}"
            return [told, *_listed("Values", known.values.get(key, ()))]


def _note(key: str) -> list[str]:
    word = VOCABULARY.get(key)
    if word is None or word.kind != "intrinsic":
        return []
    return [f"Not the span's own `{key}`: {word.meaning}"]


def _comparison_at(text: str, piece: _Piece) -> _Comparison | None:
    """Return the comparison whose left side stands at a piece."""
    source = Source(text)
    tokens = tokenize(source)
    tree = tree_of(source, tokens) if tokens is not None else None
    if tree is None:
        return None
    for body in bodies_of(tree):
        for node in parts_of(body):
            match node:
                case Test(left=Key(at=at, end=end)) | Test(left=AttributeOf(at=at, end=end)):
                    if at <= piece.start < end:
                        return _Comparison(text[node.at : node.end], at)
                case Compare(left=SpanTerm(parts=[_, *_, key], filters=[]) as term):
                    if term.at == piece.start and len(term.parts) > 1:
                        at = term.end - len(key)
                        span = text[term.at : at].strip(' ."')
                        return _Comparison(text[at : node.end], at, span)
                case _:
                    pass
    return None


def _first_ask(condition: Filter | None) -> Ask | None:
    match condition:
        case Ask():
            return condition
        case AllFilters(items) | AnyFilter(items):
            return _first_ask(items[0])
        case NoFilter(item) | SomeOf(_, item):
            return _first_ask(item)
        case _:
            return None


def _code(text: str) -> str:
    """Return a text as code in Markdown; names come from traffic and may hold anything."""
    plain = "".join(char if char.isprintable() else " " for char in text).replace("`", "'")
    return f"`{plain[:MAX_CODE_CHARACTERS]}`"
