"""What may be written next: computed from a text that is being written, and what is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final

from dsl.editor.cursor import Cursor, Place, cursor_at
from dsl.editor.vocabulary import (
    ANY,
    ATTRIBUTE_FUNCTION,
    CLAUSE_WORDS,
    COMPARISONS,
    CONSTANTS,
    EXISTS,
    FUNCTIONS,
    INTRINSIC_WORDS,
    JOINERS,
    NOT,
    RELATIONS,
    RULE_WORDS,
    SCOPE_WORDS,
    SOURCES,
    TAIL_WORDS,
    TERM_WORDS,
    TRACE_VALUES,
    Kind,
    Word,
)
from dsl.lint import KnownNames
from dsl.printer import INTRINSICS, name_text, quoted
from dsl.words import KIND_WORDS, STATUS_WORDS

MAX_COMPLETIONS: Final = 200
DURATIONS: Final = ("100ms", "1s", "5s", "30s", "5m", "1h", "24h")
ORDERED: Final = ("==", "!=", "<", "<=", ">", ">=")
_PARTS: Final = {"correlate": ("by", "within", "having"), "expect": ("every", "by", "in")}
"""What may follow the braces of a rule over many traces, in its order."""
_EMPTY: Final = KnownNames()
_ITEM_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("name",),
    "link": ("trace_id", "span_id"),
}
_OWN_WORDS: Final[Mapping[str, frozenset[str]]] = {"kind": KIND_WORDS, "status": STATUS_WORDS}


@dataclass(frozen=True, slots=True)
class Completion:
    """One thing that may be written.

    label: what is shown. insert: what replaces the text from start to end. caret: where the cursor
    goes then, as an offset in `insert`; None is its end. detail: a few words; documentation: a
    sentence, Markdown.
    """

    label: str
    kind: Kind
    insert: str
    start: int
    end: int
    caret: int | None = None
    detail: str = ""
    documentation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "label": self.label,
            "kind": self.kind,
            "insert": self.insert,
            "start": self.start,
            "end": self.end,
            "caret": len(self.insert) if self.caret is None else self.caret,
            "detail": self.detail,
            "documentation": self.documentation,
        }


@dataclass(frozen=True, slots=True)
class _Offer:
    """A completion before its place is known. match: what the written word is compared with."""

    match: str
    kind: Kind
    insert: str
    caret: int | None = None
    detail: str = ""
    documentation: str = ""


def complete(text: str, offset: int, known: KnownNames | None = None) -> list[Completion]:
    """Return what may be written at an offset of a text, the likeliest first, at most 200.

    The text may be broken in any way. known: what was seen in the tenant's traffic.
    """
    cursor = cursor_at(text, max(0, min(offset, len(text))))
    if cursor is None:
        return []
    offers = _matching(_offers(cursor, known or _EMPTY), cursor)
    return [
        Completion(
            label=offer.match,
            kind=offer.kind,
            insert=offer.insert,
            start=cursor.start,
            end=cursor.end,
            caret=offer.caret,
            detail=offer.detail,
            documentation=offer.documentation,
        )
        for offer in offers
    ]


def _matching(offers: Iterable[_Offer], cursor: Cursor) -> list[_Offer]:
    """Keep what begins with the written word, then what only contains it, in their order."""
    written = cursor.written.lower()
    begins: dict[tuple[str, str], _Offer] = {}
    contains: dict[tuple[str, str], _Offer] = {}
    for offer in offers:
        lowered = offer.match.lower()
        if cursor.quoted and not offer.insert.startswith('"') and offer.kind not in _QUOTABLE:
            continue
        if lowered.startswith(written):
            begins.setdefault((offer.match, offer.kind), offer)
        elif written in lowered and len(written) > 1:
            contains.setdefault((offer.match, offer.kind), offer)
        if len(begins) >= MAX_COMPLETIONS:
            break
    kept = [*begins.values(), *contains.values()][:MAX_COMPLETIONS]
    return [_in_quotes(offer) for offer in kept] if cursor.quoted else kept


_QUOTABLE: Final = frozenset({"span", "attribute", "value"})


def _in_quotes(offer: _Offer) -> _Offer:
    insert = offer.insert if offer.insert.startswith('"') else quoted(offer.match)
    return _Offer(offer.match, offer.kind, insert, None, offer.detail, offer.documentation)


# -- by place --------------------------------------------------------------------------------------


def _offers(cursor: Cursor, known: KnownNames) -> Iterator[_Offer]:
    match cursor.place:
        case Place.TOP:
            yield from _clauses(cursor)
        case Place.TAIL:
            yield from _parts(cursor)
        case Place.MEASURE:
            yield from _measures()
        case Place.AFTER_MEASURE:
            yield from _words(COMPARISONS, *ORDERED)
        case Place.SPAN:
            if "correlate" in cursor.parts:
                yield from _sources()
            yield from _spans(cursor, known)
            yield from _words(NOT)
            yield from _numbers()
            yield from _words(TRACE_VALUES)
        case Place.COUNTED:
            yield from _spans(cursor, known)
        case Place.NUMBER:
            yield from _numbers()
            yield from _words(TRACE_VALUES)
            yield from _of_bindings(cursor, known)
        case Place.AFTER_SPAN:
            yield from _words(JOINERS)
            yield from _relations(cursor)
            yield from _words(TERM_WORDS, "as", "then")
            yield from _words(COMPARISONS)
        case Place.AFTER_TIME:
            yield from _words(TERM_WORDS, "within", "then", "as")
            yield from _words(JOINERS)
            yield from _relations(cursor)
        case Place.AFTER_COUNTED:
            yield from _relations(cursor)
        case Place.AFTER_COMPARISON | Place.AFTER_TEST:
            yield from _words(JOINERS)
        case Place.OF:
            yield from _words(TERM_WORDS, "of")
        case Place.KEY:
            yield from _keys(cursor, known)
        case Place.AFTER_KEY:
            yield from _words(COMPARISONS)
            yield from _words(EXISTS)
            yield from _words(JOINERS)
        case Place.VALUE:
            yield from _values(cursor, known)
        case Place.BINDING:
            yield from _bindings(cursor)
        case Place.DURATION:
            yield from (_Offer(one, "value", one) for one in DURATIONS)
        case Place.NOTHING:
            pass


def _words(words: Mapping[str, Word], *chosen: str) -> Iterator[_Offer]:
    for text in chosen or words:
        word = words[text]
        yield _Offer(text, word.kind, text, detail=word.example, documentation=word.meaning)


def _clauses(cursor: Cursor) -> Iterator[_Offer]:
    for words, there in ((CLAUSE_WORDS, cursor.clauses), (RULE_WORDS, cursor.clauses)):
        if words is RULE_WORDS and there:
            return
        for text, word in words.items():
            if text not in there:
                insert = f"{text} {{  }}"
                yield _Offer(text, word.kind, insert, len(insert) - 2, word.example, word.meaning)


def _parts(cursor: Cursor) -> Iterator[_Offer]:
    """Yield the parts of a rule over many traces that are still to come."""
    kind = next(part for part in cursor.parts if part in _PARTS)
    missing = [word for word in _PARTS[kind] if word not in cursor.parts]
    yield from _words({**TAIL_WORDS, **TERM_WORDS, **COMPARISONS}, *missing) if missing else ()


def _sources() -> Iterator[_Offer]:
    for text, word in SOURCES.items():
        insert = f'{text}("")'
        yield _Offer(text, word.kind, insert, len(insert) - 2, word.example, word.meaning)


def _measures() -> Iterator[_Offer]:
    for text, word in FUNCTIONS.items():
        insert = text if text == "count" else f"{text}()"
        caret = None if text == "count" else len(text) + 1
        yield _Offer(text, word.kind, insert, caret, word.example, word.meaning)


def _numbers() -> Iterator[_Offer]:
    for text, word in FUNCTIONS.items():
        insert = f"{text}()" if text == "count" else f"{text}( of )"
        yield _Offer(text, word.kind, insert, len(text) + 1, word.example, word.meaning)


def _relations(cursor: Cursor) -> Iterator[_Offer]:
    if not cursor.bindings:
        return
    for text, word in RELATIONS.items():
        insert = text if text in ("before", "after", "during") else f"{text} of"
        yield _Offer(text, word.kind, f"{insert} ", None, word.example, word.meaning)


def _bindings(cursor: Cursor) -> Iterator[_Offer]:
    for name, span in cursor.bindings:
        yield _Offer(name, "binding", name, detail=span)


# -- names -----------------------------------------------------------------------------------------


def _spans(cursor: Cursor, known: KnownNames) -> Iterator[_Offer]:
    """Yield span names, and behind a whole name its attributes (`payment.amount`)."""
    yield from _of_bindings(cursor, known)
    head, dot, _ = cursor.written.rpartition(".")
    if dot and not cursor.quoted:
        yield from _filters_of(head, known)
    for name in _likely_names(cursor.written.lower(), known):
        yield _Offer(name, "span", name_text(name), detail=_seen(name, known))
    yield from _words(ANY)


def _likely_names(written: str, known: KnownNames) -> list[str]:
    """Return the names that hold a word: those that begin with it, then the most frequent."""

    def rank(name: str) -> tuple[bool, int, str]:
        begins = name.lower().startswith(written)
        return not begins, -known.span_counts.get(name, 0), name

    holding = [name for name in known.span_names if written in name.lower()]
    return nsmallest(MAX_COMPLETIONS, holding, key=rank)


def _seen(name: str, known: KnownNames) -> str:
    count = known.span_counts.get(name)
    if count is None:
        return ""
    return "seen once" if count == 1 else f"seen {count:,} times"


def _filters_of(head: str, known: KnownNames) -> Iterator[_Offer]:
    """Yield what may follow the dot behind the whole name of a span."""
    if head != "any" and head not in known.span_names:
        return
    where = f"{head}.where()"
    yield _Offer(f"{head}.where", "keyword", where, len(where) - 1, "filters of this span")
    for key in sorted(known.attributes_of.get(head, ())):
        if "." not in key and name_text(key) == key:
            yield _Offer(f"{head}.{key}", "attribute", f"{head}.{key}", detail=_types(key, known))


def _of_bindings(cursor: Cursor, known: KnownNames) -> Iterator[_Offer]:
    """Yield values of bound spans (`q.user.id`)."""
    head, dot, _ = cursor.written.partition(".")
    for name, span in cursor.bindings:
        if dot and head == name:
            for offer in _span_keys(span, known):
                yield _Offer(
                    f"{name}.{offer.match}",
                    offer.kind,
                    f"{name}.{offer.insert}",
                    None,
                    offer.detail,
                )
        elif not dot:
            yield _Offer(name, "binding", f"{name}.", detail=span)


def _keys(cursor: Cursor, known: KnownNames) -> Iterator[_Offer]:
    if cursor.item:
        keys = _ITEM_KEYS[cursor.item]
        yield from (_Offer(key, "intrinsic", key, detail=f"of the {cursor.item}") for key in keys)
        return
    scope, dot, _ = cursor.written.partition(".")
    if dot and scope in ("span", "resource"):
        for key in sorted(known.attributes):
            insert = f"{scope}.{key if name_text(key) == key else quoted(key)}"
            yield _Offer(f"{scope}.{key}", "attribute", insert, detail=_types(key, known))
    yield from _span_keys(cursor.span, known)
    yield from _words(NOT)
    yield from _calls(ATTRIBUTE_FUNCTION)
    for text, word in SCOPE_WORDS.items():
        yield _Offer(text, word.kind, f"{text}.", None, word.example, word.meaning)
    for text in ("event.where", "link.where"):
        yield _Offer(text, "scope", f"{text}()", len(text) + 1, f"one {text[:-6]} meets it all")


def _span_keys(span: str, known: KnownNames) -> Iterator[_Offer]:
    """Yield the keys of a span: those seen on it first, then the span's own, then all others."""
    own = known.attributes_of.get(span, frozenset())
    for key in sorted(own):
        yield _key(key, known, f"on {span}")
    yield from _words(INTRINSIC_WORDS)
    for key in sorted(known.attributes.keys() - own):
        yield _key(key, known, "")


