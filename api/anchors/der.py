"""DER as far as time stamps need it: values within values, by position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """One DER value: where it begins, where its content does, and where both end."""

    tag: int
    begin: int
    content: int
    end: int


def nth(raw: bytes, within: Value, position: int) -> Value:
    """Return the value at a position in another one. Raises ValueError if there is none."""
    found = list(values(raw, within))
    if position >= len(found):
        raise ValueError("the form is not that of RFC 3161")
    return found[position]


def values(raw: bytes, within: Value) -> Iterator[Value]:
    """Yield the values in another one. Raises ValueError where it ends too early."""
    at = within.content
    while at < within.end:
        content = at + 2
        if content > within.end:
            raise ValueError("DER ends too early")
        size = raw[at + 1]
        if size & 0x80:
            content += size & 0x7F
            size = int.from_bytes(raw[at + 2 : content], "big")
        if content + size > within.end:
            raise ValueError("DER ends too early")
        yield Value(raw[at], at, content, content + size)
        at = content + size
