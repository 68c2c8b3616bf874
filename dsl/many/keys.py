"""Keys: what members have in common, and how they are read off spans and signals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from dsl.plan import Reader
from dsl.predicates import compile_reader
from dsl.spans import SpanView
from dsl.values import GONE, MISSING, Absent, Read, text_of

SIGNAL_FIELDS: Final = frozenset({"rule", "service"})
"""What every signal has beside the fields that its rule groups by."""

Plain: TypeAlias = str | int | float | bool
"""What a field of a member can be; anything else that was read counts as missing."""


_PROPERTIES: Final = frozenset({"service", "name"})
"""Fields of `group_by` that are the span's own; all others are attributes."""


def group_reader(field: str) -> Reader:
    """Return what a field of a rule's `group_by` reads off a span."""
    return Reader("intrinsic" if field in _PROPERTIES else "any", field)


def field_name(reader: Reader) -> str:
    """Return the name under which a signal holds what a key reads."""
    scoped = reader.source in ("span", "resource", "scope")
    return f"{reader.source}.{reader.key}" if scoped else reader.key


def read_span(reader: Reader, span: SpanView) -> Plain | Absent | None:
    """Return a field of a span: None if it is missing, GONE if it was taken away."""
    return plain(compile_reader(reader)(span))


def read_signal(reader: Reader, fields: Mapping[str, Plain]) -> Plain | None:
    """Return a field of a signal, None if it has no value for it."""
    return fields.get(field_name(reader))


def key_of(value: Plain | Absent | None) -> str | None:
    """Return the text by which members are told apart, None for a member without one.

    The shortest text, as `distinct` counts: 7 and 7.0 are one key.
    """
    return None if value is None or value is GONE else text_of(value)


def plain(value: Read) -> Plain | Absent | None:
    """Return what a field of a member can be of what was read: GONE if it was taken away."""
    if value is GONE:
        return GONE
    if value is MISSING or text_of(value) is None:
        return None
    assert isinstance(value, str | int | float | bool)
    return value