def _key(key: str, known: KnownNames, where: str) -> _Offer:
    plain = name_text(key) == key and key not in INTRINSICS
    detail = ", ".join(filter(None, (_types(key, known), where)))
    return _Offer(key, "attribute", key if plain else quoted(key), detail=detail)


def _types(key: str, known: KnownNames) -> str:
    return " or ".join(sorted(known.attributes.get(key, ())))


def _calls(words: Mapping[str, Word]) -> Iterator[_Offer]:
    for text, word in words.items():
        yield _Offer(text, word.kind, f"{text}()", len(text) + 1, word.example, word.meaning)


# -- values ----------------------------------------------------------------------------------------


def _values(cursor: Cursor, known: KnownNames) -> Iterator[_Offer]:
    key = cursor.key
    yield from _of_bindings(cursor, known)
    for word in sorted(_OWN_WORDS.get(key, ())):
        yield _Offer(word, "value", word, detail=f"{key} of the span")
    if key in ("duration", "start", "trace.duration") or key.endswith(".duration"):
        yield from (_Offer(one, "value", one) for one in DURATIONS)
    for value in _known_values(key, known):
        types = known.attributes.get(_short_key(key, known), frozenset())
        yield _Offer(value, "value", _value_text(value, types), detail=f"seen in {key}")
    if cursor.op in ("==", "!=", "in") and not _OWN_WORDS.get(key):
        yield from _words(CONSTANTS)
    if cursor.op != "in":
        yield from _calls(ATTRIBUTE_FUNCTION)
    if not cursor.span:
        yield from _numbers()
        yield from _words(TRACE_VALUES)


def _known_values(key: str, known: KnownNames) -> tuple[str, ...]:
    return known.values.get(key) or known.values.get(_short_key(key, known), ())


def _short_key(key: str, known: KnownNames) -> str:
    """Return the attribute of a short form (`payment.charge.amount`) or behind a scope."""
    if key in known.attributes or key in known.values:
        return key
    head, _, rest = key.partition(".")
    return rest if head in SCOPE_WORDS else key.rpartition(".")[2]


def _value_text(value: str, types: frozenset[str]) -> str:
    """Return a value as it is written: a number or a plain word bare, all else in quotes."""
    bare = types <= {"number", "boolean"} and bool(types)
    plain = value.isascii() and value.isidentifier() and name_text(value) == value
    return value if bare or plain else quoted(value)
