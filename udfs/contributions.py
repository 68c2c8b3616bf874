"""Contributions: what spans and signals hand on to rules over many traces, packed.

What one lane has to say to another is gathered while it advances and travels as one element, since
elements are what a shuffle costs. Everything is little-endian:

    u8  version (1), u8 source
    items to the end, each: i64 judged ms, u32 which of that ms, u32 length, content

`source` is the lane that speaks: 0 … 31 for lanes of traces, SPANS_SOURCE + lane and
SIGNALS_SOURCE + lane for lanes of rules over many traces. A source says its items in an order that
is a function of the log, so (judged ms, which) never goes back: what is said again after a restart
is told from what is new. Content is JSON, a list that begins with its kind; none at all is a wake:
event time has come to a lane for the first time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

from dsl.many.members import Member
from udfs.lanes import LANES

MANY_SPANS: Final = "many-spans"
"""Where rules over spans alone are judged: `expect`, and `correlate` without `violated(…)`."""
MANY_SIGNALS: Final = "many-signals"
"""Where rules that look at signals are judged: all of a tenant in one lane."""
STAGES: Final = (MANY_SPANS, MANY_SIGNALS)
SPANS_SOURCE: Final = LANES
SIGNALS_SOURCE: Final = 2 * LANES
VERSION: Final = 1
WAKE: Final = b""

_HEAD = Struct("<BB")
_ITEM = Struct("<qII")


class Item(NamedTuple):
    """One contribution with its place in the order of what is said."""

    judged_ms: int
    source: int
    nth: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """A member of a version of a `correlate`: it came, was changed, or was withdrawn."""

    tenant: str
    rule_id: str
    version: int
    member: Member


@dataclass(frozen=True, slots=True)
class Seen:
    """A sighting of a key of a version of an `expect`. doubtful: perhaps."""

    tenant: str
    rule_id: str
    version: int
    key: str
    time_ns: int
    trace_id: str
    doubtful: bool


Contribution: TypeAlias = Joined | Seen


def lane_of_key(tenant: str, rule_id: str, key: Iterable[str]) -> int:
    """Return the lane that follows a key of a rule over spans."""
    return crc32("\0".join((tenant, rule_id, *key)).encode(errors="replace")) % LANES


def lane_of_tenant(tenant: str) -> int:
    """Return the lane that follows all rules of a tenant that look at signals."""
    return crc32(tenant.encode()) % LANES


def pack_contribution(contribution: Contribution) -> bytes:
    """Return a contribution as the content of an item."""
    if isinstance(contribution, Joined):
        member = astuple(contribution.member)
        fields: tuple[Any, ...] = ("member", *_ref(contribution), *member)
    else:
        fields = ("seen", *astuple(contribution))
    return json.dumps(fields, separators=(",", ":")).encode()


def unpack_contribution(content: bytes) -> Contribution:
    """Return the contribution that an item holds. Raises ValueError for another kind."""
    kind, *fields = json.loads(content)
    if kind == "seen":
        return Seen(*fields)
    if kind != "member":
        raise ValueError(f"a contribution of kind {kind!r}: not known to this build")
    tenant, rule_id, version, *member = fields
    parts: list[Any] = [tuple(one) if isinstance(one, list) else one for one in member]
    return Joined(tenant, rule_id, version, Member(*parts))


def _ref(joined: Joined) -> tuple[str, str, int]:
    return joined.tenant, joined.rule_id, joined.version


def pack_items(items: Iterable[Item], *, source: int) -> bytes:
    """Return one element of what a source says."""
    parts = [_HEAD.pack(VERSION, source)]
    for item in items:
        parts += (_ITEM.pack(item.judged_ms, item.nth, len(item.content)), item.content)
    return b"".join(parts)


def unpack_items(element: bytes) -> Iterator[Item]:
    """Yield what an element says. Raises ValueError for another version or a cut element."""
    if element[:1] != bytes((VERSION,)):
        found = element[:1].hex() or "none"
        raise ValueError(f"contributions of version {found}; this build reads {VERSION}")
    source = element[1]
    at = _HEAD.size
    while at < len(element):
        judged_ms, nth, size = _ITEM.unpack_from(element, at)
        at += _ITEM.size
        if at + size > len(element):
            raise ValueError(f"contributions are cut: {len(element)} bytes, {at + size} expected")
        yield Item(judged_ms, source, nth, element[at : at + size])
        at += size


def wake(*, time_ms: int) -> bytes:
    """Return the element that says that the record of a time came, the first of its partition."""
    return pack_items([Item(time_ms, 0, 0, WAKE)], source=0)


class Outbox:
    """What a lane has to say to lanes of rules over many traces, gathered while it advances."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._judged_ms = -1
        self._nth = 0
        self._items: dict[tuple[str, int], list[Item]] = {}

    def say(self, contribution: Contribution, *, stage: str, lane: int, judged_ms: int) -> None:
        """Say one thing; judged_ms never goes back."""
        item = self.next_item(pack_contribution(contribution), judged_ms=judged_ms)
        self._items.setdefault((stage, lane), []).append(item)

    def next_item(self, content: bytes, *, judged_ms: int) -> Item:
        """Return an item with the next place in the order of this source."""
        if judged_ms != self._judged_ms:
            self._judged_ms, self._nth = judged_ms, 0
        self._nth += 1
        return Item(judged_ms, self._source, self._nth, content)

    def flush(self) -> list[tuple[str, int, bytes]]:
        """Return (stage, lane, element) for every lane that something was said to."""
        found = [
            (stage, lane, pack_items(items, source=self._source))
            for (stage, lane), items in sorted(self._items.items())
        ]
        self._items.clear()
        return found
