"""Facts: what `match` tells `correlate` about one record of spans, packed.

One record of `betrace.spans` becomes one element, whatever the number of its spans. Everything
is little-endian.

    u8  version (1, or 2 and 3 with the blocks at the end)
    u8  length of the tenant, the tenant (UTF-8)
    u32 spans taken in, u32 spans rejected
    u16 names, each: u16 length, UTF-8        names and services of root spans and called ones
    u16 fact sets, each: u16 length, mask of the predicates that hold for some span;
                         u16 length, mask of those that might hold; the first one is empty
    u32 fragments, each: 16s trace id, u16 spans (saturating), u8 flags, u8 zero, u16 fact set
    u32 roots, each: u32 fragment, 8s span id, i64 start ns, u16 name, u16 service
    u32 counted, each: u32 fragment, 8s span id, u32 identity, u32 number, u8 certain
    u32 extents, each: u32 fragment, i64 earliest start ns, i64 latest end ns

Where rules look at spans one by one, version 2 goes on:

    u32 members, each: u32 fragment, u32 length, member (udfs.members)
    u32 chains, each: u32 fragment, u32 links, each: 8s span id, 8s parent id
    u32 truncated fragments, each: u32 fragment

Where traces may begin outside of what the tenant exports and a fragment came without a root, or
where a predicate failed, version 3 goes on behind that (any of its blocks may be empty):

    u32 arrivals, each: u32 fragment, u32 spans, each: 8s span id
    u32 called, each: u32 fragment, 8s span id, u32 identity, 8s parent id, i64 start ns,
                      u16 name, u16 service
    u32 failed, each: u32 fragment, u32 number

Arrivals are the ids of every span of the fragment, each once; called are its spans with a remote
parent that is not among them (udfs.external_root). A predicate that failed met an error of ours
when it was asked of a span; it counts as one that might hold. Links are those of every span of the
fragment. A fragment is truncated if not all was kept of it.

A *fragment* is what one record holds of one trace. Masks are little-endian integers whose bit n
stands for number n of the tenant's dictionary. `identity` tells spans that share an id apart: a
CRC of kind, start and name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, TypeAlias
from zlib import crc32

PLAIN_VERSION = 1
VERSION = 2
RARE_VERSION = 3
DEAD_LETTER = 0xFF
"""First byte of an element that is a DeadLetter message instead of facts."""
COMPLIANCE = 0xFE
"""First byte of an element that is a ComplianceSpans message instead of facts."""

ROOT = 1
COUNTED = 2
EXTENT = 4

FRAGMENT = Struct("<16sHBxH")
_ROOT = Struct("<I8sqHH")
_COUNTED = Struct("<I8sII?")
_EXTENT = Struct("<Iqq")
_MEMBER = Struct("<II")
_CALLED = Struct("<I8sI8sqHH")
_FAILED = Struct("<II")
_U16 = Struct("<H")
_U32 = Struct("<I")
_TOTALS = Struct("<II")
MAX_SPANS_OF_FRAGMENT = 0xFFFF
MAX_NAME_BYTES = 1024
ID_BYTES = 8
LINK_BYTES = 2 * ID_BYTES


# Plain tuples: there is one for every trace or so, and a named one takes ten times as long to make.
Root: TypeAlias = tuple[int, bytes, int, str, str]
"""A span without a parent: fragment, span id, start (ns since 1970), name, service."""
Counted: TypeAlias = tuple[int, bytes, int, int, bool]
"""A span that fulfils a predicate whose spans are counted, or might: fragment, span id, identity,
number of the predicate, and whether it certainly does."""
Extent: TypeAlias = tuple[int, int, int]
"""Fragment, earliest start and latest end of its spans (ns since 1970)."""


class KeptFacts(NamedTuple):
    """What is kept of spans one by one.

    members: (fragment, packed member). chains: (fragment, its links, one after the other).
    truncated: fragments of which not all was kept.
    """

    members: Sequence[tuple[int, bytes]]
    chains: Sequence[tuple[int, bytes]]
    truncated: Sequence[int]


NOTHING_KEPT = KeptFacts((), (), ())


class Called(NamedTuple):
    """A span with a remote parent, which may stand for the root of a trace that begins outside."""

    span_id: bytes
    identity: int
    parent_id: bytes
    start_ns: int
    name: str
    service: str


class OutsideFacts(NamedTuple):
    """What tells the external root of a trace.

    arrivals: (fragment, ids of its spans, one after the other). called: (fragment, span).
    """

    arrivals: Sequence[tuple[int, bytes]]
    called: Sequence[tuple[int, Called]]


NOTHING_OUTSIDE = OutsideFacts((), ())


@dataclass(frozen=True, slots=True)
class Facts:
    """One element, unpacked.

    fragments: (trace id, spans, flags, index into sets) in order of first appearance.
    sets: (true mask, maybe mask); index 0 is the empty set. kept: NOTHING_KEPT where no rule looks
    at spans one by one. outside: NOTHING_OUTSIDE where traces begin within what is exported.
    failed: (fragment, number of a predicate that met an error).
    """

    tenant: str
    spans: int
    rejected: int
    sets: Sequence[tuple[int, int]]
    fragments: Sequence[tuple[bytes, int, int, int]]
    roots: Sequence[Root]
    counted: Sequence[Counted]
    extents: Sequence[Extent]
    kept: KeptFacts = NOTHING_KEPT
    outside: OutsideFacts = NOTHING_OUTSIDE
    failed: Sequence[tuple[int, int]] = ()


def span_identity(*, name: bytes, kind: int, start_ns: int) -> int:
    """Return what tells two spans with one id apart (shared ids), 32 bits."""
    return crc32(name, (start_ns ^ start_ns >> 32 ^ kind << 24) & 0xFFFFFFFF)


def pack_facts(facts: Facts) -> bytes:
    """Pack facts into one element. Names over MAX_NAME_BYTES are cut."""
    tenant = facts.tenant.encode()
    version = VERSION if any(facts.kept) else PLAIN_VERSION
    if any(facts.outside) or facts.failed:
        version = RARE_VERSION
    parts = [bytes((version, len(tenant))), tenant, _TOTALS.pack(facts.spans, facts.rejected)]
    names: dict[str, int] = {}
    for _, _, _, name, service in facts.roots:
        names.setdefault(name, len(names))
        names.setdefault(service, len(names))
    for _, span in facts.outside.called:
        names.setdefault(span.name, len(names))
        names.setdefault(span.service, len(names))
    parts.append(_U16.pack(len(names)))
    parts += (_sized(name.encode()[:MAX_NAME_BYTES]) for name in names)
    parts.append(_U16.pack(len(facts.sets)))
    for true, maybe in facts.sets:
        parts.append(_sized(pack_mask(true)))
        parts.append(_sized(pack_mask(maybe)))
    parts.append(_U32.pack(len(facts.fragments)))
    pack = FRAGMENT.pack
    parts += [pack(*fragment) for fragment in facts.fragments]
    parts.append(_U32.pack(len(facts.roots)))
    parts += [
        _ROOT.pack(fragment, span_id, start_ns, names[name], names[service])
        for fragment, span_id, start_ns, name, service in facts.roots
    ]
    parts.append(_U32.pack(len(facts.counted)))
    parts += [_COUNTED.pack(*c) for c in facts.counted]
    parts.append(_U32.pack(len(facts.extents)))
    parts += [_EXTENT.pack(*e) for e in facts.extents]
    if version != PLAIN_VERSION:
        parts += _pack_kept(facts.kept)
    if version == RARE_VERSION:
        parts += _pack_outside(facts.outside, names)
        parts.append(_U32.pack(len(facts.failed)))
        parts += [_FAILED.pack(*failure) for failure in facts.failed]
    return b"".join(parts)


def _pack_kept(kept: KeptFacts) -> Iterator[bytes]:
    yield from _pack_pieces(kept.members, 1)
    yield from _pack_pieces(kept.chains, LINK_BYTES)
    yield _U32.pack(len(kept.truncated))
    yield from map(_U32.pack, kept.truncated)


def _pack_outside(outside: OutsideFacts, names: dict[str, int]) -> Iterator[bytes]:
    yield from _pack_pieces(outside.arrivals, ID_BYTES)
    yield _U32.pack(len(outside.called))
    for fragment, (span_id, identity, parent_id, start_ns, name, service) in outside.called:
        place = names[name], names[service]
        yield _CALLED.pack(fragment, span_id, identity, parent_id, start_ns, *place)


def unpack_facts(element: bytes) -> Facts:
    """Unpack one element. Raises ValueError for another version or a cut element."""
    if not element or not PLAIN_VERSION <= element[0] <= RARE_VERSION:
        found = element[:1].hex() or "none"
        raise ValueError(f"facts of version {found}; this build reads 1 to {RARE_VERSION}")
    at = 2 + element[1]
    tenant = element[2:at].decode()
    spans, rejected = _TOTALS.unpack_from(element, at)
    at += _TOTALS.size
    count, at = _u16(element, at)
    names = []
    for _ in range(count):
        name, at = _take(element, at)
        names.append(name.decode(errors="replace"))
    count, at = _u16(element, at)
    sets = []
    for _ in range(count):
        true, at = _take(element, at)
        maybe, at = _take(element, at)
        sets.append((int.from_bytes(true, "little"), int.from_bytes(maybe, "little")))
    block, at = _block(element, at, FRAGMENT.size)
    fragments = list(FRAGMENT.iter_unpack(block))
    block, at = _block(element, at, _ROOT.size)
    roots = [
        (fragment, span_id, start_ns, names[name], names[service])
        for fragment, span_id, start_ns, name, service in _ROOT.iter_unpack(block)
    ]
    block, at = _block(element, at, _COUNTED.size)
    counted: list[Counted] = list(_COUNTED.iter_unpack(block))
    block, at = _block(element, at, _EXTENT.size)
    extents: list[Extent] = list(_EXTENT.iter_unpack(block))
    kept, outside = NOTHING_KEPT, NOTHING_OUTSIDE
    failed: Sequence[tuple[int, int]] = ()
    if element[0] != PLAIN_VERSION:
        kept, at = _unpack_kept(element, at)
    if element[0] == RARE_VERSION:
        outside, at = _unpack_outside(element, at, names)
        block, _ = _block(element, at, _FAILED.size)
        failed = [(fragment, number) for fragment, number in _FAILED.iter_unpack(block)]
    return Facts(
        tenant, spans, rejected, sets, fragments, roots, counted, extents, kept, outside, failed
    )


def _unpack_kept(element: bytes, at: int) -> tuple[KeptFacts, int]:
    members, at = _pieces(element, at, 1)
    chains, at = _pieces(element, at, LINK_BYTES)
    block, at = _block(element, at, _U32.size)
    truncated = [fragment for (fragment,) in _U32.iter_unpack(block)]
    return KeptFacts(members, chains, truncated), at


def _unpack_outside(element: bytes, at: int, names: Sequence[str]) -> tuple[OutsideFacts, int]:
    arrivals, at = _pieces(element, at, ID_BYTES)
    block, at = _block(element, at, _CALLED.size)
    called = [
        (fragment, Called(span_id, identity, parent_id, start_ns, names[name], names[service]))
        for fragment, span_id, identity, parent_id, start_ns, name, service in _CALLED.iter_unpack(
            block
        )
    ]
    return OutsideFacts(arrivals, called), at


def _pack_pieces(pieces: Sequence[tuple[int, bytes]], item_bytes: int) -> Iterator[bytes]:
    """Yield pieces of fragments, each of so many items."""
    yield _U32.pack(len(pieces))
    for fragment, piece in pieces:
        yield _MEMBER.pack(fragment, len(piece) // item_bytes)
        yield piece


def _pieces(element: bytes, at: int, item_bytes: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return pieces of fragments, each of so many items, and where they end."""
    (count,) = _U32.unpack_from(element, at)
    at += _U32.size
    pieces = []
    for _ in range(count):
        fragment, size = _MEMBER.unpack_from(element, at)
        begin = at + _MEMBER.size
        at = begin + size * item_bytes
        if at > len(element):
            raise ValueError(f"facts are cut: {len(element)} bytes, {at} expected")
        pieces.append((fragment, element[begin:at]))
    return pieces, at


def pack_mask(mask: int) -> bytes:
    """Return a mask as the fewest little-endian bytes."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def numbers_of(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _sized(content: bytes) -> bytes:
    return _U16.pack(len(content)) + content


def _u16(element: bytes, at: int) -> tuple[int, int]:
    return _U16.unpack_from(element, at)[0], at + 2


def _take(element: bytes, at: int) -> tuple[bytes, int]:
    size, at = _u16(element, at)
    return element[at : at + size], at + size


def _block(element: bytes, at: int, item_bytes: int) -> tuple[bytes, int]:
    count = _U32.unpack_from(element, at)[0]
    end = at + 4 + count * item_bytes
    if end > len(element):
        raise ValueError(f"facts are cut: {len(element)} bytes, {end} expected")
    return element[at + 4 : end], end
