"""How two traces of one kind differ: what only one of them did, and what took longer.

Pure. Spans are alike if service and name are the same and their ancestors' as well: that is a
path. Several spans on one path are counted, and their times summed, so that an order with ten
items is not ten differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from api.traces.layout import ERROR, NOWHERE, Layout

SHOWN_MAX: Final = 100
STEPS_MAX: Final = 8
_SLOWER: Final = 1.5
"""So many times as long is worth a word, if it is a noticeable part of the trace as well."""
_NOTICEABLE: Final = 0.05

Step = tuple[str, str]
"""Service and name."""


class Kind(StrEnum):
    """What is different on a path."""

    MISSING = "missing"
    ADDED = "added"
    COUNT = "count"
    FAILED = "failed"
    SLOWER = "slower"


@dataclass(frozen=True, slots=True)
class Met:
    """What a trace has on a path: spans, failed ones, and their time in ns, summed."""

    span_count: int = 0
    error_count: int = 0
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class Different:
    """One path that differs. row: its first row in this trace, NOWHERE if it is not there."""

    kind: Kind
    path: tuple[Step, ...]
    row: int
    this: Met
    other: Met


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between this trace and another. left_out: how many paths are not listed."""

    items: tuple[Different, ...]
    left_out: int
    alike_count: int


def difference(this: Layout, other: Layout) -> Difference:
    """Return how a trace differs from another: what is missing first, then the rest from the top.

    Of a path that only one trace has, what hangs below it is not told again.
    """
    paths = _Paths()
    mine, theirs = paths.met(this), paths.met(other)
    found: list[tuple[int, Different]] = []
    alone: set[int] = set()
    alike = 0
    for path in {**mine, **theirs}:
        row, here = mine.get(path, (NOWHERE, Met()))
        _, there = theirs.get(path, (NOWHERE, Met()))
        kind = _kind(here, there, extent_ns=this.duration_ns)
        if kind is None:
            alike += 1
            continue
        if kind in (Kind.MISSING, Kind.ADDED):
            alone.add(path)
        if paths.above(path) not in alone:
            found.append((row, Different(kind, paths.steps(path), row, here, there)))
    order = list(Kind)
    found.sort(key=lambda one: (order.index(one[1].kind), one[0]))
    items = tuple(different for _, different in found[:SHOWN_MAX])
    return Difference(items, max(0, len(found) - SHOWN_MAX), alike)


class _Paths:
    """Gives paths numbers, the same in both traces; those above come before those below."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Step], int] = {}
        self._above: list[tuple[int, Step]] = []

    def met(self, layout: Layout) -> dict[int, tuple[int, Met]]:
        """Return by path its first row and what is there, from the top."""
        of_row = [NOWHERE] * len(layout)
        found: dict[int, tuple[int, Met]] = {}
        for row in range(len(layout)):
            parent = layout.parents[row]
            above = of_row[parent] if parent != NOWHERE else NOWHERE
            service = layout.service_counts[layout.services[row]].name
            path = of_row[row] = self._number(
                above, (service, layout.name_table[layout.names[row]])
            )
            first, met = found.get(path, (row, Met()))
            found[path] = (
                first,
                Met(
                    met.span_count + 1,
                    met.error_count + (layout.flags[row] & ERROR),
                    met.duration_ns + max(0, layout.durations_ns[row]),
                ),
            )
        return found

    def above(self, path: int) -> int:
        """Return the path that one hangs below, or NOWHERE."""
        return self._above[path][0]

    def steps(self, path: int) -> tuple[Step, ...]:
        """Return a path from its root on; of a long one its last STEPS_MAX."""
        steps: list[Step] = []
        while path != NOWHERE and len(steps) < STEPS_MAX:
            path, step = self._above[path]
            steps.append(step)
        return tuple(reversed(steps))

    def _number(self, above: int, step: Step) -> int:
        number = self._numbers.setdefault((above, step), len(self._above))
        if number == len(self._above):
            self._above.append((above, step))
        return number


def _kind(here: Met, there: Met, *, extent_ns: int) -> Kind | None:
    if not here.span_count:
        return Kind.MISSING
    if not there.span_count:
        return Kind.ADDED
    if here.error_count and not there.error_count:
        return Kind.FAILED
    if here.span_count != there.span_count:
        return Kind.COUNT
    longer_ns = here.duration_ns - there.duration_ns
    if here.duration_ns > there.duration_ns * _SLOWER and longer_ns > extent_ns * _NOTICEABLE:
        return Kind.SLOWER
    return None
