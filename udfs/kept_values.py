"""Captured values as bytes: what `match` reads off a span for rules that compare spans.

A value is one byte of kind and what it needs, little-endian:

    0 MISSING   1 GONE   2 false   3 true   4 not known (the answer of a filter)
    5 integer:  u8 bytes, two's complement
    6 double:   f64
    7 text:     u16 bytes, UTF-8
    8 bytes:    u16 bytes
    9 list:     u16 items, values
    10 map:     u16 items, each: a text without its kind, a value
    11 rows:    u8 whether some were dropped, u16 rows, each: u16 values

Rows are what was read off every event or link of a span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Final

from dsl.structure import Kept
from dsl.values import GONE, MISSING

MAX_VALUE_BYTES: Final = 4_096
"""Of one captured value. What is larger counts as gone (language, section 2)."""

_MISSING, _GONE, _FALSE, _TRUE, _UNKNOWN = range(5)
_INTEGER, _DOUBLE, _TEXT, _BYTES, _LIST, _MAP, _ROWS = range(5, 12)
_U16 = Struct("<H")
_F64 = Struct("<d")
_ROWS_HEAD = Struct("<BH")
_MAX_ITEMS = 0xFFFF
_SIMPLE: Final[Mapping[int, Kept]] = {
    _MISSING: MISSING,
    _GONE: GONE,
    _FALSE: False,
    _TRUE: True,
    _UNKNOWN: None,
}
_ALL_DROPPED: Final[Kept] = ((), True)


class _TooLarge(Exception):
    """Leaves the packing of a value that is over its limit."""


def pack_value(value: Kept) -> bytes:
    """Return a captured value as bytes; one over MAX_VALUE_BYTES as one that is gone.

    Of events or links that are too many, none are kept, and some count as dropped.
    """
    packed = bytearray()
    try:
        _put(value, packed)
    except _TooLarge:
        return pack_value(_ALL_DROPPED) if type(value) is tuple else bytes((_GONE,))
    return bytes(packed)


def unpack_value(packed: bytes, at: int) -> tuple[Kept, int]:
    """Return the value that begins at a place, and where the next one does."""
    kind = packed[at]
    if kind <= _UNKNOWN:
        return _SIMPLE[kind], at + 1
    take = _TAKE.get(kind)
    if take is None:
        raise ValueError(f"a captured value of kind {kind}: not known to this build")
    return take(packed, at + 1)


# -- packing ---------------------------------------------------------------------------------------


def _put(value: Kept, out: bytearray) -> None:
    if value is None:
        out.append(_UNKNOWN)
    elif value is MISSING or value is GONE:
        out.append(_MISSING if value is MISSING else _GONE)
    else:
        _PUT[type(value)](value, out)
    if len(out) > MAX_VALUE_BYTES:
        raise _TooLarge


def _put_boolean(value: bool, out: bytearray) -> None:
    out.append(_TRUE if value else _FALSE)


def _put_integer(value: int, out: bytearray) -> None:
    size = value.bit_length() // 8 + 1
    out += bytes((_INTEGER, size))
    out += value.to_bytes(size, "little", signed=True)


def _put_double(value: float, out: bytearray) -> None:
    out.append(_DOUBLE)
    out += _F64.pack(value)


def _put_text(value: str, out: bytearray) -> None:
    out.append(_TEXT)
    _put_sized(value.encode(), out)


def _put_bytes(value: bytes, out: bytearray) -> None:
    out.append(_BYTES)
    _put_sized(value, out)


def _put_sized(content: bytes, out: bytearray) -> None:
    if len(content) > MAX_VALUE_BYTES:
        raise _TooLarge
    out += _U16.pack(len(content))
    out += content


def _put_list(value: Sequence[Any], out: bytearray) -> None:
    out.append(_LIST)
    _put_items(value, out)


def _put_items(items: Sequence[Any], out: bytearray) -> None:
    if len(items) > _MAX_ITEMS:
        raise _TooLarge
    out += _U16.pack(len(items))
    for item in items:
        _put(item, out)


def _put_map(value: Mapping[str, Any], out: bytearray) -> None:
    if len(value) > _MAX_ITEMS:
        raise _TooLarge
    out.append(_MAP)
    out += _U16.pack(len(value))
    for key, item in value.items():
        _put_sized(key.encode(), out)
        _put(item, out)


def _put_rows(value: tuple[Sequence[Sequence[Any]], bool], out: bytearray) -> None:
    rows, dropped = value
    if len(rows) > _MAX_ITEMS:
        raise _TooLarge
    out.append(_ROWS)
    out += _ROWS_HEAD.pack(dropped, len(rows))
    for row in rows:
        _put_items(row, out)
        if len(out) > MAX_VALUE_BYTES:
            raise _TooLarge


_PUT: Final[Mapping[type, Callable[[Any, bytearray], None]]] = {
    bool: _put_boolean,
    int: _put_integer,
    float: _put_double,
    str: _put_text,
    bytes: _put_bytes,
    list: _put_list,
    dict: _put_map,
    tuple: _put_rows,
}

# -- unpacking -------------------------------------------------------------------------------------


def _take_integer(packed: bytes, at: int) -> tuple[Kept, int]:
    end = at + 1 + packed[at]
    return int.from_bytes(packed[at + 1 : end], "little", signed=True), end


def _take_double(packed: bytes, at: int) -> tuple[Kept, int]:
    return _F64.unpack_from(packed, at)[0], at + _F64.size


def _take_text(packed: bytes, at: int) -> tuple[Kept, int]:
    content, at = _take_bytes(packed, at)
    return content.decode(), at


def _take_bytes(packed: bytes, at: int) -> tuple[Kept, int]:
    end = at + 2 + _U16.unpack_from(packed, at)[0]
    return packed[at + 2 : end], end


def _take_list(packed: bytes, at: int) -> tuple[Kept, int]:
    (count,) = _U16.unpack_from(packed, at)
    return _take_values(packed, at + 2, range(count))


def _take_values(packed: bytes, at: int, places: Iterable[int]) -> tuple[list[Kept], int]:
    items = []
    for _ in places:
        item, at = unpack_value(packed, at)
        items.append(item)
    return items, at


def _take_map(packed: bytes, at: int) -> tuple[Kept, int]:
    (count,) = _U16.unpack_from(packed, at)
    at += 2
    found = {}
    for _ in range(count):
        key, at = _take_text(packed, at)
        found[key], at = unpack_value(packed, at)
    return found, at


def _take_rows(packed: bytes, at: int) -> tuple[Kept, int]:
    dropped, count = _ROWS_HEAD.unpack_from(packed, at)
    at += _ROWS_HEAD.size
    rows = []
    for _ in range(count):
        row, at = _take_list(packed, at)
        rows.append(tuple(row))
    return (tuple(rows), bool(dropped)), at


_TAKE: Final[Mapping[int, Callable[[bytes, int], tuple[Kept, int]]]] = {
    _INTEGER: _take_integer,
    _DOUBLE: _take_double,
    _TEXT: _take_text,
    _BYTES: _take_bytes,
    _LIST: _take_list,
    _MAP: _take_map,
    _ROWS: _take_rows,
}
