"""From a record of spans to packed facts: the one place where every span is looked at.

Spans are decoded lazily and asked by name first: a span whose name no rule mentions costs two
look-ups. Predicates on spans of any name are asked only where the record holds an attribute that
they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from google.protobuf.message import DecodeError

import dsl
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
from udfs.otlp import LazySpan, Origin, origin_of, resource_attributes
from udfs.rulebook import Matched, RuleBook
from udfs.wire import betrace_pb2 as wire
from udfs.wire import otlp_lazy_pb2 as lazy

MAX_DEAD_LETTER_BYTES = 16 * 1024
_KEPT_INDEXES = 256
_Test = Callable[[dsl.SpanView], bool | None]


class _Tested(NamedTuple):
    """A predicate that must look into the span."""

    bit: int
    number: int
    counted: bool
    test: _Test
    needle: bytes | None
    """Bytes without which no span of the record can fulfil it; None: unknown."""


class _Named(NamedTuple):
    """What is asked of the spans of one name."""

    mask: int
    counted: tuple[int, ...]
    tested: tuple[_Tested, ...]


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
        self.start_ns = 2**63 - 1
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
        asked = index.any_name.tested
        self._any_tested = tuple(t for t in asked if t.needle is None or t.needle in payload)
        self._any_skipped = tuple(t for t in asked if t.needle and t.needle not in payload)

    def read(self, spans: Sequence[lazy.Span], origin: Origin) -> None:
        """Take in the spans of one scope."""
        fragments = self._fragments
        by_name = self._index.by_name
        any_name = self._index.any_name
        any_tested = self._any_tested
        any_skipped = self._any_skipped
        if any_skipped and origin.resource.dropped:
            any_tested, any_skipped = any_name.tested, ()
        needs_any = any_name.mask or any_tested or any_skipped
        needs_extent = self._index.needs_extent
        for span in spans:
            trace_id = span.trace_id
            fragment = fragments.get(trace_id)
            if fragment is None:
                fragment = self._new_fragment(trace_id)
                if fragment is None:
                    continue
            fragment.spans += 1
            if not span.parent_span_id:
                self._add_root(fragment, span, origin)
            if needs_extent:
                fragment.start_ns = min(fragment.start_ns, span.start_time_unix_nano)
                fragment.end_ns = max(fragment.end_ns, span.end_time_unix_nano)
            named = by_name.get(span.name)
            if named is not None:
                fragment.true |= named.mask
                if named.tested:
                    self._test(fragment, span, LazySpan(span, origin), named.tested)
                for number in named.counted:
                    self._count(fragment, span, number, certain=True)
            if needs_any:
                fragment.true |= any_name.mask
                for number in any_name.counted:
                    self._count(fragment, span, number, certain=True)
                if any_tested:
                    self._test(fragment, span, LazySpan(span, origin), any_tested)
                if any_skipped and span.dropped_attributes_count:
                    self._test(fragment, span, LazySpan(span, origin), any_skipped)

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

    def _new_fragment(self, trace_id: bytes) -> _Fragment | None:
        if len(trace_id) != 16 or crc32(trace_id, self._prefix_crc) % LANES != self._lane:
            self._rejected += 1
            return None
        fragment = _Fragment(len(self._fragments))
        if self._index.needs_extent:
            fragment.flags = EXTENT
        self._fragments[trace_id] = fragment
        return fragment

    def _add_root(self, fragment: _Fragment, span: lazy.Span, origin: Origin) -> None:
        fragment.flags |= ROOT
        name = span.name.decode(errors="replace")
        start_ns = min(span.start_time_unix_nano, 2**63 - 1)
        self._roots.append(Root(fragment.at, span.span_id, start_ns, name, origin.service))

    def _test(
        self,
        fragment: _Fragment,
        span: lazy.Span,
        view: LazySpan,
        tests: Sequence[_Tested],
    ) -> None:
        seen = fragment.true
        for bit, number, counted, test, _ in tests:
            if seen & bit and not counted:
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
    for number, predicate in predicates:
        is_counted = bool(counted >> number & 1)
        if not predicate.unfiltered:
            needle = _needle(predicate)
            tested.append(_Tested(1 << number, number, is_counted, predicate.test, needle))
            continue
        mask |= 1 << number
        if is_counted:
            counts.append(number)
    return _Named(mask, tuple(counts), tuple(tested))


def _needle(predicate: dsl.SpanPredicate) -> bytes | None:
    """Return bytes that a record holds if some span of it fulfils the predicate, if known.

    The last part of a key that the predicate needs: it stands on the wire whether the key is
    written whole or as a path into maps. Only a span that dropped attributes may do without.
    """
    for needed in predicate.necessary:
        if needed.scope in ("span", ""):
            return needed.key.rpartition(".")[2].encode() or None
    return None
