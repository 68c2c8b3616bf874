"""From a record of spans to packed facts: the one place where every span is looked at.

Spans are asked by name first: a span whose name no rule mentions costs two look-ups. The pass
itself is `udfs.reading`; here is decided what it looks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import dsl
from udfs.evidence.in_spans import compliance_elements
from udfs.facts import DEAD_LETTER
from udfs.lanes import tenant_prefix_crc
from udfs.native import engine_module, reading_module
from udfs.predicate_index import COUNT, KEEP, Asked, Filed, KeyIndex, condition_to_file_under
from udfs.recut import cut_by_lane
from udfs.rulebook import Matched, RuleBook
from udfs.wire import betrace_pb2 as wire

MAX_DEAD_LETTER_BYTES = 16 * 1024
_KEPT_FAILURES = 1_000
_KEPT_INDEXES = 2
"""Of a tenant: partitions may be ahead of others for a while."""
_ASK_EVERY_MS = 60_000
"""So often the book is asked, although nothing changed: it lets go of what nobody asks for."""

if TYPE_CHECKING:
    from udfs import reading as _reading
    from udfs.facts import pack_facts
else:
    _reading = reading_module()
    pack_facts = engine_module("facts").pack_facts


class _Epoch(NamedTuple):
    """What is looked for in records of times in [since_ms, until_ms)."""

    since_ms: int
    until_ms: int
    looked_for: _reading.Index


class _Indexed(NamedTuple):
    """What the book said, and the index over it."""

    matched: Matched
    looked_for: _reading.Index


class OfLane(NamedTuple):
    """What a record has for one lane: facts (udfs.facts), a dead letter, or compliance spans."""

    lane: int
    element: bytes


class Matcher:
    """Turns records into facts by the rules of their time."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._book_version = -1
        self._let_go_count = 0
        self._indexed: dict[str, dict[int, _Indexed]] = {}
        """By tenant and the beginning of an epoch."""
        self._last: dict[str, _Epoch] = {}
        self.failures: dict[tuple[str, str], str] = {}
        """The first error of each predicate that could not be asked, by tenant and text."""

    def match(
        self,
        payload: bytes,
        *,
        tenant: str,
        lane: int,
        partition: int,
        offset: int,
        time_ms: int,
    ) -> Sequence[OfLane]:
        """Return what one record has for its lane; for several, by lane, if it was cut by others.

        Behind it come the spans of the record that speak of compliance, for the same lane.

        payload: an ExportTraceServiceRequest with spans of one tenant. lane: by its address; spans
        of other lanes are taken for those (udfs.recut). Spans without a 16-byte trace id are
        counted as rejected. A predicate that meets an error counts as one that might hold, and as
        failed. Raises nothing for bad input.
        """
        prefix_crc = tenant_prefix_crc(tenant)
        reading = _reading.Reading(
            self._index(tenant, time_ms), tenant=tenant, lane=lane, prefix_crc=prefix_crc
        )
        try:
            facts = reading.read(payload)
            if facts.failed:
                self._note_failures(tenant, time_ms, reading.first_errors())
            if reading.has_strays():
                cut = cut_by_lane(facts, prefix_crc=prefix_crc, lane=lane)
                elements = [OfLane(number, pack_facts(part)) for number, part in cut.items()]
            else:
                elements = [OfLane(lane, pack_facts(facts))]
        except _reading.Malformed as error:
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
            packed = bytes((DEAD_LETTER,)) + letter.SerializeToString(deterministic=True)
            return (OfLane(lane, packed),)
        spoken = compliance_elements(
            payload, tenant=tenant, partition=partition, offset=offset, time_ms=time_ms
        )
        elements += [OfLane(lane, element) for element in spoken]
        return elements

    def _note_failures(self, tenant: str, time_ms: int, errors: Mapping[int, str]) -> None:
        """Keep the first error of each predicate. errors: by its number."""
        predicates = dict(self._book.matched(tenant, time_ms).predicates)
        for number, error in errors.items():
            if len(self.failures) < _KEPT_FAILURES:
                self.failures.setdefault((tenant, predicates[number].canonical), error)

    def _index(self, tenant: str, time_ms: int) -> _reading.Index:
        book = self._book
        if self._book_version != book.version:
            self._book_version = book.version
            self._last.clear()
        if self._let_go_count != book.let_go_count:
            self._let_go_count = book.let_go_count
            self._let_go()
        epoch = self._last.get(tenant)
        if epoch is not None and epoch.since_ms <= time_ms < epoch.until_ms:
            return epoch.looked_for
        since_ms, until_ms = book.match_epoch(tenant, time_ms)
        index = self._index_over(book.matched(tenant, time_ms), tenant, since_ms)
        self._last[tenant] = _Epoch(since_ms, min(until_ms, time_ms + _ASK_EVERY_MS), index)
        return index

    def _index_over(self, matched: Matched, tenant: str, since_ms: int) -> _reading.Index:
        """Return the index of an epoch, as it is unless the book says something else by now."""
        indexed = self._indexed.setdefault(tenant, {})
        found = indexed.get(since_ms)
        if found is None or found.matched is not matched:
            found = indexed[since_ms] = _Indexed(matched, build_index(matched))
            if len(indexed) > _KEPT_INDEXES:
                del indexed[next(iter(indexed))]
        return found.looked_for

    def _let_go(self) -> None:
        """Forget the tenants that the book has let go."""
        self._last.clear()
        for tenant in [name for name in self._indexed if not self._book.is_awake(name)]:
            del self._indexed[tenant]


