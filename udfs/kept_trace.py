"""What is kept of a trace's spans one by one, and its bytes in Flink state.

    u32 members, each: i64 ms at which it was taken in, u32 length, member (udfs.members)
    u32 links, each: 8s span id, 8s parent id

Members stay the bytes that `match` made; they are taken apart when a judgement first asks, each
once however often the trace is judged.
"""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import Final

from dsl.ancestry import Ancestry
from dsl.structure import Links, Member, TraceStructure, beginning_outside
from dsl.tables import Table
from udfs.facts import LINK_BYTES
from udfs.members import key_of, unpack_member

MAX_MEMBERS: Final = 2_000
MAX_MEMBERS_BYTES: Final = 1_048_576
MAX_LINKS: Final = 200_000
"""Over any of these a trace is truncated."""
LARGE_MEMBERS: Final = 256
LARGE_LINKS: Final = 5_000
"""A trace over these is judged when it is closed only: with every span that comes, the comparison
of all with all would cost more and more."""

_MEMBER = Struct("<qI")
_U32 = Struct("<I")
_ID_BYTES: Final = LINK_BYTES // 2
_NS_PER_MS: Final = 1_000_000


class _TakenApart:
    """What was made of members and links, and what judgements look up in it; it only grows.

    members and links: how many of them it is made of.
    """

    __slots__ = (
        "_ancestry",
        "_below",
        "_caller_id",
        "_tables",
        "by_predicate",
        "by_span",
        "links",
        "members",
    )

    def __init__(self) -> None:
        self.members = 0
        self.links = 0
        self.by_predicate: dict[int, list[Member]] = {}
        self.by_span: dict[bytes, tuple[bytes, ...]] = {}
        self._tables: dict[int, Table] = {}
        self._ancestry: Ancestry | None = None
        self._caller_id: bytes | None = None
        self._below: Links | None = None

    def add_member(self, member: bytes, arrived_ms: int) -> None:
        """Add a packed member (udfs.members)."""
        fact = unpack_member(member, arrived_ns=arrived_ms * _NS_PER_MS)
        for number, certain in fact.answers:
            self.by_predicate.setdefault(number, []).append(Member(fact.span, certain))
            self._tables.pop(number, None)
        self.members += 1

    def add_link(self, link: bytes) -> None:
        """Add a link: the ids of a span and of its parent."""
        span_id = link[:_ID_BYTES]
        self.by_span[span_id] = (*self.by_span.get(span_id, ()), link[_ID_BYTES:])
        self._ancestry = self._below = None
        self._tables.clear()  # they are sorted by who is above whom, too
        self.links += 1

    def links_below(self, caller_id: bytes | None) -> Links:
        """Return the links of a trace that was called from outside by a span; None: it was not.

        What is looked up after this goes by them.
        """
        if caller_id != self._caller_id:
            self._caller_id = caller_id
            self._ancestry = self._below = None
            self._tables.clear()
        if caller_id is None:
            return self.by_span
        if self._below is None:
            self._below = beginning_outside(self.by_span, caller_id)
        return self._below

    def table(self, number: int) -> Table:
        """Return the members of a predicate, ready to look up."""
        found = self._tables.get(number)
        if found is None:
            found = self._tables[number] = Table(self.by_predicate.get(number, ()))
        return found

    def ancestry(self) -> Ancestry:
        """Return who is above whom."""
        if self._ancestry is None:
            self._ancestry = Ancestry(self.links_below(self._caller_id))
        return self._ancestry


