"""Who is above whom in a trace, from the links of its spans.

The spans form a forest; walking it once numbers every span so that those below it have the numbers
of one stretch, and being an ancestor is a comparison of numbers. Spans that share an id and have
different parents, and links that run in a circle, are climbed one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

from dsl.structure import Links


class Ancestry:
    """The links of one trace, ready to ask. Spans are asked for by the id of their parent."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._first: dict[bytes, int] = {}
        self._last: dict[bytes, int] = {}
        self._broken: set[bytes] = set()
        self.is_forest = all(len(parents) == 1 for parents in links.values())
        """Whether every span that was seen has a number."""
        if self.is_forest:
            self._number()
            self.is_forest = len(self._first) == len(links)

    def _number(self) -> None:
        """Number the spans from the tops down: first a span, then those below it."""
        below: dict[bytes, list[bytes]] = {}
        tops: list[tuple[bytes, bool]] = []
        for span_id, (parent_id,) in self._links.items():
            if not any(parent_id):
                tops.append((span_id, False))
            elif parent_id not in self._links:
                tops.append((span_id, True))
            else:
                below.setdefault(parent_id, []).append(span_id)
        number = 0
        for top, broken in tops:
            todo = [(top, True)]
            while todo:
                span_id, entering = todo.pop()
                if not entering:
                    self._last[span_id] = number
                    continue
                self._first[span_id] = number
                number += 1
                if broken:
                    self._broken.add(span_id)
                todo.append((span_id, False))
                todo += [(one, True) for one in below.get(span_id, ())]

    def meets(self, parent_id: bytes, upper_id: bytes) -> bool:
        """Tell whether a climb from a span with this parent meets a span."""
        if not self.is_forest:
            return upper_id in self._links and upper_id in self.climb(parent_id)
        at, first = self._first.get(parent_id), self._first.get(upper_id)
        return at is not None and first is not None and first <= at < self._last[upper_id]

    def is_broken(self, parent_id: bytes) -> bool:
        """Tell whether the climb ends at a parent that did not come."""
        if self.is_forest:
            seen = parent_id in self._first
            return parent_id in self._broken if seen else any(parent_id)
        return any(any(one) and one not in self._links for one in self.climb(parent_id))

    def climb(self, parent_id: bytes) -> Iterator[bytes]:
        """Yield every id that the climb comes to, seen or not, each once."""
        met = set()
        todo = [parent_id]
        while todo:
            span_id = todo.pop()
            if span_id in met:
                continue
            met.add(span_id)
            yield span_id
            todo.extend(self._links.get(span_id, ()))

    def number(self, span_id: bytes) -> int | None:
        """Return the number of a span in a forest, None if it did not come."""
        return self._first.get(span_id)

    def stretch(self, span_id: bytes) -> range:
        """Return the numbers of a span of a forest and of all below it."""
        first = self._first.get(span_id)
        return range(0) if first is None else range(first, self._last[span_id])
