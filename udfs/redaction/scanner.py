"""Finds what is to be taken away: whether there may be anything, and where it is.

The gates of everything that is looked for are sets of RE2, which tell in a single pass each which
of their patterns are in some bytes: all strings of a record at once, or one text. Only for those
that are, a text is searched, and what was found is looked at closer (see `detectors`).

There are three sets, of detectors, keys and encodings, since what RE2 remembers of where it is
multiplies: as one set, random letters took a new state for nearly every byte (decision 0042).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from udfs.redaction import encodings
from udfs.redaction.detectors import Detector, as_found
from udfs.redaction.members import has_members, members
from udfs.redaction.searching import GateFailed, Gates, Search
from udfs.redaction.tokens import protected_parts

_MAX_DEPTH: Final = 3
"""Encodings within encodings that are opened."""
_STRING_START: Final = b"\n\0"
"""Makes a text begin as a string in serialized bytes does (see detectors.STRING_START)."""
_MESSAGE_START: Final = b"\x7f"
"""In place of the length that stands before a message within another (see STRING_START)."""
_MAX_CLEAN_KEYS: Final = 10_000


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


class Scanner:
    """Looks for the kinds of some detectors. Of texts it remembers keys that hold nothing."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        key_gates: Iterable[bytes] = (),
        key_kinds: frozenset[str] = frozenset(),
        custom: Sequence[CustomPattern] = (),
        weights: Sequence[str],
    ) -> None:
        """key_gates: of keys whose values are taken as they are. key_kinds: kinds that keys within
        texts may tell. weights: all kinds, heaviest first.
        """
        self._key_kinds = key_kinds
        self._detectors = detectors
        self._searches = [
            Search(d.kind, d.exact_pattern(), skipped=int(bool(d.before))) for d in detectors
        ]
        self._clean_keys: set[str] = set()
        self._of_key: dict[str, list[int]] = {}
        for number, detector in enumerate(detectors):
            for key in detector.keys:
                self._of_key.setdefault(key, []).append(number)
        self._own = Gates([detector.gate_pattern() for detector in detectors])
        self._layers = Gates(encodings.GATES)
        self._keys = Gates([*key_gates])
        self._customs = [
            Search(c.kind, f"(?:{c.pattern})".encode(), skipped=0, is_latin1=False) for c in custom
        ]
        self._custom = Gates([c.gate.encode() for c in custom], is_latin1=False)
        self._weight = {kind: weight for weight, kind in enumerate(weights)}

    def may_hold(self, raw: bytes) -> bool:
        """Whether a serialized message may hold anything that is looked for, keys included."""
        raw = _MESSAGE_START + raw
        try:
            return (
                bool(self._own.matching(raw))
                or bool(self._keys.matching(raw))
                or bool(self._layers.matching(raw))
                or bool(self._customs and self._custom.matching(raw))
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
        own, layers, custom = self._open(raw, within)
        if not own and not layers and not custom and not has_members(text):
            return []
        found = [*self._plain(text, own, within), *self._of_customs(text, custom)]
        found += self._in_members(text, within)
        if depth < _MAX_DEPTH:
            found += self._hidden(text, layers, within, depth)
        return self._without_overlaps(text, found) if found else found

    def _open(
        self, raw: bytes, within: Within
    ) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Return which gates are open: of detectors, encodings and custom patterns."""
        try:
            own = self._own.matching(raw)
            layers = self._layers.matching(raw)
            custom = self._custom.matching(raw) if self._customs else ()
        except GateFailed:
            every = map(range, (len(self._detectors), len(encodings.GATES), len(self._customs)))
            own, layers, custom = every
        of_key = self._of_key.get(within.key)
        return (*own, *of_key) if of_key else own, layers, custom

    def _in_members(self, text: bytes, within: Within) -> Iterator[Hit]:
        for kind, start, end in members(text):
            if kind in self._key_kinds and kind not in within.spared:
                yield Hit(start, end, kind, text[start:end])

    def _hidden(
        self, text: bytes, layers: Sequence[int], within: Within, depth: int
    ) -> Iterator[Hit]:
        for number in layers:
            if number < len(encodings.ESCAPES):
                yield from self._escaped(text, encodings.ESCAPES[number], within, depth)
            else:
                yield from self._in_base64(text, within, depth)

    def _plain(self, text: bytes, opened: Sequence[int], within: Within) -> Iterator[Hit]:
        for number in sorted(set(opened)):
            detector = self._detectors[number]
            if detector.kind in within.spared:
                continue
            if detector.keys and within.key not in detector.keys:
                continue
            for start, end in self._searches[number].spans(text, detector.fit):
                if within.has_paths and _is_id_in_path(text, start, end):
                    continue
                yield Hit(start, end, detector.kind, text[start:end])

    def _of_customs(self, text: bytes, opened: Sequence[int]) -> Iterator[Hit]:
        for number in opened:
            search = self._customs[number]
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
        starts = [start for start, _ in protected]
        hits: list[Hit] = []
        for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
            before = bisect_right(starts, hit.start) - 1
            if before >= 0 and hit.end <= protected[before][1]:
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
