"""Finds what is to be taken away: whether there may be anything, and where it is.

One RE2 set holds the gates of everything that is looked for, and tells in a single pass which of
them are in some bytes: all strings of a record at once, or one text. Only for those that are, a
text is searched, and what was found is looked at closer (see `detectors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from udfs.redaction import encodings
from udfs.redaction.detectors import BEFORE_TEXT, Detector, Fit, as_found
from udfs.redaction.tokens import protected_parts

_MAX_DEPTH: Final = 3
"""Encodings within encodings that are opened."""
_SET_BYTES: Final = 64 * 1024 * 1024
"""What the states of a set may take. When they are full RE2 forgets them and goes on."""
_STRING_START: Final = b"\n\0"
"""Makes a text begin as a string in serialized bytes does (see detectors.STRING_START)."""
_MAX_CLEAN_KEYS: Final = 10_000
_CANARY: Final = rb"\A"

Everything: Final = None
"""In place of a set of numbers: any gate may be open."""
Open = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found. The text from start to end goes; `clear` is the thing itself, decoded."""

    start: int
    end: int
    kind: str
    clear: bytes


@dataclass(frozen=True, slots=True)
class CustomPattern:
    """A tenant's own pattern, of valid RE2 over UTF-8; gate: the same without its conditions."""

    kind: str
    pattern: str
    gate: str


@dataclass(frozen=True, slots=True)
class Within:
    """What is known of a text: the key of the attribute it is of, the kinds that are not looked
    for, and whether a path segment of bare digits is an id (and no card).
    """

    key: str = ""
    spared: frozenset[str] = frozenset()
    has_paths: bool = False


ANY_TEXT: Final = Within()


class GateFailed(RuntimeError):
    """RE2 could not search: nothing is known of the bytes."""


class _Gates:
    """One RE2 set. A pattern that always matches tells an empty answer from a failure."""

    def __init__(self, patterns: Sequence[bytes], *, latin1: bool) -> None:
        self._set = re2.Set.SearchSet(options(latin1=latin1))
        self._set.Add(_CANARY)
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matching(self, raw: bytes) -> Sequence[int]:
        """Return the numbers of the patterns found. Raises GateFailed."""
        found = self._set.Match(raw)
        if not found or 0 not in found:
            raise GateFailed("RE2 has no room for the states of the patterns")
        if len(found) == 1:
            return ()
        return [number - 1 for number in found if number]


class _Search:
    """The exact pattern of one detector."""

    def __init__(self, kind: str, pattern: bytes, *, skipped: int, latin1: bool) -> None:
        """skipped: bytes at the beginning of a match that only stand before what is found."""
        self.kind = kind
        self._pattern = re2.compile(pattern, options=options(latin1=latin1))
        self._groups = range(self._pattern.groups, 0, -1)
        self._skipped = skipped

    def spans(self, text: bytes, fit: Fit) -> Iterator[tuple[int, int]]:
        """Yield where it is in a text, from left to right."""
        skipped = self._skipped
        padded = BEFORE_TEXT + text if skipped else text
        at = 0
        while at <= len(padded) and (match := self._pattern.search(padded, at)) is not None:
            start, end = self._taken(match)
            end = fit(text, start - skipped, end - skipped) if end > start else 0
            if end:
                yield start - skipped, end
            at = max(match.start() + 1, end + skipped if end else 0)

    def _taken(self, match: Any) -> tuple[int, int]:
        for group in self._groups:
            span: tuple[int, int] = match.span(group)
            if span[0] >= 0:
                return span
        start, end = match.span()
        return start + self._skipped, end


