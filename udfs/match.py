"""From a record of spans to packed facts: the one place where every span is looked at.

Spans are decoded lazily and asked by name first: a span whose name no rule mentions costs two
look-ups. Predicates on spans of any name are asked only where the record holds an attribute that
they need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from google.protobuf.message import DecodeError

import dsl
from dsl.values import GONE, MISSING, Read
from udfs.facts import (
    COUNTED,
    DEAD_LETTER,
    EXTENT,
    MAX_SPANS_OF_FRAGMENT,
    ROOT,
    Counted,
    Extent,
    Facts,
    Root,
    pack_facts,
    span_identity,
)
from udfs.lanes import LANES, tenant_prefix_crc
from udfs.otlp import (
    MAX_PLAIN_KEY_BYTES,
    LazySpan,
    Origin,
    attribute_head,
    origin_of,
    read_value,
    resource_attributes,
)
from udfs.predicate_index import Asked, KeyIndex, condition_to_file_under
from udfs.rulebook import Matched, RuleBook
from udfs.wire import betrace_pb2 as wire
from udfs.wire import otlp_lazy_pb2 as lazy

MAX_DEAD_LETTER_BYTES = 16 * 1024
MAX_TIME_NS = 2**63 - 1
_KEPT_INDEXES = 256


class _Keyed:
    """Predicates filed under an attribute.

    on_resource: a span without it is asked further up. needle: bytes that a record holds if some
    span of it has the attribute.
    """

    __slots__ = ("_at", "_head", "_heads", "_key_bytes", "_on_resource", "_text", "index", "needle")

    def __init__(self, key: str, *, on_resource: bool, index: KeyIndex) -> None:
        encoded = key.encode()
        parts = encoded.split(b".")
        self._text = key
        self._on_resource = on_resource
        self._key_bytes = len(encoded)
        self._head = attribute_head(encoded)
        # Starts that call for a closer look: maps that the key may lead into, a value written
        # before its key.
        maps = (attribute_head(b".".join(parts[:count])) for count in range(1, len(parts)))
        self._heads = (self._head, *maps, b"\x12")
        # Instrumentations write attributes in one order: look where it was the last time.
        self._at = 0
        self.needle = parts[-1]
        self.index = index

    def read(self, raws: Sequence[bytes], span: lazy.Span, origin: Origin) -> Read:
        """Return the attribute's value on a span."""
        head = self._head
        if self._at < len(raws):
            raw = raws[self._at]
            if raw.startswith(head):
                return read_value(raw, self._key_bytes)
        heads = self._heads
        for at, raw in enumerate(raws):
            if raw.startswith(heads):
                if not raw.startswith(head) or self._key_bytes > MAX_PLAIN_KEY_BYTES:
                    return self._read_closely(span, origin)
                self._at = at
                return read_value(raw, self._key_bytes)
        if span.dropped_attributes_count:
            return GONE
        return origin.resource.get(self._text) if self._on_resource else MISSING

    def _read_closely(self, span: lazy.Span, origin: Origin) -> Read:
        view = LazySpan(span, origin)
        value = view.span_attribute(self._text)
        if value is MISSING and self._on_resource:
            return view.resource_attribute(self._text)
        return value


class _Named(NamedTuple):
    """What is asked of the spans of one name."""

    mask: int
    counted: tuple[int, ...]
    keyed: tuple[_Keyed, ...]
    tested: tuple[Asked, ...]
    """Predicates with no attribute that they could be filed under."""


class _Index(NamedTuple):
    """The predicates of a tenant's epoch, arranged for one pass over the spans."""

    until_ms: int
    since_ms: int
    by_name: dict[bytes, _Named]
    any_name: _Named
    needs_extent: bool


class _Fragment:
    """What the spans of one trace in one record have shown so far."""

    __slots__ = ("at", "end_ns", "flags", "maybe", "spans", "start_ns", "true")

    def __init__(self, at: int) -> None:
        self.at = at
        self.spans = 0
        self.flags = 0
        self.true = 0
        self.maybe = 0
        self.start_ns = MAX_TIME_NS
        self.end_ns = 0


