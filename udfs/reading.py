# cython: language_level=3, wraparound=False, boundscheck=True
"""One pass over the bytes of a record: which spans fulfil which predicates.

The hottest loop there is. It walks the protobuf by hand and makes Python objects only of what a
rule may look at: the trace id and name of each span, and attributes whose keys are filed in the
index. Written in Cython's pure Python mode: this very source runs as it stands, and several times
as fast when it was compiled (`udfs.native` chooses). Types beside variables concern the compiler
alone.

Source: opentelemetry-proto trace/v1/trace.proto, common/v1/common.proto; protobuf encoding: of a
repeated scalar field the last one counts, repeated messages are merged.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import cython
from google.protobuf.message import DecodeError

from dsl.captures import Capture
from dsl.spans import HAS_IS_REMOTE, IS_REMOTE, KINDS, STATUSES
from dsl.values import GONE, MISSING, Read
from udfs.facts import COUNTED, EXTENT, MAX_SPANS_OF_FRAGMENT, ROOT, span_identity
from udfs.lanes import LANES
from udfs.members import pack_member
from udfs.native import engine_module
from udfs.otlp import (
    MAX_PLAIN_KEY_BYTES,
    REMOVED_TEXT,
    LazySpan,
    Origin,
    attribute_head,
    lazy_span,
    read_origin,
    read_value,
)
from udfs.predicate_index import COUNT, KEEP, Asked, Found, KeyIndex

if TYPE_CHECKING:
    from udfs.facts import (
        NOTHING_KEPT,
        NOTHING_OUTSIDE,
        Called,
        Facts,
        KeptFacts,
        OutsideFacts,
    )
else:
    # What packs them is compiled too, and takes none but its own.
    _facts = engine_module("facts")
    NOTHING_KEPT, NOTHING_OUTSIDE = _facts.NOTHING_KEPT, _facts.NOTHING_OUTSIDE
    Called, Facts = _facts.Called, _facts.Facts
    KeptFacts, OutsideFacts = _facts.KeptFacts, _facts.OutsideFacts

MAX_TIME_NS = 2**63 - 1
KEPT_VALUES = 10_000
"""Values of one attribute whose predicates are remembered."""
NAME_PLACES = 1 << 13
"""Size of the table of names."""
MAX_NOTED = 64
"""Attributes of a span whose places are noted."""
MAX_KEYED = 60
"""Keys of a group: which of them a span has is noted in the bits of one number."""
KEPT_ORIGINS = 1_000
"""Resources and scopes that are kept decoded."""
MAX_MEMBERS = 2_000
"""Spans of one trace in one record that are kept one by one; over it the trace is truncated."""
MAX_MEMBERS_BYTES = 262_144
"""The same, in bytes."""


_HAS_IS_REMOTE = HAS_IS_REMOTE >> 8
_IS_REMOTE = IS_REMOTE >> 8
"""Both lie in the second byte of the flags."""
_SERVER, _CONSUMER = KINDS.index("server"), KINDS.index("consumer")
_PERHAPS = object()
_DOUBLE = Struct("<d").unpack_from
# Declared, since a literal beyond 31 bits would be an object wherever it is used.
_LOW_63_BITS = cython.declare(cython.ulonglong, 2**63 - 1)
_LOW_32_BITS = cython.declare(cython.longlong, 2**32 - 1)


class Malformed(ValueError):
    """The bytes are no ExportTraceServiceRequest."""


@cython.cclass
class Keyed:
    """Predicates filed under an attribute.

    on_resource: a span without it is asked further up.
    """

    key: str
    key_bytes: cython.Py_ssize_t
    on_resource: cython.bint
    index: Any

    def __init__(self, key: str, *, on_resource: bool, index: KeyIndex) -> None:
        self.key = key
        self.key_bytes = len(key.encode())
        self.on_resource = on_resource
        self.index = index

    def found_in(self, value: Read) -> Found | None:
        """Return what a value says; one that is gone says that all must be asked."""
        if value is MISSING:
            return None
        return Found(0, self.index.all) if value is GONE else self.index.find(value)

    def read(self, view: LazySpan) -> Read:
        """Return the attribute of a span, or of its resource, in whatever form it was written."""
        value = view.span_attribute(self.key)
        if value is MISSING and self.on_resource:
            return view.resource_attribute(self.key)
        return value


@cython.cclass
class _Answer:
    """What an attribute says to a group, whatever span has it. Equal answers are one object.

    seen: bits of the filed keys that it answers; closely: of those that it may answer from within
    a map. mask: predicates that hold. ask: predicates that must be asked.
    """

    seen: cython.ulonglong
    closely: cython.ulonglong
    mask: Any
    ask: tuple

    def __init__(self, seen: int, closely: int, mask: int, ask: tuple[Asked, ...]) -> None:
        self.seen = seen
        self.closely = closely
        self.mask = mask
        self.ask = ask


@cython.cclass
class Group:
    """What is asked of the spans of one name, or of any name.

    mask: predicates that hold for every such span. each: those of them of which every span is
    counted or kept, with which of it (udfs.predicate_index). keyed: at most MAX_KEYED; rest: a
    group with more of them. tested: predicates with no attribute that they could be filed under.
    """

    mask: Any
    each: tuple
    keyed: tuple
    tested: tuple
    heads: dict
    maps: dict
    known: dict
    answers: dict
    looks: bytes
    all_seen: cython.ulonglong
    resource_keyed: tuple
    asks: cython.bint
    rest: Group
    asked_origin: Any
    """The resource that was asked last: spans come by the resource."""
    origin_says: tuple

    def __init__(
        self,
        *,
        mask: int,
        each: Sequence[tuple[int, int]],
        keyed: Sequence[Keyed],
        tested: Sequence[Asked],
        rest: Group | None = None,
    ) -> None:
        self.mask = mask
        self.each = tuple(each)
        self.keyed = tuple(keyed)
        self.tested = tuple(tested)
        self.rest = rest  # type: ignore[assignment]
        # A key may be filed twice: with the resource behind it, and without.
        self.heads = {}
        self.maps = {}
        self.known = {}
        self.asked_origin = None
        self.origin_says = ()
        self.answers = {}
        self.asks = bool(mask or keyed or tested)
        self.all_seen = (1 << len(self.keyed)) - 1
        asking_resource: list = []
        one: Keyed
        for number, one in enumerate(self.keyed):
            if one.on_resource:
                asking_resource.append(number)
            encoded = one.key.encode()
            if len(encoded) <= MAX_PLAIN_KEY_BYTES:
                head = attribute_head(encoded)
                self.heads[head] = (*self.heads.get(head, ()), number)
            parts = encoded.split(b".")
            for count in range(1, len(parts)):
                prefix = b".".join(parts[:count])
                if len(prefix) <= MAX_PLAIN_KEY_BYTES:
                    head = attribute_head(prefix)
                    self.maps[head] = (*self.maps.get(head, ()), number)
        self.resource_keyed = tuple(asking_resource)
        self.looks = looks_of((*self.heads, *self.maps))

    def says(self, raw: bytes) -> _Answer | None:
        """Return what a KeyValue message in its usual form says; None if it concerns nobody."""
        head = raw[: 2 + raw[1]]
        filed: tuple = self.heads.get(head, ())
        within: tuple = self.maps.get(head, ())
        if not filed and not within:
            return None
        seen: Any = 0
        mask: Any = 0
        ask: list = []
        one: Keyed
        for number in filed:
            one = self.keyed[number]
            found: Any = one.found_in(_value(raw, one.key_bytes))
            seen |= 1 << number
            mask |= found.mask
            ask += found.ask
        closely: Any = 0
        for number in within:
            closely |= 1 << number
        # A thousand values that say the same lead to one place in memory, not to a thousand.
        what: tuple = (seen, closely, mask, tuple(ask))
        answer = self.answers.get(what)
        if answer is None:
            answer = self.answers[what] = _Answer(*what)
        if len(self.known) >= KEPT_VALUES:
            self.known.clear()
            self.answers.clear()
        self.known[raw] = answer
        return answer


@cython.cclass
class Index:
    """The predicates of a tenant's epoch, arranged for one pass over the spans.

    captures: by predicate whose spans are kept, what is read off them. begins_outside: traces may
    begin outside of what the tenant exports.
    """

    by_name: dict
    any_name: Group
    needs_extent: cython.bint
    needs_links: cython.bint
    begins_outside: cython.bint
    captures: Any
    looks: bytes
    names: bytes
    """Ones at the places of the names that are asked for: most others need no look-up."""
    origins: dict
    on_resource: dict

    def __init__(
        self,
        *,
        by_name: dict[bytes, Group],
        any_name: Group,
        needs_extent: bool,
        needs_links: bool,
        captures: Mapping[int, Sequence[Capture]],
        begins_outside: bool = False,
    ) -> None:
        self.by_name = by_name
        self.any_name = any_name
        self.needs_extent = needs_extent
        self.needs_links = needs_links
        self.begins_outside = begins_outside
        self.captures = captures
        heads: list = []
        group: Group
        for group in (*by_name.values(), any_name):
            while group is not None:
                heads += (*group.heads, *group.maps)
                group = group.rest
        self.looks = looks_of(heads)
        names = {_place_of_name(name, 0, len(name)) for name in by_name}
        self.names = _table_of(tuple(sorted(names)), NAME_PLACES)
        self.origins = {}
        self.on_resource = {}

    def origin(self, resource: bytes, scope: bytes) -> Origin:
        """Return the resource and scope in these messages, decoded once."""
        key = (resource, scope)
        origin = self.origins.get(key)
        if origin is None:
            if len(self.origins) >= KEPT_ORIGINS:
                self.origins.clear()
                self.on_resource.clear()
            origin = self.origins[key] = read_origin(resource, scope)
        return origin

    def of_resource(self, group: Group, origin: Origin) -> tuple[tuple[int, Found], ...]:
        """Return what a resource says to those filed predicates of a group that ask it."""
        key = (id(group), origin)
        known = self.on_resource.get(key)
        if known is None:
            answers = []
            for number in group.resource_keyed:
                one: Keyed = group.keyed[number]
                found = one.found_in(origin.resource.get(one.key))
                if found is not None and (found.mask or found.ask):
                    answers.append((number, found))
            known = self.on_resource[key] = tuple(answers)
        return known


def looks_of(heads: Sequence[bytes]) -> bytes:
    """Return a table of keys that are worth a look, by length and last letter (see _look)."""
    places = {head[1] << 5 | head[len(head) - 1] & 31 for head in heads}
    return _table_of(tuple(sorted(places)), (MAX_PLAIN_KEY_BYTES + 1) << 5)


@lru_cache(maxsize=1024)
def _table_of(places: tuple[int, ...], size: int) -> bytes:
    """Return a table with ones at some places: most groups ask for the same few keys."""
    table = bytearray(size)
    for place in places:
        table[place] = 1
    return bytes(table)


@cython.cclass
class _Fragment:
    """What the spans of one trace in one record have shown so far."""

    at: cython.Py_ssize_t
    spans: cython.Py_ssize_t
    flags: cython.int
    true: Any
    maybe: Any
    start_ns: Any
    end_ns: Any
    members: cython.Py_ssize_t
    members_bytes: cython.Py_ssize_t
    truncated: cython.bint
    links: Any
    came: Any
    called: Any

    def __init__(self, at: int) -> None:
        self.at = at
        self.spans = 0
        self.flags = 0
        self.true = 0
        self.maybe = 0
        self.start_ns = MAX_TIME_NS
        self.end_ns = 0
        self.members = self.members_bytes = 0
        self.truncated = False
        self.links = None
        self.came = None
        self.called = None


@cython.cclass
class _Span:
    """Where the fields of the span at hand lie; one object serves a whole record."""

    at: cython.Py_ssize_t
    end: cython.Py_ssize_t
    trace_at: cython.Py_ssize_t
    trace_bytes: cython.Py_ssize_t
    id_at: cython.Py_ssize_t
    id_bytes: cython.Py_ssize_t
    name_at: cython.Py_ssize_t
    name_bytes: cython.Py_ssize_t
    parent_at: cython.Py_ssize_t
    parent_bytes: cython.Py_ssize_t
    has_parent: cython.bint
    kind: cython.longlong
    times_at: cython.Py_ssize_t
    ends_at: cython.Py_ssize_t
    flags_at: cython.Py_ssize_t
    dropped: cython.bint
    odd: cython.bint
    attributes: cython.longlong[::1]
    """Places and sizes of attributes that may be of interest, in turn: the first MAX_NOTED."""
    noted: cython.Py_ssize_t
    """How many numbers of these belong to the span at hand."""
    kept: list
    """Predicates that keep the span: (number, whether it certainly fulfils it)."""

    def __init__(self) -> None:
        self.attributes = array("q", bytes(16 * MAX_NOTED))
        self.noted = 0
        self.kept = []


@cython.cclass
class Reading:
    """One pass over one record."""

    index: Index
    tenant: str
    lane: cython.int
    prefix_crc: cython.ulonglong
    fragments: dict
    roots: list
    counted: list
    members: list
    rejected: cython.Py_ssize_t
    strays: cython.bint
    """Whether a trace lies in another lane: the record was cut by another number of lanes."""
    failed: dict
    errors: dict
    latest: _Fragment
    """Of the span before, and where that has its trace id: neighbours are often of one trace."""
    latest_at: cython.Py_ssize_t

    def __init__(self, index: Index, *, tenant: str, lane: int, prefix_crc: int) -> None:
        self.index = index
        self.tenant = tenant
        self.lane = lane
        self.prefix_crc = prefix_crc
        self.fragments = {}
        self.roots = []
        self.counted = []
        self.members = []
        self.rejected = 0
        self.strays = False
        self.failed = {}
        self.errors = {}
        self.latest = None  # type: ignore[assignment]
        self.latest_at = 0

    def read(self, payload: bytes) -> Facts:
        """Read a whole ExportTraceServiceRequest. Raises Malformed."""
        try:
            _read_request(self, payload)
        except IndexError as error:
            raise Malformed("a message ends within a field") from error
        except DecodeError as error:
            raise Malformed(str(error)) from error
        return self._facts()

    def has_strays(self) -> bool:
        """Tell whether traces of other lanes are among the facts."""
        return bool(self.strays)

    def first_errors(self) -> dict[int, str]:
        """Return the first error of each predicate that failed, by its number."""
        errors: dict[int, str] = self.errors
        return errors

    def _facts(self) -> Facts:
        sets = {(0, 0): 0}
        rows = []
        extents = []
        total = 0
        needs_extent = self.index.needs_extent
        fragment: _Fragment
        for trace_id, fragment in self.fragments.items():
            fact_set = sets.setdefault((fragment.true, fragment.maybe), len(sets))
            spans = min(fragment.spans, MAX_SPANS_OF_FRAGMENT)
            rows.append((trace_id, spans, fragment.flags, fact_set))
            total += fragment.spans
            if needs_extent:
                extents.append((fragment.at, fragment.start_ns, fragment.end_ns))
        return Facts(
            tenant=self.tenant,
            spans=total,
            rejected=self.rejected,
            sets=tuple(sets),
            fragments=rows,
            roots=self.roots,
            counted=self.counted,
            extents=extents,
            kept=self._kept(),
            outside=self._outside(),
            failed=tuple(self.failed),
        )

    def _kept(self) -> KeptFacts:
        if not self.members and not self.index.needs_links:
            return NOTHING_KEPT
        chains: list = []
        truncated: list = []
        fragment: _Fragment
        for fragment in self.fragments.values():
            if fragment.links:
                chains.append((fragment.at, b"".join(fragment.links)))
            if fragment.truncated:
                truncated.append(fragment.at)
        return KeptFacts(self.members, chains, truncated)

    def _outside(self) -> OutsideFacts:
        """Return what may tell the external roots of traces of which no root is in this record."""
        if not self.index.begins_outside:
            return NOTHING_OUTSIDE
        arrivals: list = []
        called: list = []
        fragment: _Fragment
        for fragment in self.fragments.values():
            if not fragment.flags & ROOT:
                arrivals.append((fragment.at, b"".join(fragment.came)))
                for span in fragment.called:
                    if span.parent_id not in fragment.came:
                        called.append((fragment.at, span))
        return OutsideFacts(arrivals, called)


# -- walking the messages --------------------------------------------------------------------------


@cython.cfunc
def _read_request(reading: Reading, payload: bytes) -> None:
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = len(payload)
    size: cython.Py_ssize_t
    tag: cython.longlong
    span = _Span()
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag == 0x0A:
            size = _size(payload, at, end)
            at += _varint_bytes(payload, at)
            _read_resource_spans(reading, payload, at, at + size, span)
            at += size
        else:
            at = _skip(payload, at, end, tag)


@cython.cfunc
def _read_resource_spans(
    reading: Reading,
    payload: bytes,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    span: _Span,
) -> None:
    size: cython.Py_ssize_t
    tag: cython.longlong
    resource: bytes = b""
    scopes: list = []
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag == 0x0A or tag == 0x12:
            size = _size(payload, at, end)
            at += _varint_bytes(payload, at)
            if tag == 0x0A:
                resource += _cut(payload, at, at + size)
            else:
                scopes.append(at)
                scopes.append(at + size)
            at += size
        else:
            at = _skip(payload, at, end, tag)
    number: cython.Py_ssize_t
    for number in range(0, len(scopes), 2):
        _read_scope_spans(reading, payload, scopes[number], scopes[number + 1], resource, span)


@cython.cfunc
def _read_scope_spans(
    reading: Reading,
    payload: bytes,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    resource: bytes,
    span: _Span,
) -> None:
    size: cython.Py_ssize_t
    tag: cython.longlong
    begin: cython.Py_ssize_t = at
    scope: bytes = b""
    origin: Any = None
    looks: bytes = reading.index.looks
    # The scope comes first where people write it, but need not.
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag == 0x0A or tag == 0x12:
            size = _size(payload, at, end)
            at += _varint_bytes(payload, at)
            if tag == 0x0A:
                scope += _cut(payload, at, at + size)
            at += size
        else:
            at = _skip(payload, at, end, tag)
    origin = reading.index.origin(resource, scope)
    at = begin
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag == 0x12:
            size = _size(payload, at, end)
            at += _varint_bytes(payload, at)
            _read_span(payload, at, at + size, span, looks)
            _take(reading, payload, span, origin)
            at += size
        else:
            at = _skip(payload, at, end, tag)


@cython.cfunc
def _read_span(
    payload: bytes,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    span: _Span,
    looks: bytes,
) -> None:
    """Note where the fields of a span lie."""
    size: cython.Py_ssize_t
    tag: cython.longlong
    key_bytes: cython.Py_ssize_t
    span.at = at
    span.end = end
    span.trace_at = span.id_at = span.name_at = span.parent_at = 0
    span.trace_bytes = span.id_bytes = span.name_bytes = span.parent_bytes = 0
    span.has_parent = span.dropped = span.odd = False
    span.kind = 0
    span.times_at = span.ends_at = span.flags_at = -1
    attributes: cython.longlong[::1] = span.attributes
    noted: cython.Py_ssize_t = 0
    while at < end:
        tag = payload[at]
        if tag < 0x80:
            at += 1
        else:
            tag = _varint(payload, at)
            at += _varint_bytes(payload, at)
        if tag & 7 == 2:
            size = payload[at]
            if size < 0x80:
                at += 1
                if at + size > end:
                    raise Malformed("a field is longer than its message")
            else:
                size = _size(payload, at, end)
                at += _varint_bytes(payload, at)
            if tag == 0x4A:
                key_bytes = payload[at + 1] if size > 1 else 0x80
                if key_bytes > 0x7F or key_bytes == 0 or payload[at] != 0x0A:
                    # The value before the key, a very long key, or no key at all.
                    span.odd = True
                elif looks[key_bytes << 5 | payload[at + 1 + key_bytes] & 31]:
                    if noted == 2 * MAX_NOTED:
                        # More than there is room for: those are read off the whole span.
                        span.odd = True
                    else:
                        attributes[noted] = at
                        attributes[noted + 1] = size
                        noted += 2
            elif tag == 0x0A:
                span.trace_at = at
                span.trace_bytes = size
            elif tag == 0x12:
                span.id_at = at
                span.id_bytes = size
            elif tag == 0x22:
                span.parent_at = at
                span.parent_bytes = size
                span.has_parent = size > 0 and _cut(payload, at, at + size).strip(b"\0") != b""
            elif tag == 0x2A:
                span.name_at = at
                span.name_bytes = size
            at += size
        elif tag == 0x39:
            span.times_at = at
            at += 8
        elif tag == 0x41:
            span.ends_at = at
            at += 8
        elif tag == 0x30:
            span.kind = _varint(payload, at) & _LOW_32_BITS
            at += _varint_bytes(payload, at)
        elif tag == 0x50:
            span.dropped = _varint(payload, at) & _LOW_32_BITS != 0
            at += _varint_bytes(payload, at)
        elif tag == 0x85:
            span.flags_at = at
            at += 4
        else:
            at = _skip(payload, at, end, tag)
    span.noted = noted
    if at != end:
        raise Malformed("a field is longer than its message")


@cython.cfunc
def _cut(payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
    """Return some of the payload, without the slice object that an interpreter would make."""
    if end > len(payload):
        raise Malformed("a field is longer than its message")
    characters: cython.p_char = payload
    return characters[at:end]


@cython.cfunc
@cython.exceptval(-1, check=True)
def _varint(payload: bytes, at: cython.Py_ssize_t) -> cython.longlong:
    """Return the varint at a place: 64 bits, those above are cut off."""
    byte: cython.ulonglong = payload[at]
    if byte < 0x80:
        return byte
    value: cython.ulonglong = byte & 0x7F
    shift: cython.int = 7
    while True:
        at += 1
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Malformed("a varint is longer than 10 bytes")
    return value & _LOW_63_BITS


@cython.cfunc
@cython.exceptval(-1, check=True)
def _varint_bytes(payload: bytes, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return how many bytes the varint at a place takes."""
    size: cython.Py_ssize_t = 1
    while payload[at] > 0x7F:
        at += 1
        size += 1
    return size


