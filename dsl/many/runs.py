"""The signals of one key, grown moment by moment and cut back where something changed before.

Of each moment at which `having` holds the signal is kept as far as it was then. So what comes at
the end costs one step, and what comes late one step for each moment after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dsl.many.episodes import Episode, Moment
from dsl.many.timeline import Timeline


@dataclass(slots=True)
class Runs:
    """Moments at which `having` holds, in runs that `within` without one parts.

    held: for each of them the signal up to then, by time; the first may be of a moment that is
    forgotten, and its signal goes on if the next one comes within `within`. begun: for traces with
    which such signals begin, the occurrence of the next one. past: for traces that began signals
    that are forgotten, how many, and when the last of them held last; in the order of that time.
    """

    held: list[Episode] = field(default_factory=list)
    begun: dict[str, int] = field(default_factory=dict)
    past: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def going_on(cls, carried: Episode | None, past: dict[str, tuple[int, int]]) -> Runs:
        """Return the runs after a moment at which all before is forgotten but one signal."""
        by_time = dict(sorted(past.items(), key=lambda one: one[1][1]))
        if carried is None:
            return cls(past=by_time)
        return cls([carried], {carried.trace_id: carried.occurrence + 1}, by_time)

    # -- moments ---------------------------------------------------------------------------------

    def extend(self, moments: Iterable[Moment], timeline: Timeline, *, within_ns: int) -> None:
        """Go on with the moments that follow."""
        for moment in moments:
            if not moment.holds:
                continue
            before = self.held[-1] if self.held else None
            if before is None or moment.time_ns - before.last_ns > within_ns:
                self.held.append(self._begin(moment, timeline, within_ns))
            else:
                self.held.append(_continued(before, moment, timeline))

    def _begin(self, moment: Moment, timeline: Timeline, within_ns: int) -> Episode:
        time_ns = moment.time_ns
        trace_id = timeline.first_certain(time_ns - within_ns).trace_id
        occurrence = self.begun.get(trace_id, self._forgotten(trace_id))
        self.begun[trace_id] = occurrence + 1
        return Episode(
            trace_id=trace_id,
            occurrence=occurrence,
            since_ns=time_ns,
            last_ns=time_ns,
            count=timeline.count(time_ns - within_ns, time_ns),
            found=moment.found,
            certain=moment.answer is True,
            reasons=moment.reasons,
        )

    def cut(self, from_ns: int) -> None:
        """Take back all moments from a time on."""
        first = bisect_left(self.held, from_ns, key=_last)
        for end in self._ends_back():
            if bisect_left(self.held, end.since_ns, key=_last) < first:
                break
            if end.occurrence == self._forgotten(end.trace_id):
                del self.begun[end.trace_id]
            else:
                self.begun[end.trace_id] = end.occurrence
        del self.held[first:]

    def _forgotten(self, trace_id: str) -> int:
        """Return how many signals began with a trace that are forgotten."""
        return self.past.get(trace_id, (0, 0))[0]

    # -- signals ---------------------------------------------------------------------------------

    def ends(self, from_ns: int) -> list[Episode]:
        """Return the signals that hold last at a time or later, in order of time."""
        found = []
        for end in self._ends_back():
            if end.last_ns < from_ns:
                break
            found.append(end)
        return found[::-1]

    def _ends_back(self) -> Iterator[Episode]:
        """Yield the last moment of each run, the latest one first."""
        after = len(self.held)
        while after > 0:
            end = self.held[after - 1]
            yield end
            after = bisect_left(self.held, end.since_ns, hi=after, key=_last)

    # -- forgetting ------------------------------------------------------------------------------

    def carried(self, frozen_ns: int | None) -> Episode | None:
        """Return the signal as it was before all moments from a time on, if it is kept."""
        first = self.held[0] if self.held else None
        return first if first and frozen_ns is not None and first.last_ns < frozen_ns else None

    def forget(self, final_ns: int, *, within_ns: int, lateness_ns: int) -> None:
        """Forget the moments before a time, and the signals to which nothing can be added.

        Their traces are remembered for as long as they may begin others.
        """
        while self.held:
            after = bisect_right(self.held, self.held[0].since_ns, key=_since)
            end = self.held[after - 1]
            if end.last_ns + within_ns >= final_ns:
                break
            self.past.pop(end.trace_id, None)  # the latest comes last
            self.past[end.trace_id] = end.occurrence + 1, end.last_ns
            if self.begun[end.trace_id] == end.occurrence + 1:
                del self.begun[end.trace_id]
            del self.held[:after]
        first = bisect_left(self.held, final_ns, key=_last)
        del self.held[: max(0, first - 1)]
        self._forget_past(final_ns - within_ns - lateness_ns)

    def _forget_past(self, kept_ns: int) -> None:
        expired = []
        for trace_id, (_, last_ns) in self.past.items():
            if last_ns >= kept_ns:
                break
            expired.append(trace_id)
        for trace_id in expired:
            del self.past[trace_id]


def _continued(before: Episode, moment: Moment, timeline: Timeline) -> Episode:
    same = moment.reasons <= before.reasons
    return Episode(
        trace_id=before.trace_id,
        occurrence=before.occurrence,
        since_ns=before.since_ns,
        last_ns=moment.time_ns,
        count=before.count + timeline.count(before.last_ns + 1, moment.time_ns),
        found=moment.found,
        certain=before.certain or moment.answer is True,
        reasons=before.reasons if same else before.reasons | moment.reasons,
    )


def _last(episode: Episode) -> int:
    return episode.last_ns


def _since(episode: Episode) -> int:
    return episode.since_ns