class Matcher:
    """Turns records into facts by the rules of their time."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._book_version = -1
        self._indexes: dict[tuple[str, int], _Index] = {}
        self._last: dict[str, _Index] = {}

    def match(
        self,
        payload: bytes,
        *,
        tenant: str,
        lane: int,
        partition: int,
        offset: int,
        time_ms: int,
    ) -> bytes:
        """Return the packed facts of one record (udfs.facts), or a packed dead letter.

        payload: an ExportTraceServiceRequest with spans of one tenant and lane. Spans without a
        16-byte trace id, or of another lane, are counted as rejected. Raises nothing for bad
        input.
        """
        try:
            request = lazy.Request.FromString(payload)
        except DecodeError as error:
            letter = wire.DeadLetter(
                tenant=tenant,
                source="match",
                code="otlp.malformed",
                detail=str(error),
                topic="spans",
                partition=partition,
                offset=offset,
                content=payload[:MAX_DEAD_LETTER_BYTES],
            )
            return bytes((DEAD_LETTER,)) + letter.SerializeToString(deterministic=True)
        index = self._index(tenant, time_ms)
        reading = _Reading(index, tenant=tenant, lane=lane, payload=payload)
        for resource_spans in request.resource_spans:
            resource = resource_attributes(resource_spans)
            for scope_spans in resource_spans.scope_spans:
                reading.read(scope_spans.spans, origin_of(resource, scope_spans))
        return pack_facts(reading.facts())

    def _index(self, tenant: str, time_ms: int) -> _Index:
        if self._book_version != self._book.version:
            self._book_version = self._book.version
            self._indexes.clear()
            self._last.clear()
        index = self._last.get(tenant)
        if index is not None and index.since_ms <= time_ms < index.until_ms:
            return index
        since_ms, until_ms = self._book.match_epoch(tenant, time_ms)
        index = self._indexes.get((tenant, since_ms))
        if index is None:
            matched = self._book.matched(tenant, time_ms)
            index = _build_index(matched, since_ms=since_ms, until_ms=until_ms)
            if len(self._indexes) >= _KEPT_INDEXES:
                del self._indexes[next(iter(self._indexes))]
            self._indexes[tenant, since_ms] = index
        self._last[tenant] = index
        return index


class _Reading:
    """One pass over the spans of one record."""

    def __init__(self, index: _Index, *, tenant: str, lane: int, payload: bytes) -> None:
        self._index = index
        self._tenant = tenant
        self._lane = lane
        self._prefix_crc = tenant_prefix_crc(tenant)
        self._fragments: dict[bytes, _Fragment] = {}
        self._roots: list[Root] = []
        self._counted: list[Counted] = []
        self._spans = 0
        self._rejected = 0
        keyed = index.any_name.keyed
        present = tuple(one for one in keyed if one.needle in payload)
        self._any = index.any_name._replace(keyed=present)
        self._any_skipped = tuple(one for one in keyed if one not in present)

    def read(self, spans: Sequence[lazy.Span], origin: Origin) -> None:
        """Take in the spans of one scope.

        Goes over columns of the spans rather than over spans: most of them have nothing to say
        but which trace they belong to.
        """
        trace_ids = [span.trace_id for span in spans]
        fragments = self._fragments
        for trace_id, count in Counter(trace_ids).items():
            fragment = fragments.get(trace_id) or self._new_fragment(trace_id, count)
            if fragment is not None:
                fragment.spans += count
        parents = [span.parent_span_id for span in spans]
        if b"" in parents:
            for at, parent in enumerate(parents):
                if not parent:
                    self._add_root(fragments.get(trace_ids[at]), spans[at], origin)
        if self._index.needs_extent:
            self._add_extents(trace_ids, spans)
        if self._index.by_name:
            named_of = self._index.by_name.get
            for at, named in enumerate([named_of(span.name) for span in spans]):
                if named is not None:
                    fragment = fragments.get(trace_ids[at])
                    if fragment is not None:
                        self._read_named(fragment, spans[at], origin, named)
        self._read_any(trace_ids, spans, origin)

    def _read_named(
        self, fragment: _Fragment, span: lazy.Span, origin: Origin, named: _Named
    ) -> None:
        fragment.true |= named.mask
        for number in named.counted:
            self._count(fragment, span, number, certain=True)
        if named.keyed:
            self._look_up(fragment, span, origin, named.keyed)
        if named.tested:
            self._ask(fragment, span, LazySpan(span, origin), named.tested)

    def _read_any(
        self, trace_ids: Sequence[bytes], spans: Sequence[lazy.Span], origin: Origin
    ) -> None:
        """Ask what is asked of spans of any name; what the record cannot hold is left out."""
        named = self._any
        skipped = self._any_skipped
        if skipped and origin.resource.dropped:
            named, skipped = self._index.any_name, ()
        if named.mask or named.tested or named.keyed:
            for trace_id, span in zip(trace_ids, spans, strict=True):
                fragment = self._fragments.get(trace_id)
                if fragment is not None:
                    self._read_named(fragment, span, origin, named)
        if skipped:
            for trace_id, span in zip(trace_ids, spans, strict=True):
                fragment = self._fragments.get(trace_id)
                if span.dropped_attributes_count and fragment is not None:
                    self._look_up(fragment, span, origin, skipped)

    def facts(self) -> Facts:
        """Return what was read."""
        sets = {(0, 0): 0}
        rows = []
        extents = []
        for trace_id, fragment in self._fragments.items():
            fact_set = sets.setdefault((fragment.true, fragment.maybe), len(sets))
            spans = min(fragment.spans, MAX_SPANS_OF_FRAGMENT)
            rows.append((trace_id, spans, fragment.flags, fact_set))
            self._spans += fragment.spans
            if self._index.needs_extent:
                extents.append(Extent(fragment.at, fragment.start_ns, fragment.end_ns))
        return Facts(
            tenant=self._tenant,
            spans=self._spans,
            rejected=self._rejected,
            sets=tuple(sets),
            fragments=rows,
            roots=self._roots,
            counted=self._counted,
            extents=extents,
        )

    def _new_fragment(self, trace_id: bytes, spans: int) -> _Fragment | None:
        if len(trace_id) != 16 or crc32(trace_id, self._prefix_crc) % LANES != self._lane:
            self._rejected += spans
            return None
        fragment = _Fragment(len(self._fragments))
        self._fragments[trace_id] = fragment
        return fragment

    def _add_root(self, fragment: _Fragment | None, span: lazy.Span, origin: Origin) -> None:
        if fragment is None:
            return
        fragment.flags |= ROOT
        name = span.name.decode(errors="replace")
        start_ns = min(span.start_time_unix_nano, MAX_TIME_NS)
        self._roots.append(Root(fragment.at, span.span_id, start_ns, name, origin.service))

    def _add_extents(self, trace_ids: Sequence[bytes], spans: Sequence[lazy.Span]) -> None:
        for trace_id, span in zip(trace_ids, spans, strict=True):
            fragment = self._fragments.get(trace_id)
            if fragment is None:
                continue
            fragment.flags |= EXTENT
            start_ns = min(span.start_time_unix_nano, MAX_TIME_NS)
            end_ns = min(span.end_time_unix_nano, MAX_TIME_NS)
            fragment.start_ns = min(fragment.start_ns, start_ns)
            fragment.end_ns = max(fragment.end_ns, end_ns)

    def _look_up(
        self, fragment: _Fragment, span: lazy.Span, origin: Origin, keyed: Sequence[_Keyed]
    ) -> None:
        """Ask the predicates filed under attributes, by the values that the span has."""
        raws = span.attributes
        for one in keyed:
            value = one.read(raws, span, origin)
            if value is MISSING:
                continue
            if value is GONE:
                self._ask(fragment, span, LazySpan(span, origin), one.index.all)
                continue
            mask, ask = one.index.find(value)
            fragment.true |= mask
            if ask:
                self._ask(fragment, span, LazySpan(span, origin), ask)

    def _ask(
        self, fragment: _Fragment, span: lazy.Span, view: LazySpan, predicates: Sequence[Asked]
    ) -> None:
        for bit, number, counted, test, _ in predicates:
            if fragment.true & bit and not counted:
                continue
            holds = test(view)
            if holds:
                fragment.true |= bit
            elif holds is None:
                fragment.maybe |= bit
            else:
                continue
            if counted:
                self._count(fragment, span, number, certain=bool(holds))

    def _count(self, fragment: _Fragment, span: lazy.Span, number: int, *, certain: bool) -> None:
        fragment.flags |= COUNTED
        identity = span_identity(name=span.name, kind=span.kind, start_ns=span.start_time_unix_nano)
        self._counted.append(Counted(fragment.at, span.span_id, identity, number, certain))


def _build_index(matched: Matched, *, since_ms: int, until_ms: int) -> _Index:
    by_name: dict[str | None, list[tuple[int, dsl.SpanPredicate]]] = {}
    for number, predicate in matched.predicates:
        by_name.setdefault(predicate.name, []).append((number, predicate))
    any_name = _named(by_name.pop(None, []), matched.counted)
    return _Index(
        since_ms=since_ms,
        until_ms=until_ms,
        by_name={
            name.encode(): _named(predicates, matched.counted)
            for name, predicates in by_name.items()
            if name is not None
        },
        any_name=any_name,
        needs_extent=matched.needs_extent,
    )


def _named(predicates: Sequence[tuple[int, dsl.SpanPredicate]], counted: int) -> _Named:
    mask = 0
    counts = []
    tested = []
    filed: dict[tuple[str, bool], list[tuple[dsl.AttributeTest, Asked]]] = {}
    for number, predicate in predicates:
        is_counted = bool(counted >> number & 1)
        if predicate.unfiltered:
            mask |= 1 << number
            if is_counted:
                counts.append(number)
            continue
        condition = condition_to_file_under(predicate)
        decided = predicate.exact and len(predicate.necessary) == 1
        asked = Asked(1 << number, number, is_counted, predicate.test, decided)
        if condition is None:
            tested.append(asked)
        else:
            filed.setdefault((condition.key, condition.scope == ""), []).append((condition, asked))
    keyed = tuple(
        _Keyed(key, on_resource=on_resource, index=KeyIndex(entries))
        for (key, on_resource), entries in filed.items()
    )
    return _Named(mask, tuple(counts), keyed, tuple(tested))
