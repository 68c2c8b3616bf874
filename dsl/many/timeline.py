"""The members of one key in the order of time, and a window that is moved along them.

The window stays where it was last looked through, and goes on from there, or back, by what lies
between: a member that comes costs the same however many the window holds, unless it comes late.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dsl.many.members import Member
from dsl.many.window import Window


@dataclass(slots=True)
class Timeline:
    """Members by (time, id), withdrawn ones not among them.

    The window holds members[_first:_next] at any time.
    """

    members: list[Member] = field(default_factory=list)
    _doubtful_ns: list[int] = field(default_factory=list)
    _window: Window | None = None
    _first: int = 0
    _next: int = 0

    @classmethod
    def of(cls, members: Iterable[Member]) -> Timeline:
        """Return the timeline of members in any order."""
        ordered = sorted(members, key=_place)
        return cls(ordered, [member.time_ns for member in ordered if member.doubtful])

    def __len__(self) -> int:
        return len(self.members)

    # -- members come and go ---------------------------------------------------------------------

    def add(self, member: Member) -> None:
        """Put a member in its place."""
        at = bisect_left(self.members, _place(member), key=_place)
        self.members.insert(at, member)
        if member.doubtful:
            insort(self._doubtful_ns, member.time_ns)
        if at < self._next:
            self._next += 1
            if at < self._first:
                self._first += 1
            elif self._window is not None:
                self._window.add(member)

    def remove(self, member: Member) -> None:
        """Take a member out that is there."""
        at = bisect_left(self.members, _place(member), key=_place)
        del self.members[at]
        if member.doubtful:
            del self._doubtful_ns[bisect_left(self._doubtful_ns, member.time_ns)]
        if at < self._next:
            self._next -= 1
            if at < self._first:
                self._first -= 1
            elif self._window is not None:
                self._window.remove(member)

    def drop_before(self, time_ns: int) -> Sequence[Member]:
        """Take out all members before a time, and return them."""
        count = bisect_left(self.members, time_ns, key=_time)
        if not count:
            return ()
        dropped = self.members[:count]
        if self._window is not None:
            for member in dropped[self._first : self._next]:
                self._window.remove(member)
        self._first, self._next = max(0, self._first - count), max(0, self._next - count)
        del self.members[:count]
        del self._doubtful_ns[: bisect_left(self._doubtful_ns, time_ns)]
        return dropped

    # -- looking ---------------------------------------------------------------------------------

    def between(self, from_ns: int, to_ns: int, *, ends: int | None = None) -> Sequence[Member]:
        """Return the members of a stretch of time, both borders included.

        ends: only so many from each of its ends, if there are more.
        """
        first, after = self._stretch(from_ns, to_ns)
        if ends is None or after - first <= 2 * ends:
            return self.members[first:after]
        return self.members[first : first + ends] + self.members[after - ends : after]

    def count(self, from_ns: int, to_ns: int) -> int:
        """Return how many members of a stretch of time are members for certain."""
        first, after = self._stretch(from_ns, to_ns)
        doubtful = bisect_right(self._doubtful_ns, to_ns) - bisect_left(self._doubtful_ns, from_ns)
        return after - first - doubtful

    def first_certain(self, from_ns: int) -> Member:
        """Return the first member at a time or after it that is one for certain. There is one."""
        at = bisect_left(self.members, from_ns, key=_time)
        while self.members[at].doubtful:
            at += 1
        return self.members[at]

    def _stretch(self, from_ns: int, to_ns: int) -> tuple[int, int]:
        first = bisect_left(self.members, from_ns, key=_time)
        return first, bisect_right(self.members, to_ns, lo=first, key=_time)

    # -- the window ------------------------------------------------------------------------------

    def windows(
        self, from_ns: int, *, within_ns: int, new: Callable[[], Window]
    ) -> Iterator[tuple[int, Window]]:
        """Yield every time from one on at which there is a member, and the window that ends at it.

        new: makes an empty window. Of what is yielded only the latest one is up to date, and only
        until members come or go.
        """
        window = self._seek(from_ns, within_ns, new)
        members = self.members
        while self._next < len(members):
            time_ns = members[self._next].time_ns
            while self._next < len(members) and members[self._next].time_ns == time_ns:
                window.add(members[self._next])
                self._next += 1
            while members[self._first].time_ns < time_ns - within_ns:
                window.remove(members[self._first])
                self._first += 1
            yield time_ns, window

    def _seek(self, from_ns: int, within_ns: int, new: Callable[[], Window]) -> Window:
        """Let the window end before a time, and begin where the next one does, or earlier."""
        members = self.members
        at = bisect_left(members, from_ns, key=_time)
        begin_ns = (members[at].time_ns if at < len(members) else from_ns) - within_ns
        first = bisect_left(members, begin_ns, hi=at, key=_time)
        window = self._window
        if window is None or first >= self._next or at <= self._first:
            window = self._window = new()  # nothing of what it held is wanted
            self._first = self._next = first
        while self._next > at:
            self._next -= 1
            window.remove(members[self._next])
        while self._next < at:
            window.add(members[self._next])
            self._next += 1
        while self._first > first:
            self._first -= 1
            window.add(members[self._first])
        return window


def _place(member: Member) -> tuple[int, str]:
    return member.time_ns, member.id


def _time(member: Member) -> int:
    return member.time_ns
