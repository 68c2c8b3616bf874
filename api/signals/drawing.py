"""A signal's trace as rows: which spans its clauses rest on, and where one is missing.

Pure. A rule says what must be there, not where; a ghost stands where the missing span could have
been, as the relations of its condition tell, else beside the span that came nearest, else after the
one that made the promise apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import dsl
from api.traces.layout import NOWHERE, Layout
from api.traces.rows import Drawn, Ghost
from dsl.plan import (
    Condition,
    Either,
    Every,
    Exists,
    Found,
    Leaf,
    Opposite,
    Ordered,
    Related,
)
from dsl.source import Source

GHOSTS_MAX: Final = 20
MISS: Final = "miss"
"""The mark of a span that came nearest to what a condition wants."""


def draw(layout: Layout, explanation: Mapping[str, Any] | None, rule_text: str) -> Drawn:
    """Return a trace with what the explanation of a signal says of it.

    explanation: as stored, or None. Spans that are not in this copy are left out.
    """
    clauses: Sequence[Mapping[str, Any]] = (explanation or {}).get("clauses", ())
    marks: dict[int, tuple[str, ...]] = {}
    for word, span_id in _marked(clauses):
        row = _row(layout, span_id)
        if row != NOWHERE and word not in marks.get(row, ()):
            marks[row] = (*marks.get(row, ()), word)
    bindings = {
        bound["binding"]: row
        for bound in (explanation or {}).get("bindings", ())
        if (row := _row(layout, bound["span_id"])) != NOWHERE
    }
    places = _Places(layout, bindings, anchor=_anchor(layout, clauses))
    ghosts = [
        places.ghost(clause, condition, relation)
        for clause, condition, relation in _missing(clauses, rule_text)
    ]
    return Drawn(layout, tuple(ghosts[:GHOSTS_MAX]) if len(layout) else (), marks)


def _marked(clauses: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield clauses with the spans they rest on, then what came nearest to the others."""
    for clause in clauses:
        for condition in clause.get("conditions", ()):
            for span in condition.get("spans", ()):
                yield clause["clause"], span["span_id"]
    for clause in clauses:
        for condition in clause.get("conditions", ()):
            if condition.get("nearest_miss"):
                yield MISS, condition["nearest_miss"]["span_id"]


def _anchor(layout: Layout, clauses: Sequence[Mapping[str, Any]]) -> int:
    """Return the row of the first span that made the promise apply, else the topmost row."""
    for clause in clauses:
        for condition in clause.get("conditions", ()) if clause["clause"] == "when" else ():
            for span in condition.get("spans", ()):
                if (row := _row(layout, span["span_id"])) != NOWHERE:
                    return row
    return 0


def _missing(
    clauses: Sequence[Mapping[str, Any]], rule_text: str
) -> Iterator[tuple[str, Mapping[str, Any], Related | None]]:
    """Yield what an `always` wants a span for and has none: clause, condition, first relation."""
    wanted = None
    for clause in clauses:
        if clause["clause"] != "always" or clause["state"] == "true":
            continue
        for condition in clause.get("conditions", ()):
            if condition["state"] == "true" or condition.get("spans"):
                continue
            wanted = _wanted(rule_text) if wanted is None else wanted
            leaf = wanted.get((condition.get("line", 0), condition.get("column", 0)))
            if leaf is not None:
                yield clause["clause"], condition, _relation_of(leaf)


@lru_cache(maxsize=256)
def _wanted(rule_text: str) -> Mapping[tuple[int, int], Leaf]:
    """Return the span tests of `always` that are not negated, by line and column."""
    promise = dsl.check(rule_text).promise
    if promise is None:
        return {}
    source = Source(rule_text)
    return {
        source.place(leaf.at): leaf
        for word, condition in promise.plan.clauses
        if word == "always"
        for leaf in _upright(condition)
        if isinstance(leaf, Exists | Found | Ordered)
    }


def _upright(condition: Condition, *, negated: bool = False) -> Iterator[Leaf]:
    match condition:
        case Every(items) | Either(items):
            for item in items:
                yield from _upright(item, negated=negated)
        case Opposite(item):
            yield from _upright(item, negated=not negated)
        case _:
            if not negated:
                yield condition


def _relation_of(leaf: Leaf) -> Related | None:
    return next(iter(leaf.term.relations), None) if isinstance(leaf, Found) else None


class _Places:
    """Where missing spans of a trace could have been."""

    def __init__(self, layout: Layout, bindings: Mapping[str, int], *, anchor: int) -> None:
        self._layout = layout
        self._bindings = bindings
        self._anchor = anchor

    def ghost(self, clause: str, condition: Mapping[str, Any], relation: Related | None) -> Ghost:
        """Return the ghost of a condition."""
        text = " ".join(str(condition["text"]).split())
        bound = self._bindings.get(relation.binding, NOWHERE) if relation else NOWHERE
        if relation is not None and bound != NOWHERE:
            return self._related(clause, text, relation, bound)
        miss = condition.get("nearest_miss")
        near = _row(self._layout, miss["span_id"]) if miss else NOWHERE
        if near != NOWHERE:
            return self._beside(clause, text, near, self._times(near))
        since = self._layout.starts_ns[self._anchor]
        return self._beside(clause, text, self._anchor, (since, self._horizon(self._anchor)))

    def _related(self, clause: str, text: str, relation: Related, bound: int) -> Ghost:
        since, until = self._times(bound)
        match relation.word:
            case "child" | "descendant":
                return self._under(clause, text, bound, (since, until))
            case "during":
                return self._beside(clause, text, bound, (since, until))
            case "after":
                latest = self._horizon(bound)
                if relation.within_ns is not None:
                    latest = min(latest, until + relation.within_ns)
                return self._beside(clause, text, bound, (until, max(until, latest)))
            case "before":
                earliest = self._beginning(bound)
                if relation.within_ns is not None:
                    earliest = max(earliest, since - relation.within_ns)
                return self._beside(clause, text, bound, (min(earliest, since), since))
            case _:
                return self._beside(clause, text, bound, (self._beginning(bound), until))

    def _under(self, clause: str, text: str, row: int, times: tuple[int, int]) -> Ghost:
        return Ghost(
            clause=clause,
            text=text,
            parent=row,
            at=row + self._layout.below[row] + 1,
            depth=self._layout.depths[row] + 1,
            from_ns=times[0],
            to_ns=times[1],
        )

    def _beside(self, clause: str, text: str, row: int, times: tuple[int, int]) -> Ghost:
        """After a row and all below it; beside a top row there is nothing, so below that."""
        parent = self._layout.parents[row]
        if parent == NOWHERE:
            return self._under(clause, text, row, times)
        return Ghost(
            clause=clause,
            text=text,
            parent=parent,
            at=row + self._layout.below[row] + 1,
            depth=self._layout.depths[row],
            from_ns=times[0],
            to_ns=times[1],
        )

    def _times(self, row: int) -> tuple[int, int]:
        since = self._layout.starts_ns[row]
        return since, max(since, self._layout.end_ns(row))

    def _beginning(self, row: int) -> int:
        parent = self._layout.parents[row]
        return 0 if parent == NOWHERE else self._layout.starts_ns[parent]

    def _horizon(self, row: int) -> int:
        """When what follows a span must have ended: with the parent, or the trace."""
        parent = self._layout.parents[row]
        end = self._layout.duration_ns if parent == NOWHERE else self._layout.end_ns(parent)
        return max(end, self._layout.starts_ns[row])


def _row(layout: Layout, span_id: str) -> int:
    try:
        return layout.row_of(bytes.fromhex(span_id))
    except ValueError:
        return NOWHERE
