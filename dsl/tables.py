"""The spans of one predicate, ready to be looked up.

Everything that would make a join of two predicates quadratic is found by an index, made when it is
first asked for. Judgements of one trace share its tables: nothing in them depends on the rule.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from dsl.ancestry import Ancestry
from dsl.structure import KeptSpan, Member
from dsl.values import GONE, MISSING, index_key


class Table:
    """The spans of one predicate, in the order in which they are tried."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = sorted(members, key=lambda member: member.span.place)
        self._starts: list[int] | None = None
        self._by_id: dict[bytes, list[Member]] | None = None
        self._by_parent: dict[bytes, list[Member]] | None = None
        self._by_value: dict[int, dict[object, list[Member]]] = {}
        self._by_number: list[tuple[int, Member]] | None = None
        self._loose: list[Member] = []

    def with_id(self, span_id: bytes) -> Sequence[Member]:
        """Return the spans of an id."""
        if self._by_id is None:
            self._by_id = _grouped(self.members, lambda span: span.span_id)
        return self._by_id.get(span_id, ())

    def with_parent(self, parent_id: bytes) -> Sequence[Member]:
        """Return the spans whose parent has an id."""
        if self._by_parent is None:
            self._by_parent = _grouped(self.members, lambda span: span.parent_id)
        return self._by_parent.get(parent_id, ())

    def with_value(self, capture: int, value: object) -> Sequence[Member]:
        """Return the spans whose captured value may equal a value: those that lost it too."""
        if value is MISSING:
            return ()
        if value is GONE:
            return self.members
        groups = self._by_value.get(capture)
        if groups is None:
            groups = self._by_value[capture] = _by_value(self.members, capture)
        found, lost = groups.get(index_key(value), ()), groups.get(GONE, ())
        return sorted([*found, *lost], key=_place) if lost else found

    def between(self, first_ns: int, last_ns: int) -> Iterator[Member]:
        """Return the spans that start in a stretch of time, borders included."""
        if self._starts is None:
            self._starts = [member.span.start_ns for member in self.members]
        low = bisect_left(self._starts, first_ns)
        high = bisect_right(self._starts, last_ns, low)
        members = self.members
        return (members[at] for at in range(low, high))

    def below(self, span_id: bytes, ancestry: Ancestry) -> Sequence[Member]:
        """Return the spans that a climb may lead from to an id, in a forest.

        Those of broken climbs are among them.
        """
        if self._by_number is None:
            self._by_number = []
            for member in self.members:
                number = ancestry.number(member.span.parent_id)
                if ancestry.is_broken(member.span.parent_id):
                    self._loose.append(member)
                elif number is not None:
                    self._by_number.append((number, member))
            self._by_number.sort(key=lambda pair: pair[0])
        stretch = ancestry.stretch(span_id)
        low = bisect_left(self._by_number, stretch.start, key=lambda pair: pair[0])
        high = bisect_left(self._by_number, stretch.stop, low, key=lambda pair: pair[0])
        found = [member for _, member in self._by_number[low:high]]
        return sorted([*found, *self._loose], key=_place)


def _place(member: Member) -> tuple[int, bytes, int]:
    return member.span.place


def _grouped(
    members: Iterable[Member], key: Callable[[KeptSpan], bytes]
) -> dict[bytes, list[Member]]:
    groups: dict[bytes, list[Member]] = {}
    for member in members:
        groups.setdefault(key(member.span), []).append(member)
    return groups


def _by_value(members: Iterable[Member], capture: int) -> dict[object, list[Member]]:
    groups: dict[object, list[Member]] = {}
    for member in members:
        value = member.span.values[capture]
        if value is MISSING:
            continue
        key = GONE if value is GONE else index_key(value)
        if key is not None:
            groups.setdefault(key, []).append(member)
    return groups
