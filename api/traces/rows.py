"""Stretches of a laid out trace as JSON holds them: a list for each column, names told once.

Rows that no span fills can be put in between: a place where a rule missed one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api.traces.layout import NOWHERE, Layout

GHOST: Final = 4
"""A bit of a row's flags: no span, but where one is missing."""
ROWS_MAX: Final = 5_000
MARKED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """A span that a clause missed, where it could have been.

    parent: row of the span it would hang below, or NOWHERE. at: row that it stands before.
    from_ns, to_ns: when it could have been, from the start of the trace.
    """

    clause: str
    text: str
    parent: int
    at: int
    depth: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A layout with what a signal says of it.

    marks: by row of the layout the clauses that rest on its span. Rows of a drawing count ghosts
    too; rows of the layout do not.
    """

    layout: Layout
    ghosts: tuple[Ghost, ...] = ()
    marks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inward = sorted(self.ghosts, key=lambda ghost: (ghost.at, -ghost.depth))
        object.__setattr__(self, "ghosts", tuple(inward))

    def __len__(self) -> int:
        return len(self.layout) + len(self.ghosts)

    def drawn_row(self, row: int) -> int:
        """Return where a row of the layout is drawn."""
        return row + bisect_right(self._places(), row) if row != NOWHERE else NOWHERE

    def stretch(self, first: int, limit: int) -> dict[str, Any]:
        """Return at most `limit` drawn rows from one on."""
        last = min(first + limit, len(self))
        columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        names = _Names()
        ghosts = {self._ghost_row(k): ghost for k, ghost in enumerate(self.ghosts)}
        places = list(ghosts)  # ascending
        rows: list[int] = []
        for drawn in range(first, last):
            ghost = ghosts.get(drawn)
            if ghost is not None:
                self._add_ghost(columns, ghost, names)
            else:
                row = drawn - bisect_left(places, drawn)
                rows.append(row)
                self._add_span(columns, row, names)
        return {
            "first": first,
            "rows": columns,
            "names": list(names.numbers),
            "critical": self._critical(rows),
        }

    def summary(self) -> dict[str, Any]:
        """Return what is told of a trace beside its rows. marks: at most MARKED_MAX rows."""
        layout = self.layout
        marked = sorted(self.marks.items())[:MARKED_MAX]
        return {
            "row_count": len(self),
            "span_count": len(layout),
            "error_count": layout.error_count,
            "start_ns": layout.start_ns,
            "duration_ns": layout.duration_ns,
            "services": [
                {
                    "name": service.name,
                    "span_count": service.span_count,
                    "error_count": service.error_count,
                }
                for service in layout.service_counts
            ],
            "marks": [[self.drawn_row(row), list(clauses)] for row, clauses in marked],
            "ghosts": [
                {
                    "row": self._ghost_row(k),
                    "clause": ghost.clause,
                    "text": ghost.text,
                    "from_ns": ghost.from_ns,
                    "to_ns": ghost.to_ns,
                }
                for k, ghost in enumerate(self.ghosts)
            ],
        }

    def failed(self) -> Iterable[int]:
        """Yield the drawn rows whose span failed."""
        return (self.drawn_row(row) for row, flags in enumerate(self.layout.flags) if flags & 1)

    def _places(self) -> list[int]:
        return [ghost.at for ghost in self.ghosts]

    def _ghost_row(self, number: int) -> int:
        return self.ghosts[number].at + number

    def _add_span(self, columns: dict[str, list[Any]], row: int, names: _Names) -> None:
        layout = self.layout
        last = row + layout.below[row]
        hanging = sum(row <= ghost.parent <= last for ghost in self.ghosts)
        values = (
            layout.ordinals[row],
            self.drawn_row(layout.parents[row]),
            layout.depths[row],
            layout.below[row] + hanging,
            layout.errors_below[row],
            names.number(layout.name_table[layout.names[row]]),
            layout.services[row],
            layout.starts_ns[row],
            layout.durations_ns[row],
            layout.flags[row],
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    def _add_ghost(self, columns: dict[str, list[Any]], ghost: Ghost, names: _Names) -> None:
        values = (
            NOWHERE,
            self.drawn_row(ghost.parent),
            ghost.depth,
            0,
            0,
            names.number(ghost.text),
            NOWHERE,
            ghost.from_ns,
            ghost.to_ns - ghost.from_ns,
            GHOST,
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    def _critical(self, rows: Sequence[int]) -> list[list[int]]:
        if not rows:
            return []
        path = self.layout.critical
        begin = bisect_left(path, (rows[0],))
        end = bisect_left(path, (rows[-1] + 1,))
        return [[self.drawn_row(row), since, until] for row, since, until in path[begin:end]]


_COLUMNS: Final = (
    "ordinal",
    "parent",
    "depth",
    "below",
    "errors_below",
    "name",
    "service",
    "start_ns",
    "duration_ns",
    "flags",
)


class _Names:
    """Gives texts numbers as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))