def build_index(matched: Matched, *, reading: ModuleType = _reading) -> _reading.Index:
    """Return what to look for. reading: `udfs.reading`, compiled or not."""
    by_name: dict[str | None, list[tuple[int, dsl.SpanPredicate]]] = {}
    for number, predicate in matched.predicates:
        by_name.setdefault(predicate.name, []).append((number, predicate))
    any_name = _group(by_name.pop(None, []), matched, reading)
    index: _reading.Index = reading.Index(
        by_name={
            name.encode(): _group(predicates, matched, reading)
            for name, predicates in by_name.items()
            if name is not None
        },
        any_name=any_name,
        needs_extent=matched.needs_extent,
        needs_links=matched.needs_links,
        captures=matched.kept,
        begins_outside=matched.begins_outside,
    )
    return index


def _group(
    predicates: Sequence[tuple[int, dsl.SpanPredicate]], matched: Matched, reading: ModuleType
) -> _reading.Group:
    mask = 0
    each = []
    tested = []
    filed: dict[tuple[str, bool], list[Filed]] = {}
    for number, predicate in predicates:
        wanted = COUNT if matched.counted >> number & 1 else 0
        wanted |= KEEP if number in matched.kept else 0
        if predicate.unfiltered:
            mask |= 1 << number
            if wanted:
                each.append((number, wanted))
            continue
        condition = condition_to_file_under(predicate)
        decided = predicate.exact and len(predicate.necessary) == 1
        asked = Asked(1 << number, number, wanted, predicate.named, decided)
        if condition is None:
            tested.append(asked)
        else:
            entry = Filed(condition, asked, predicate.without(condition))
            filed.setdefault((condition.key, condition.scope == ""), []).append(entry)
    keyed = [
        reading.Keyed(key, on_resource=on_resource, index=KeyIndex(entries))
        for (key, on_resource), entries in filed.items()
    ]
    most = reading.MAX_KEYED
    rest = None
    for at in range(most, len(keyed), most):
        rest = reading.Group(mask=0, each=(), keyed=keyed[at : at + most], tested=(), rest=rest)
    group: _reading.Group = reading.Group(
        mask=mask, each=each, keyed=keyed[:most], tested=tested, rest=rest
    )
    return group
