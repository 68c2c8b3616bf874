"""A trace as rows: which span stands where, and what leads from its beginning to its end.

Pure. Children stand below their parents, earlier ones first. All of a trace is laid out at once,
in arrays of numbers, because a row's place depends on every other; what is shown of it is cut out
by `api.traces.rows`. Attributes are not needed here, and are read span by span.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SPAN_ID_BYTES: Final = 8
NO_PARENT: Final = bytes(SPAN_ID_BYTES)
ERROR: Final = 1
ORPHAN: Final = 2
"""Bits of a row's flags: the span failed; the parent it names did not come."""
NOWHERE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanColumns:
    """The spans of a trace by column, in stored order: by start, then span id.

    span_ids, parent_ids: eight bytes each, one after another; a parent of zeros is none.
    starts_ns: from the earliest start on. durations_ns: negative where a clock went back.
    """

    span_ids: bytes
    parent_ids: bytes
    starts_ns: Sequence[int]
    durations_ns: Sequence[int]
    names: Sequence[str]
    services: Sequence[str]
    errors: Sequence[bool]

    def __len__(self) -> int:
        return len(self.starts_ns)


@dataclass(frozen=True, slots=True)
class ServiceCount:
    """A service of a trace, in the order of appearance."""

    name: str
    span_count: int
    error_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A trace laid out. Arrays are by row; a row is a span's place from the top.

    ordinals: stored order of the row's span; rows: the reverse. parents: row, or NOWHERE.
    below: how many rows hang below it, errors_below: how many of these failed.
    names, services: numbers into name_table and service_counts.
    critical: (row, from, to) in ns from the start: who the trace waited for when, by row.
    """

    start_ns: int
    duration_ns: int
    ordinals: array[int]
    rows: array[int]
    parents: array[int]
    depths: array[int]
    below: array[int]
    errors_below: array[int]
    starts_ns: array[int]
    durations_ns: array[int]
    names: array[int]
    services: array[int]
    flags: array[int]
    span_ids: bytes
    name_table: tuple[str, ...]
    service_counts: tuple[ServiceCount, ...]
    critical: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.ordinals)

    @property
    def error_count(self) -> int:
        """How many spans failed."""
        return sum(service.error_count for service in self.service_counts)

    def row_of(self, span_id: bytes) -> int:
        """Return the topmost row of a span id, or NOWHERE."""
        at = self.span_ids.find(span_id)
        while at >= 0 and at % SPAN_ID_BYTES:
            at = self.span_ids.find(span_id, at + 1)
        return at // SPAN_ID_BYTES if at >= 0 else NOWHERE

    def end_ns(self, row: int) -> int:
        """Return when a row's span ended, in ns from the start of the trace."""
        return self.starts_ns[row] + self.durations_ns[row]

    def children(self, row: int) -> Iterator[int]:
        """Yield the rows directly below one."""
        child, last = row + 1, row + self.below[row]
        while child <= last:
            yield child
            child += self.below[child] + 1


def lay_out(spans: SpanColumns, *, start_ns: int = 0) -> Layout:
    """Lay a trace out. start_ns: the earliest start, unix nanoseconds."""
    ids = [
        spans.span_ids[at : at + SPAN_ID_BYTES]
        for at in range(0, len(spans.span_ids), SPAN_ID_BYTES)
    ]
    above, flags = _parents(spans, ids)
    order, parents, depths = _in_tree_order(above)
    names, name_table = _numbered([spans.names[index] for index in order])
    # Services are numbered by first appearance in time, so that colours follow the story.
    service_numbers, service_table = _numbered(spans.services)
    services = array("i", (service_numbers[index] for index in order))
    by_row = array("B", (flags[index] for index in order))
    below, errors_below = _counted(parents, by_row)
    rows = array("i", bytes(4 * len(order)))
    for row, index in enumerate(order):
        rows[index] = row
    starts = array("q", (spans.starts_ns[index] for index in order))
    durations = array("q", (spans.durations_ns[index] for index in order))
    ends = (start + lasts for start, lasts in zip(starts, durations, strict=True))
    layout = Layout(
        start_ns=start_ns,
        duration_ns=max(0, max(ends, default=0)),
        ordinals=array("i", order),
        rows=rows,
        parents=parents,
        depths=depths,
        below=below,
        errors_below=errors_below,
        starts_ns=starts,
        durations_ns=durations,
        names=names,
        services=services,
        flags=by_row,
        span_ids=b"".join(ids[index] for index in order),
        name_table=name_table,
        service_counts=_service_counts(service_table, services, by_row),
        critical=(),
    )
    return _with_critical_path(layout)


