"""RE2 as redaction uses it: sets that rule out, and single patterns that find the place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import re2

from udfs.redaction.detectors import BEFORE_TEXT, Fit, latin1

_CANARY: Final = rb"\A"


class GateFailed(RuntimeError):
    """RE2 could not search: nothing is known of the bytes."""


class Gates:
    """Patterns that are looked for at once. One that always matches tells nothing from failure."""

    def __init__(self, patterns: Sequence[bytes], *, is_latin1: bool = True) -> None:
        self._set = re2.Set.SearchSet(options(is_latin1=is_latin1))
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


class Search:
    """The exact pattern of one detector."""

    def __init__(self, kind: str, pattern: bytes, *, skipped: int, is_latin1: bool = True) -> None:
        """skipped: bytes at the beginning of a match that only stand before what is found."""
        self.kind = kind
        self._pattern = re2.compile(pattern, options=options(is_latin1=is_latin1))
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


def options(*, is_latin1: bool) -> Any:
    """Return the options of RE2 for our own patterns, or for a tenant's, which are UTF-8."""
    made = latin1()
    if not is_latin1:
        made.encoding = re2.Options.Encoding.UTF8
    return made
