"""What tells the external root of a trace, and its bytes in Flink state.

A tenant's traces may begin outside of what it exports: a partner's service calls, and the first
span that comes has a parent which never does. Without a span that has no parent, the only span
whose parent is remote and did not come stands for the root (language, section 7). To tell, the ids
of all spans that came are kept, and those spans with a remote parent whose parent is not among
them; all of it only for such tenants, and only until a root comes.

    u32 spans, each: 8s id
    u32 called spans, each: 8s id, u32 identity, 8s parent id, i64 start ns,
                            u16 length, name, u16 length, service
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from udfs.facts import ID_BYTES, Called

MAX_CAME: Final = 200_000
"""Span ids of one trace; over it the trace is truncated."""
MAX_CALLED_BYTES: Final = 1_048_576
"""The same, of what is kept of spans with a remote parent."""

_CALLED = Struct("<8sI8sq")
_U16 = Struct("<H")
_U32 = Struct("<I")


class Beginnings:
    """The spans of one trace that may stand for its root. Both parts are kept in order of coming.

    A span that comes twice is known by its id and identity: the first taken in holds.
    """

    __slots__ = ("_called", "_called_bytes", "_came")

    def __init__(self) -> None:
        self._came: dict[bytes, None] = {}
        self._called: dict[tuple[bytes, int], Called] = {}
        self._called_bytes = 0

    @property
    def weight_bytes(self) -> int:
        """How many bytes it takes in Flink state."""
        return 2 * _U32.size + ID_BYTES * len(self._came) + self._called_bytes

    def add(self, ids: bytes, called: Iterable[Called], *, room: bool = True) -> bool:
        """Take in the ids of spans, one after the other, and those of them that were called.

        room: False if nothing new may be kept. Returns whether all of it was kept.
        """
        came = self._came
        most = MAX_CAME if room else 0
        whole = True
        for at in range(0, len(ids), ID_BYTES):
            span_id = ids[at : at + ID_BYTES]
            if span_id not in came:
                if len(came) >= most:
                    whole = False
                    break
                came[span_id] = None
        for span in called:
            whole = self._add_called(span, room) and whole
        self._forget_explained()
        return whole

    def _add_called(self, span: Called, room: bool) -> bool:
        key = (span.span_id, span.identity)
        if span.parent_id in self._came or key in self._called:
            return True
        size = _weight(span)
        if not room or self._called_bytes + size > MAX_CALLED_BYTES:
            return False
        self._called[key] = span
        self._called_bytes += size
        return True

    def _forget_explained(self) -> None:
        """Forget the called spans whose parent has come: it never goes away."""
        gone = [key for key, span in self._called.items() if span.parent_id in self._came]
        for key in gone:
            self._called_bytes -= _weight(self._called.pop(key))

    def external_root(self) -> Called | None:
        """Return the only span whose parent is remote and did not come, if there is just one."""
        if len(self._called) != 1:
            return None
        return next(iter(self._called.values()))

    def pack(self) -> bytes:
        """Return what is kept as bytes; see the head of this file."""
        parts = [_U32.pack(len(self._came)), *self._came, _U32.pack(len(self._called))]
        for span in self._called.values():
            parts.append(_CALLED.pack(span.span_id, span.identity, span.parent_id, span.start_ns))
            parts += (_sized(span.name.encode()), _sized(span.service.encode()))
        return b"".join(parts)


def unpack_beginnings(packed: bytes, at: int) -> tuple[Beginnings, int]:
    """Return what is kept in the bytes from a place on, and where it ends."""
    kept = Beginnings()
    end = at + _U32.size + ID_BYTES * _U32.unpack_from(packed, at)[0]
    ids = packed[at + _U32.size : end]
    (count,) = _U32.unpack_from(packed, end)
    at = end + _U32.size
    called = []
    for _ in range(count):
        span_id, identity, parent_id, start_ns = _CALLED.unpack_from(packed, at)
        name, at = _take(packed, at + _CALLED.size)
        service, at = _take(packed, at)
        called.append(
            Called(span_id, identity, parent_id, start_ns, name.decode(), service.decode())
        )
    kept.add(ids, called)
    return kept, at


def _weight(span: Called) -> int:
    return _CALLED.size + 2 * _U16.size + len(span.name.encode()) + len(span.service.encode())


def _sized(content: bytes) -> bytes:
    return _U16.pack(len(content)) + content


def _take(packed: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + _U16.unpack_from(packed, at)[0]
    return packed[at + 2 : end], end