class Scanner:
    """Looks for the kinds of some detectors. Remembers keys that hold nothing, and no other text."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        key_gates: Iterable[bytes] = (),
        custom: Sequence[CustomPattern] = (),
        weights: Sequence[str],
    ) -> None:
        """weights: kinds, heaviest first. key_gates: of keys whose values are taken as they are."""
        self._detectors = detectors
        self._searches = [
            _Search(d.kind, d.exact_pattern(), skipped=int(bool(d.before)), latin1=True)
            for d in detectors
        ]
        self._clean_keys: set[str] = set()
        self._of_key: dict[str, list[int]] = {}
        for number, detector in enumerate(detectors):
            for key in detector.keys:
                self._of_key.setdefault(key, []).append(number)
        self._layers_at = len(detectors)
        self._base64_at = len(detectors) + len(encodings.ESCAPES)
        gates = (*(d.gate_pattern() for d in detectors), *encodings.GATES, *key_gates)
        self._own = _Gates(gates, latin1=True)
        self._custom = [
            _Search(c.kind, f"(?:{c.pattern})".encode(), skipped=0, latin1=False) for c in custom
        ]
        self._custom_gates = (
            _Gates([c.gate.encode() for c in custom], latin1=False) if custom else None
        )
        self._weight = {kind: weight for weight, kind in enumerate(weights)}

    def may_hold(self, raw: bytes) -> bool:
        """Whether serialized bytes may hold anything that is looked for, keys included."""
        try:
            return bool(self._own.matching(raw)) or bool(
                self._custom_gates and self._custom_gates.matching(raw)
            )
        except GateFailed:
            return True

    def is_clean_key(self, key: str) -> bool:
        """Whether the key of an attribute holds nothing itself. Remembered for some thousands."""
        if key in self._clean_keys:
            return True
        if self.hits(key.encode()):
            return False
        if len(self._clean_keys) >= _MAX_CLEAN_KEYS:
            self._clean_keys.clear()
        self._clean_keys.add(key)
        return True

    def hits(self, text: bytes, within: Within = ANY_TEXT) -> list[Hit]:
        """Return what a text holds, from left to right, without overlaps."""
        return self._hits(text, within, 0)

    def _hits(self, text: bytes, within: Within, depth: int) -> list[Hit]:
        raw = _STRING_START + text
        try:
            own: Open = self._own.matching(raw)
            custom: Open = self._custom_gates.matching(raw) if self._custom_gates else ()
        except GateFailed:
            own = custom = Everything
        of_key = self._of_key.get(within.key)
        if of_key and own is not Everything:
            own = (*own, *of_key)
        if own is not Everything and not own and not custom:
            return []
        found = [*self._plain(text, own, within), *self._customs(text, custom)]
        if depth < _MAX_DEPTH:
            found += self._hidden(text, own, within, depth)
        return self._without_overlaps(text, found) if found else found

    def _hidden(self, text: bytes, own: Open, within: Within, depth: int) -> Iterator[Hit]:
        for number, escapes in enumerate(encodings.ESCAPES, self._layers_at):
            if own is Everything or number in own:
                yield from self._escaped(text, escapes, within, depth)
        if own is Everything or self._base64_at in own:
            yield from self._in_base64(text, within, depth)

    def _plain(self, text: bytes, opened: Open, within: Within) -> Iterator[Hit]:
        numbers = range(self._layers_at) if opened is Everything else sorted(set(opened))
        for number in numbers:
            if number >= self._layers_at:
                return  # of an encoding or a key
            detector = self._detectors[number]
            if detector.kind in within.spared:
                continue
            if detector.keys and within.key not in detector.keys:
                continue
            for start, end in self._searches[number].spans(text, detector.fit):
                if within.has_paths and _is_id_in_path(text, start, end):
                    continue
                yield Hit(start, end, detector.kind, text[start:end])

    def _customs(self, text: bytes, opened: Open) -> Iterator[Hit]:
        for number, search in enumerate(self._custom):
            if opened is Everything or number in opened:
                for start, end in search.spans(text, as_found):
                    yield Hit(start, end, search.kind, text[start:end])

    def _escaped(
        self,
        text: bytes,
        escapes: encodings.Escapes,
        within: Within,
        depth: int,
    ) -> Iterator[Hit]:
        decoded = encodings.unescape(text, escapes)
        if decoded is None:
            return
        places = decoded.places
        for hit in self._hits(decoded.text, within, depth + 1):
            yield Hit(places[hit.start], places[hit.end], hit.kind, hit.clear)

    def _in_base64(self, text: bytes, within: Within, depth: int) -> Iterator[Hit]:
        """Yield runs of base64 that hold something; such a run goes as a whole."""
        for start, end in encodings.base64_runs(text):
            for decoded in encodings.open_base64(text[start:end]):
                inner = self._hits(decoded, within, depth + 1)
                if inner:
                    heaviest = min(inner, key=lambda hit: self._weight[hit.kind])
                    yield Hit(start, end, heaviest.kind, heaviest.clear)
                    break

    def _without_overlaps(self, text: bytes, found: list[Hit]) -> list[Hit]:
        """Join what overlaps, under the heaviest kind; leave out what was redacted before."""
        protected = protected_parts(text)
        hits: list[Hit] = []
        for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
            if any(start <= hit.start and hit.end <= end for start, end in protected):
                continue
            hit = _at_characters(text, hit)
            if hits and hit.start < hits[-1].end:
                hits[-1] = self._joined(text, hits[-1], hit)
            else:
                hits.append(hit)
        return hits

    def _joined(self, text: bytes, one: Hit, other: Hit) -> Hit:
        if other.end <= one.end and self._weight[one.kind] <= self._weight[other.kind]:
            return one
        start, end = one.start, max(one.end, other.end)
        kind = min(one.kind, other.kind, key=self._weight.__getitem__)
        return Hit(start, end, kind, text[start:end])


def options(*, latin1: bool) -> Any:
    """Return RE2 options for patterns over bytes: Latin-1, or UTF-8."""
    made = re2.Options()
    encoding = re2.Options.Encoding
    made.encoding = encoding.LATIN1 if latin1 else encoding.UTF8
    made.max_mem = _SET_BYTES
    made.log_errors = False
    return made


def _is_id_in_path(text: bytes, start: int, end: int) -> bool:
    """Whether bare digits are all there is between two slashes of a path."""
    return (
        text[start - 1 : start] == b"/"
        and text[end : end + 1] in (b"", b"/", b"?", b"#")
        and text[start:end].isdigit()
    )


def _at_characters(text: bytes, hit: Hit) -> Hit:
    """Widen a hit so that it does not begin or end within a character of UTF-8."""
    start, end = hit.start, hit.end
    while start > 0 and text[start : start + 1] and 0x80 <= text[start] < 0xC0:
        start -= 1
    while end < len(text) and 0x80 <= text[end] < 0xC0:
        end += 1
    if (start, end) == (hit.start, hit.end):
        return hit
    return Hit(start, end, hit.kind, hit.clear)
