"""What is kept of a trace's spans one by one, and its bytes in Flink state.

    u32 members, each: i64 ms at which it was taken in, u32 length, member (udfs.members)
    u32 links, each: 8s span id, 8s parent id; some may be there more than once

Links come with every span and are looked at in few traces: they stay together as they came, and
only a trace that has very many looks at once which of them it has already. Members stay the bytes
that `match` made; they are taken apart when a judgement first asks, each once however often the
trace is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
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

    members and chains: how many of them it is made of.
    """

    __slots__ = (
        "_ancestry",
        "_below",
        "_caller_id",
        "_tables",
        "by_predicate",
        "by_span",
        "chains",
        "members",
    )

    def __init__(self) -> None:
        self.members = 0
        self.chains = 0
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

    def add_chain(self, chain: bytes) -> None:
        """Add links, one after the other: the ids of a span and of its parent. Again: no harm."""
        by_span = self.by_span
        for at in range(0, len(chain), LINK_BYTES):
            span_id = chain[at : at + _ID_BYTES]
            parent_id = chain[at + _ID_BYTES : at + LINK_BYTES]
            parents = by_span.get(span_id)
            if parents is None:
                by_span[span_id] = (parent_id,)
            elif parent_id not in parents:
                by_span[span_id] = (*parents, parent_id)
        self._ancestry = self._below = None
        self._tables.clear()  # they are sorted by who is above whom, too
        self.chains += 1

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

    __slots__ = ("_bytes", "_chains", "_link_count", "_links", "_members", "_taken_apart")

    def __init__(self) -> None:
        self._members: dict[bytes, tuple[int, bytes]] = {}
        self._chains: list[bytes] = []
        self._link_count = 0
        """Of the chains: above LARGE_LINKS each was counted once, so that memory cannot tell."""
        self._links: dict[bytes, None] | None = None
        """Those of the chains, each once, if that was ever asked."""
        self._bytes = 0
        self._taken_apart: _TakenApart | None = None

    @property
    def has_members(self) -> bool:
        """Whether any span was kept itself."""
        return bool(self._members)

    @property
    def is_large(self) -> bool:
        """Whether it would cost too much to judge it again and again."""
        return len(self._members) > LARGE_MEMBERS or self._link_count > LARGE_LINKS

    @property
    def weight_bytes(self) -> int:
        """How many bytes it takes in Flink state."""
        heads = _MEMBER.size * len(self._members) + 2 * _U32.size
        return self._bytes + heads + LINK_BYTES * self._link_count

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
        count = self._link_count + len(chain) // LINK_BYTES
        if count <= LARGE_LINKS and count <= most:
            self._chains.append(chain)
            self._link_count = count
            if self._links is not None:
                self._links.update(dict.fromkeys(_links_of(chain)))
            return True
        return self._add_new_links(chain, most)

    def restore_links(self, chain: bytes) -> None:
        """Keep the links that another one packed, as it had them."""
        if chain:
            self._chains.append(chain)
            self._link_count = len(chain) // LINK_BYTES

    def _add_new_links(self, chain: bytes, most: int) -> bool:
        """Keep those links that are not known yet, and let go of what is there again."""
        links = self._links
        if links is None:
            links = self._links = dict.fromkeys(self._each_link())
        if self._link_count > len(links):
            self._chains = [b"".join(links)]
            self._link_count = len(links)
            if self._taken_apart is not None:
                self._taken_apart.chains = 0
        added: list[bytes] = []
        is_room = True
        for link in _links_of(chain):
            if link in links:
                continue
            if len(links) >= most:
                is_room = False
                break
            links[link] = None
            added.append(link)
        if added:
            self._chains.append(b"".join(added))
            self._link_count += len(added)
        return is_room

    def _each_link(self) -> Iterator[bytes]:
        for chain in self._chains:
            yield from _links_of(chain)

    def has_orphans(self, *, caller_id: bytes | None = None) -> bool:
        """Tell whether the parent of some span did not come. Asks the links.

        caller_id: the parent of the trace's external root, which is not missing but outside.
        """
        came: set[bytes] = set()
        parents: set[bytes] = set()
        for link in self._each_link():
            came.add(link[:_ID_BYTES])
            parents.add(link[_ID_BYTES:])
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
        for chain in self._chains[kept.chains :]:
            kept.add_chain(chain)
        return kept

    def pack(self) -> bytes:
        """Return what is kept as bytes; see the head of this file."""
        parts = [_U32.pack(len(self._members))]
        for arrived_ms, member in self._members.values():
            parts += (_MEMBER.pack(arrived_ms, len(member)), member)
        parts.append(_U32.pack(self._link_count))
        parts += self._chains
        return b"".join(parts)


def _links_of(chain: bytes) -> list[bytes]:
    return [chain[at : at + LINK_BYTES] for at in range(0, len(chain), LINK_BYTES)]


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
    kept.restore_links(packed[at + _U32.size : end])
    return kept, end