@cython.cfunc
@cython.exceptval(-1, check=True)
def _size(payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the length of the field whose length stands at a place, which must fit."""
    size: cython.longlong = _varint(payload, at)
    if size > end - at - _varint_bytes(payload, at):
        raise Malformed("a field is longer than its message")
    return size


@cython.cfunc
@cython.exceptval(-1, check=True)
def _skip(
    payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t, tag: cython.longlong
) -> cython.Py_ssize_t:
    """Return where the field after this one begins; `at` is behind the tag."""
    kind: cython.int = tag & 7
    if tag >> 3 == 0:
        raise Malformed("a field has the number 0")
    if kind == 0:
        _varint(payload, at)
        at += _varint_bytes(payload, at)
    elif kind == 1:
        at += 8
    elif kind == 2:
        at += _size(payload, at, end) + _varint_bytes(payload, at)
    elif kind == 5:
        at += 4
    elif kind == 3:
        at = _skip_group(payload, at, end)
    else:
        raise Malformed("a field has a wire type that does not exist")
    if at > end:
        raise Malformed("a field is longer than its message")
    return at


@cython.cfunc
@cython.exceptval(-1, check=True)
def _skip_group(payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Skip a group (deprecated, but legal in unknown fields); `at` is behind its start tag."""
    depth: cython.int = 1
    tag: cython.longlong
    while depth:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag & 7 == 3:
            depth += 1
        elif tag & 7 == 4:
            depth -= 1
        else:
            at = _skip(payload, at, end, tag)
        if at > end:
            raise Malformed("a group is not closed")
    return at


# -- asking the predicates -------------------------------------------------------------------------


@cython.cfunc
def _take(reading: Reading, payload: bytes, span: _Span, origin: Any) -> None:
    fragment: _Fragment = reading.latest
    if (
        fragment is None
        or span.trace_bytes != 16
        or not _are_equal(payload, span.trace_at, reading.latest_at, 16)
    ):
        trace_id: bytes = _cut(payload, span.trace_at, span.trace_at + span.trace_bytes)
        known = reading.fragments.get(trace_id)
        if known is not None:
            fragment = known
        elif span.trace_bytes == 16:
            if crc32(trace_id, reading.prefix_crc) % LANES != reading.lane:
                reading.strays = True
            fragment = _Fragment(len(reading.fragments))
            reading.fragments[trace_id] = fragment
        else:
            reading.rejected += 1
            return
        reading.latest = fragment
        reading.latest_at = span.trace_at
    fragment.spans += 1
    if not span.has_parent:
        _add_root(reading, payload, span, fragment, origin)
    index: Index = reading.index
    if index.needs_extent:
        _add_extent(payload, span, fragment)
    if index.by_name and index.names[_place_of_name(payload, span.name_at, span.name_bytes)]:
        named = index.by_name.get(_cut(payload, span.name_at, span.name_at + span.name_bytes))
        if named is not None:
            _ask_group(reading, payload, span, fragment, origin, named)
    if index.any_name.asks:
        _ask_group(reading, payload, span, fragment, origin, index.any_name)
    if index.needs_links:
        if fragment.links is None:
            fragment.links = []
        fragment.links.append(_id(payload, span.id_at, span.id_bytes))
        fragment.links.append(_id(payload, span.parent_at, span.parent_bytes))
    if index.begins_outside:
        _add_arrival(payload, span, fragment, origin)
    if span.kept:
        _keep(reading, payload, span, fragment, origin)


@cython.cfunc
@cython.exceptval(-1, check=True)
def _are_equal(
    payload: bytes, one: cython.Py_ssize_t, other: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.bint:
    """Tell whether two pieces of the payload are equal."""
    same: cython.Py_ssize_t = 0
    while same < size and payload[one + same] == payload[other + same]:
        same += 1
    return same == size


@cython.cfunc
@cython.exceptval(-1, check=True)
def _place_of_name(
    payload: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return a name's place in a table of NAME_PLACES: by its length and two of its letters."""
    if size == 0:
        return 0
    middle: cython.Py_ssize_t = payload[at + (size >> 1)]
    last: cython.Py_ssize_t = payload[at + size - 1]
    return (size & 15) << 9 | (middle & 15) << 5 | last & 31


@cython.cfunc
def _ask_group(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    origin: Any,
    group: Group,
) -> None:
    if group.mask:
        fragment.true |= group.mask
        for number, each in group.each:
            _note(reading, payload, span, fragment, number, each, True)
    view: Any = None
    while group is not None:
        if group.keyed:
            view = _look_up(reading, payload, span, fragment, origin, group, view)
        if group.tested:
            if view is None:
                view = _view(payload, span, origin)
            _ask(reading, payload, span, fragment, view, group.tested)
        group = group.rest


@cython.cfunc
def _look_up(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    origin: Any,
    group: Group,
    view: Any,
) -> Any:
    """Ask the predicates filed under attributes, by the values that the span has.

    view: the span's, if there is one. Returns it, made if it was needed.
    """
    attributes: cython.longlong[::1] = span.attributes
    known: dict = group.known
    looks: bytes = group.looks
    seen: cython.ulonglong = 0
    closely: cython.ulonglong = 0
    at: cython.Py_ssize_t
    key_bytes: cython.Py_ssize_t
    number: cython.Py_ssize_t
    answer: _Answer
    for number in range(0, span.noted, 2):
        at = attributes[number]
        key_bytes = payload[at + 1]
        if not looks[key_bytes << 5 | payload[at + 1 + key_bytes] & 31]:
            continue
        raw: bytes = _cut(payload, at, at + attributes[number + 1])
        remembered = known.get(raw)
        answer = group.says(raw) if remembered is None else remembered  # type: ignore[assignment]
        if answer is None or answer.seen & seen:
            # The first of equal keys counts; those filed under one key are seen together.
            continue
        seen |= answer.seen
        closely |= answer.closely
        if answer.mask:
            fragment.true |= answer.mask
        if answer.ask:
            if view is None:
                view = _view(payload, span, origin)
            _ask(reading, payload, span, fragment, view, answer.ask)
    if seen == group.all_seen:
        return view
    if span.odd or span.dropped:
        closely = group.all_seen
    closely &= ~seen
    one: Keyed
    if closely:
        if view is None:
            view = _view(payload, span, origin)
        for number in range(len(group.keyed)):
            if closely >> number & 1:
                one = group.keyed[number]
                _ask_found(reading, payload, span, fragment, view, one.found_in(one.read(view)))
        seen |= closely
    if group.resource_keyed:
        if group.asked_origin is not origin:
            group.origin_says = reading.index.of_resource(group, origin)
            group.asked_origin = origin
        for number, found in group.origin_says:
            if not seen >> number & 1:
                if view is None:
                    view = _view(payload, span, origin)
                _ask_found(reading, payload, span, fragment, view, found)
    return view


@cython.cfunc
def _ask_found(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    view: Any,
    found: Any,
) -> None:
    if found is None:
        return
    fragment.true |= found[0]
    if found[1]:
        _ask(reading, payload, span, fragment, view, found[1])


@cython.cfunc
def _ask(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    view: Any,
    predicates: Any,
) -> None:
    for bit, number, each, test, _ in predicates:
        if fragment.true & bit and not each:
            continue
        try:
            holds = test(view)
        except (DecodeError, Malformed):
            raise
        except Exception as error:  # noqa: BLE001
            # The rim of a predicate: a bug in one must not cost all others the record.
            holds = None
            reading.failed[fragment.at, number] = None
            reading.errors.setdefault(number, f"{type(error).__name__}: {error}")
        if holds:
            fragment.true |= bit
        elif holds is None:
            fragment.maybe |= bit
        else:
            continue
        if each:
            _note(reading, payload, span, fragment, number, each, bool(holds))


@cython.cfunc
def _view(payload: bytes, span: _Span, origin: Any) -> Any:
    view = _View()
    view.payload = payload
    view.at = span.at
    view.end = span.end
    view.named = _cut(payload, span.name_at, span.name_at + span.name_bytes)
    view.plain = not (span.odd or span.dropped)
    view.origin = origin
    view.parsed = None
    view.known = {}
    return view


@cython.cclass
class _View:
    """A span as predicates see it (dsl.SpanView): what they mostly ask is read off the bytes.

    Everything else is left to the span's message, parsed when it is first needed. plain: every
    attribute has its usual form, and none was dropped.
    """

    payload: bytes
    at: cython.Py_ssize_t
    end: cython.Py_ssize_t
    named: bytes
    plain: cython.bint
    origin: Any
    parsed: Any
    known: dict
    """Attributes that were read: many predicates ask for the same."""

    @property
    def name(self) -> str:
        """The span's name."""
        return self.named.decode(errors="replace")

    @property
    def service(self) -> str:
        """The resource's service.name, or nothing."""
        return self.origin.service

    @property
    def status(self) -> str:
        """The span's status."""
        code: cython.int = _read_status(self.payload, self.at, self.end)
        return STATUSES[code] if code >= 0 else self._whole().status

    def span_attribute(self, key: str) -> Read:
        """Return an attribute of the span itself."""
        value = self.known.get(key, _PERHAPS)
        if value is _PERHAPS:
            if self.plain:
                value = _read_attribute(self.payload, self.at, self.end, key.encode())
            if value is _PERHAPS:
                value = self._whole().span_attribute(key)
            self.known[key] = value
        return value

    def resource_attribute(self, key: str) -> Read:
        """Return an attribute of the resource."""
        return self.origin.resource.get(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)

    def _whole(self) -> LazySpan:
        if self.parsed is None:
            self.parsed = lazy_span(_cut(self.payload, self.at, self.end), self.origin)
        return self.parsed


@cython.cfunc
@cython.exceptval(-2, check=True)
def _read_status(payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """Return the code of a span's status; -1 if it must be read off the parsed span."""
    size: cython.Py_ssize_t
    tag: cython.longlong
    code: cython.int = 0
    seen: cython.bint = False
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag != 0x7A:
            at = _skip(payload, at, end, tag)
            continue
        size = _size(payload, at, end)
        at += _varint_bytes(payload, at)
        if seen or size > 2 or (size == 2 and (payload[at] != 0x18 or payload[at + 1] > 2)):
            # Written in pieces, with a message, or with a code of its own.
            return -1
        seen = True
        if size == 2:
            code = payload[at + 1]
        at += size
    return code


@cython.cfunc
def _read_attribute(
    payload: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t, key: bytes
) -> Any:
    """Return the first attribute of a span with a key, MISSING, or _PERHAPS.

    Perhaps: the key is long, or may lead into a map under its beginning.
    """
    wanted: cython.Py_ssize_t = len(key)
    size: cython.Py_ssize_t
    key_bytes: cython.Py_ssize_t
    same: cython.Py_ssize_t
    tag: cython.longlong
    perhaps: cython.bint = wanted > MAX_PLAIN_KEY_BYTES
    while at < end:
        tag = _varint(payload, at)
        at += _varint_bytes(payload, at)
        if tag != 0x4A:
            at = _skip(payload, at, end, tag)
            continue
        size = _size(payload, at, end)
        at += _varint_bytes(payload, at)
        key_bytes = payload[at + 1]
        if key_bytes <= wanted and key_bytes + 2 <= size:
            same = 0
            while same < key_bytes and payload[at + 2 + same] == key[same]:
                same += 1
            if same == wanted:
                return _value(_cut(payload, at, at + size), wanted)
            if same == key_bytes and key[same] == 0x2E:
                perhaps = True
        at += size
    return _PERHAPS if perhaps else MISSING


@cython.cfunc
def _value(raw: bytes, key_bytes: cython.Py_ssize_t) -> Any:
    """Return the value of a KeyValue message whose key has that many bytes (otlp.read_value).

    Texts, numbers and truths in their usual form, in less than 128 bytes, are read here.
    """
    at: cython.Py_ssize_t = 2 + key_bytes
    size: cython.Py_ssize_t = len(raw)
    tag: cython.int
    if (
        at + 3 < size < at + 130
        and key_bytes < 0x80
        and raw[0] == 0x0A
        and raw[1] == key_bytes
        and raw[at] == 0x12
    ):
        tag = raw[at + 2]
        if raw[at + 1] != size - at - 2:
            pass
        elif tag == 0x0A and raw[at + 3] == size - at - 4:
            text = _cut(raw, at + 4, size).decode(errors="replace")
            return GONE if text == REMOVED_TEXT else text
        elif tag == 0x21 and size == at + 11:
            return _DOUBLE(raw, at + 3)[0]
        elif tag == 0x18 and size < at + 12 and _varint_bytes(raw, at + 3) == size - at - 3:
            return _varint(raw, at + 3)
    return read_value(raw, key_bytes)


@cython.cfunc
def _note(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    number: Any,
    each: cython.int,
    certain: Any,
) -> None:
    """Note a span that fulfils a predicate, or might, where every one of them matters."""
    if each & COUNT:
        _count(reading, payload, span, fragment, number, certain)
    if each & KEEP:
        span.kept.append((number, certain))


@cython.cfunc
def _keep(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    origin: Any,
) -> None:
    """Keep a span for those predicates that want it."""
    answers = dict(span.kept)
    span.kept.clear()
    view = lazy_span(_cut(payload, span.at, span.end), origin)
    packed: Any = pack_member(view, answers, reading.index.captures)
    fragment.members += 1
    fragment.members_bytes += len(packed.content)
    if not packed.whole:
        fragment.truncated = True
    for number, error in packed.failed.items():
        reading.failed[fragment.at, number] = None
        reading.errors.setdefault(number, error)
    if fragment.members > MAX_MEMBERS or fragment.members_bytes > MAX_MEMBERS_BYTES:
        fragment.truncated = True
    else:
        reading.members.append((fragment.at, packed.content))


@cython.cfunc
def _id(payload: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> Any:
    """Return the span id at a place as 8 bytes; zeros if there is none."""
    if size == 8:
        return _cut(payload, at, at + 8)
    return _cut(payload, at, at + size)[:8].ljust(8, b"\0")


@cython.cfunc
def _count(
    reading: Reading,
    payload: bytes,
    span: _Span,
    fragment: _Fragment,
    number: Any,
    certain: Any,
) -> None:
    fragment.flags |= COUNTED
    span_id = _cut(payload, span.id_at, span.id_at + span.id_bytes)
    identity = _identity(payload, span)
    reading.counted.append((fragment.at, span_id, identity, number, certain))


@cython.cfunc
def _identity(payload: bytes, span: _Span) -> Any:
    return span_identity(
        name=_cut(payload, span.name_at, span.name_at + span.name_bytes),
        kind=span.kind if span.kind < 1 << 31 else span.kind - (1 << 32),
        start_ns=_time(payload, span.times_at),
    )


@cython.cfunc
def _add_root(
    reading: Reading, payload: bytes, span: _Span, fragment: _Fragment, origin: Any
) -> None:
    fragment.flags |= ROOT
    name = _cut(payload, span.name_at, span.name_at + span.name_bytes).decode(errors="replace")
    span_id = _cut(payload, span.id_at, span.id_at + span.id_bytes)
    start_ns = min(_time(payload, span.times_at), MAX_TIME_NS)
    reading.roots.append((fragment.at, span_id, start_ns, name, origin.service))


@cython.cfunc
def _add_arrival(payload: bytes, span: _Span, fragment: _Fragment, origin: Any) -> None:
    """Note that a span came, and whether it was called by one of another process."""
    if fragment.came is None:
        fragment.came = {}
        fragment.called = []
    span_id: bytes = _id(payload, span.id_at, span.id_bytes)
    fragment.came[span_id] = None
    if span.has_parent and _is_called(payload, span):
        fragment.called.append(
            Called(
                span_id,
                _identity(payload, span),
                _id(payload, span.parent_at, span.parent_bytes),
                min(_time(payload, span.times_at), MAX_TIME_NS),
                _cut(payload, span.name_at, span.name_at + span.name_bytes).decode(
                    errors="replace"
                ),
                origin.service,
            )
        )


@cython.cfunc
@cython.exceptval(-1, check=True)
def _is_called(payload: bytes, span: _Span) -> cython.int:
    """Tell whether the parent of a span is remote: by its flags, else by its kind."""
    flags: cython.int = 0
    if span.flags_at >= 0:
        # Byte 1 of a little-endian fixed32.
        flags = payload[span.flags_at + 1]
    if flags & _HAS_IS_REMOTE:
        return flags & _IS_REMOTE != 0
    return span.kind == _SERVER or span.kind == _CONSUMER


@cython.cfunc
def _add_extent(payload: bytes, span: _Span, fragment: _Fragment) -> None:
    fragment.flags |= EXTENT
    fragment.start_ns = min(fragment.start_ns, _time(payload, span.times_at))
    fragment.end_ns = max(fragment.end_ns, min(_time(payload, span.ends_at), MAX_TIME_NS))


@cython.cfunc
def _time(payload: bytes, at: cython.Py_ssize_t) -> Any:
    """Return the 64-bit number at a place; 0 if there is none."""
    value: cython.ulonglong = 0
    number: cython.Py_ssize_t
    if at >= 0:
        for number in range(at + 7, at - 1, -1):
            value = value << 8 | payload[number]
    return value
