"""Cutting the facts of one record by lane.

`ingest` writes records of one lane each, by the number of lanes of its release. After a release
with another number, records of both lie in the log, and one of the other release may hold traces
of several lanes of ours. Nothing in a record says by how many lanes it was cut, and nothing need:
the pass over it looks at the lane of every trace once and tells whether one lies elsewhere.

What a lane gets is what it would have got had the record held its spans alone, but for what was
rejected, which goes where the record said. So order within a trace stays that of the log: time,
partition, offset, place in the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from udfs.lanes import LANES
from udfs.native import engine_module

if TYPE_CHECKING:
    from udfs.facts import Facts, KeptFacts, OutsideFacts
else:
    # What packs them is compiled too, and takes none but its own.
    _facts = engine_module("facts")
    Facts, KeptFacts, OutsideFacts = _facts.Facts, _facts.KeptFacts, _facts.OutsideFacts

_Row = TypeVar("_Row", bound=tuple[Any, ...])
_EMPTY_SET = (0, 0)


def cut_by_lane(facts: Facts, *, prefix_crc: int, lane: int) -> dict[int, Facts]:
    """Return the facts of one record by lane, ascending.

    prefix_crc: of the tenant (udfs.lanes). lane: of the record's own address. Its facts are there
    if any spans were rejected, although none of its own may have come.
    """
    places: dict[int, list[int]] = {lane: []} if facts.rejected else {}
    for at, fragment in enumerate(facts.fragments):
        places.setdefault(crc32(fragment[0], prefix_crc) % LANES, []).append(at)
    return {
        number: _cut(facts, places[number], rejected=facts.rejected if number == lane else 0)
        for number in sorted(places)
    }


def _cut(facts: Facts, places: Sequence[int], *, rejected: int) -> Facts:
    """Return the facts of some fragments, ascending, which are numbered anew."""
    renumbered = {old: new for new, old in enumerate(places)}
    sets: dict[tuple[int, int], int] = {_EMPTY_SET: 0}
    fragments = []
    for place in places:
        trace_id, spans, flags, fact_set = facts.fragments[place]
        number = sets.setdefault(facts.sets[fact_set], len(sets))
        fragments.append((trace_id, spans, flags, number))
    kept, outside = facts.kept, facts.outside
    return Facts(
        tenant=facts.tenant,
        spans=sum(spans for _, spans, _, _ in fragments),
        rejected=rejected,
        sets=tuple(sets),
        fragments=fragments,
        roots=_of(renumbered, facts.roots),
        counted=_of(renumbered, facts.counted),
        extents=_of(renumbered, facts.extents),
        kept=KeptFacts(
            _of(renumbered, kept.members),
            _of(renumbered, kept.chains),
            [renumbered[at] for at in kept.truncated if at in renumbered],
        ),
        outside=OutsideFacts(_of(renumbered, outside.arrivals), _of(renumbered, outside.called)),
        failed=_of(renumbered, facts.failed),
    )


def _of(renumbered: Mapping[int, int], rows: Sequence[_Row]) -> list[_Row]:
    """Return the rows of some fragments; a row begins with the place of its fragment."""
    return [(renumbered[row[0]], *row[1:]) for row in rows if row[0] in renumbered]  # type: ignore[misc]