def _parents(spans: SpanColumns, ids: Sequence[bytes]) -> tuple[list[int], bytearray]:
    """Return by span the place of its parent, or NOWHERE, and its flags.

    Of several spans with one id the first is the parent.
    """
    first: dict[bytes, int] = {}
    for index, span_id in enumerate(ids):
        first.setdefault(span_id, index)
    above = [NOWHERE] * len(ids)
    flags = bytearray(map(bool, spans.errors))
    named = spans.parent_ids
    for index in range(len(ids)):
        parent_id = named[index * SPAN_ID_BYTES : (index + 1) * SPAN_ID_BYTES]
        if parent_id == NO_PARENT:
            continue
        parent = first.get(parent_id)
        if parent is None:
            flags[index] |= ORPHAN
        elif parent != index:
            above[index] = parent
    return above, flags


def _in_tree_order(above: Sequence[int]) -> tuple[list[int], array[int], array[int]]:
    """Return every span once from the top, and by row its parent's row and its depth.

    Spans in a ring of parents hang below the earliest of them, which stands at the top.
    """
    children: dict[int, list[int]] = {}
    for index, parent in enumerate(above):
        if parent != NOWHERE:
            children.setdefault(parent, []).append(index)
    tops = [index for index, parent in enumerate(above) if parent == NOWHERE]
    order: list[int] = []
    parents, depths = array("i"), array("i")
    seen = bytearray(len(above))
    for top in (*tops, *range(len(above))):  # the second time: rings
        stack = [] if seen[top] else [(top, NOWHERE, 0)]
        while stack:
            index, parent, depth = stack.pop()
            if seen[index]:
                continue
            seen[index] = 1
            row = len(order)
            order.append(index)
            parents.append(parent)
            depths.append(depth)
            below = children.get(index)
            if below:
                stack.extend((child, row, depth + 1) for child in reversed(below))
    return order, parents, depths


def _numbered(texts: Sequence[str]) -> tuple[array[int], tuple[str, ...]]:
    numbers: dict[str, int] = {}
    numbered = array("i", (numbers.setdefault(text, len(numbers)) for text in texts))
    return numbered, tuple(numbers)


def _counted(parents: array[int], flags: array[int]) -> tuple[array[int], array[int]]:
    """Return by row how many rows are below it, and how many failed ones."""
    below, errors = array("i", bytes(4 * len(parents))), array("i", bytes(4 * len(parents)))
    for row in range(len(parents) - 1, -1, -1):
        parent = parents[row]
        if parent != NOWHERE:
            below[parent] += below[row] + 1
            errors[parent] += errors[row] + (flags[row] & ERROR)
    return below, errors


def _service_counts(
    names: Sequence[str], services: array[int], flags: array[int]
) -> tuple[ServiceCount, ...]:
    spans, errors = [0] * len(names), [0] * len(names)
    for service, flag in zip(services, flags, strict=True):
        spans[service] += 1
        errors[service] += flag & ERROR
    return tuple(map(ServiceCount, names, spans, errors))


def _with_critical_path(layout: Layout) -> Layout:
    values = {name: getattr(layout, name) for name in Layout.__slots__}
    return Layout(**{**values, "critical": tuple(sorted(critical_path(layout)))})


def critical_path(layout: Layout) -> list[tuple[int, int, int]]:
    """Return which span the longest root waited for at each time, as (row, from, to) in ns.

    Walked from the end: a span waits for the child that ended last before it went on itself, and
    between children it works. A child that outlives its parent counts up to the parent's end.
    The stretches do not overlap and fill the root's time (CRISP, USENIX ATC 2022, section 4).
    """
    tops = [row for row in range(len(layout)) if layout.parents[row] == NOWHERE]
    if not tops:
        return []
    root = max(tops, key=lambda row: (layout.durations_ns[row], -row))
    found: list[tuple[int, int, int]] = []
    stack = [(root, layout.starts_ns[root], layout.end_ns(root))]
    while stack:
        row, since, until = stack.pop()
        at = until
        for child in sorted(layout.children(row), key=layout.end_ns, reverse=True):
            begins = max(layout.starts_ns[child], since)
            ends = min(layout.end_ns(child), until)
            if begins >= ends or ends > at:
                continue  # took no time, or ran beside what was waited for
            if at > ends:
                found.append((row, ends, at))
            stack.append((child, begins, ends))
            at = begins
        if at > since:
            found.append((row, since, at))
    return found