class KeptTrace:
    """The members and links of one trace. Both are kept in the order in which they came."""

    __slots__ = ("_bytes", "_links", "_members", "_taken_apart")

    def __init__(self) -> None:
        self._members: dict[bytes, tuple[int, bytes]] = {}
        self._links: dict[bytes, None] = {}
        self._bytes = 0
        self._taken_apart: _TakenApart | None = None

    @property
    def is_large(self) -> bool:
        """Whether it would cost too much to judge it again and again."""
        return len(self._members) > LARGE_MEMBERS or len(self._links) > LARGE_LINKS

    @property
    def weight_bytes(self) -> int:
        """How many bytes it takes in Flink state."""
        heads = _MEMBER.size * len(self._members) + 2 * _U32.size
        return self._bytes + heads + LINK_BYTES * len(self._links)

    def knows(self, member: bytes) -> bool:
        """Tell whether the span was kept before: the first taken in holds."""
        return key_of(member) in self._members

    def first_of(self, member: bytes) -> tuple[int, bytes]:
        """Return when a span that is known was taken in, and what it said then."""
        return self._members[key_of(member)]

    def add_member(self, member: bytes, *, arrived_ms: int) -> bool:
        """Keep a span that is not known yet. False: there is no room for it."""
        self._bytes += len(member)
        if len(self._members) >= MAX_MEMBERS or self._bytes > MAX_MEMBERS_BYTES:
            self._bytes -= len(member)
            return False
        self._members[key_of(member)] = (arrived_ms, member)
        return True

    def add_links(self, chain: bytes, *, most: int = MAX_LINKS) -> bool:
        """Keep links, one after the other, so that there are `most`. False: not all of them."""
        links = self._links
        for at in range(0, len(chain), LINK_BYTES):
            link = chain[at : at + LINK_BYTES]
            if link not in links:
                if len(links) >= most:
                    return False
                links[link] = None
        return True

    def has_orphans(self, *, caller_id: bytes | None = None) -> bool:
        """Tell whether the parent of some span did not come. Asks the links.

        caller_id: the parent of the trace's external root, which is not missing but outside.
        """
        came = {link[:_ID_BYTES] for link in self._links}
        parents = {link[_ID_BYTES:] for link in self._links}
        parents.discard(bytes(_ID_BYTES))
        if caller_id is not None:
            parents.discard(caller_id)
        return not parents <= came

    def structure(
        self, *, now_ms: int, settle_ms: int, clock_skew_ms: int, caller_id: bytes | None = None
    ) -> TraceStructure:
        """Return what judging asks of the spans at a time. caller_id: as for `has_orphans`."""
        kept = self._take_apart()
        return TraceStructure(
            members=kept.by_predicate,
            links=kept.links_below(caller_id),
            now_ns=now_ms * _NS_PER_MS,
            settle_ns=settle_ms * _NS_PER_MS,
            clock_skew_ns=clock_skew_ms * _NS_PER_MS,
            table=kept.table,
            ancestry=kept.ancestry,
        )

    def _take_apart(self) -> _TakenApart:
        """Take apart what came since it was last asked for."""
        kept = self._taken_apart
        if kept is None:
            kept = self._taken_apart = _TakenApart()
        for arrived_ms, packed in islice(self._members.values(), kept.members, None):
            kept.add_member(packed, arrived_ms)
        for link in islice(self._links, kept.links, None):
            kept.add_link(link)
        return kept

    def pack(self) -> bytes:
        """Return what is kept as bytes; see the head of this file."""
        parts = [_U32.pack(len(self._members))]
        for arrived_ms, member in self._members.values():
            parts += (_MEMBER.pack(arrived_ms, len(member)), member)
        parts.append(_U32.pack(len(self._links)))
        parts += self._links
        return b"".join(parts)


def unpack_kept(packed: bytes, at: int) -> tuple[KeptTrace, int]:
    """Return what is kept in the bytes from a place on, and where it ends."""
    kept = KeptTrace()
    (count,) = _U32.unpack_from(packed, at)
    at += _U32.size
    for _ in range(count):
        arrived_ms, size = _MEMBER.unpack_from(packed, at)
        begin = at + _MEMBER.size
        at = begin + size
        kept.add_member(packed[begin:at], arrived_ms=arrived_ms)
    (count,) = _U32.unpack_from(packed, at)
    end = at + _U32.size + count * LINK_BYTES
    kept.add_links(packed[at + _U32.size : end])
    return kept, end
