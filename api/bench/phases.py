"""The phases of a run: finding what is sustained, confirming it, and measuring delays.

How the sustained rate is found. Whatever is sent is judged, and what is judged shows in
Postgres; how far that lags behind the clock is known at any moment from the event time of the
newest signals. A rate is sent that waits for nobody; if the lag at the end is what it was at the
beginning, that rate is held. Rates are tried upwards for some seconds each until one is not held,
then between the two, and the highest one held is sent once more for as long as asked. In a trial
of few seconds the lag must be small besides: a rate that is a twelfth too high adds but a second
to it. If a rate does not hold for so long as asked, less is tried. Nothing is taken from a
backlog: between trials judging catches up, and the broker takes in as much as is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from statistics import median

from api.bench.generator import RunningGenerator
from api.bench.machine import Usage
from api.bench.watch import Seen, SignalWatch

FIRST_RATE = 40_000.0
SETTLED_LAG_MS = 2_500
"""Up to here nothing queues: bundles, watermarks, the worker's batches."""
HIGH_LAG_MS = 10_000
"""Above this a trial is given up: the rate is too high."""
LAG_DRIFT_MS = 1_000
"""Lag may differ by so much between the ends of a sustained phase: a checkpoint's worth."""
LESS = 0.97
"""What is tried for as long as asked of a rate that was held for some seconds."""
STILL_LESS = 0.92
"""What is tried of a rate that was not held for as long as asked."""
MAX_TRIALS = 8
_STEP_S = 1.0
_EDGE_S = 10.0
_DRAIN_S = 240.0


class NothingJudged(Exception):
    """No signal of the load came, so that nothing can be measured."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a phase: lag_ms is how far judging is behind, processed counts spans."""

    at_ms: float
    lag_ms: float
    sent: float
    processed: float


@dataclass(frozen=True, slots=True)
class Sustained:
    """A rate held for some seconds. usage: by group, of the phase; flat: the lag did not grow."""

    rate: float
    seconds: float
    sent_per_s: float
    processed_per_s: float
    lag_begin_ms: float
    lag_end_ms: float
    flat: bool
    spans: float
    usage: dict[str, Usage]
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a rate is looked for.

    seconds: of each trial, after rest_s of coming to rest. first: the first rate tried. step: from
    a rate that was held to the next one. narrow: the search ends when the rate that was not held
    is so close to the one that was. until_s: no trial begins after it (`time.monotonic`).
    """

    seconds: float
    rest_s: float = 10.0
    first: float = 110_000.0
    step: float = 1.4
    narrow: float = 1.06
    until_s: float = inf


@dataclass(frozen=True, slots=True)
class Limit:
    """What a search found.

    held: the highest rate that was held, 0 if time was over before any was. lost: the lowest that
    was not, infinite if time was over before: then the limit is not known.
    """

    held: float
    lost: float


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays in ms: nearest-rank percentiles of so many signals."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, delays_ms: Sequence[float]) -> Delays:
        """Summarise; all 0 if there are none."""
        ordered = sorted(delays_ms)
        if not ordered:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        ranks = (ordered[max(ceil(share * len(ordered)) - 1, 0)] for share in (0.5, 0.95, 0.99, 1))
        return cls(len(ordered), *(round(each, 1) for each in ranks))


@dataclass(frozen=True, slots=True)
class Latency:
    """Delays at a rate. closing: from a trace's closing to its signal being visible; last_span:
    from its last span's append time; at_once: the same where a signal need not wait for the
    closing.
    """

    share: float
    rate: float
    closing: Delays
    last_span: Delays
    at_once: Delays


class Phases:
    """Runs phases with one generator and one watch."""

    def __init__(
        self,
        generator: RunningGenerator,
        watch: SignalWatch,
        *,
        usage: Callable[[], dict[str, Usage]],
        say: Callable[[str], None],
        most: float = inf,
    ) -> None:
        """most: spans per second that warming up and catching up may send."""
        self._generator = generator
        self._watch = watch
        self._usage = usage
        self._say = say
        self._most = most
        self._read = 0
        self._newest_ms = 0.0

    def search(self, settings: Search) -> Limit:
        """Find the highest rate that is held. Raises NothingJudged if not even a low one is."""
        held, lost, rate = 0.0, inf, settings.first
        while lost / max(held, 1.0) > settings.narrow and time.monotonic() < settings.until_s:
            self.drain()
            label = "finding the limit"
            trial = self._hold(rate, seconds=settings.seconds, label=label, rest_s=settings.rest_s)
            if trial.flat and trial.lag_end_ms <= SETTLED_LAG_MS:
                held, rate = rate, min(rate * settings.step, (rate + lost) / 2)
            else:
                lost, rate = rate, (held + rate) / 2 if held else rate / settings.step**2
            if rate < FIRST_RATE / 8:
                raise NothingJudged(f"not even {rate:,.0f} spans/s can be judged")
        return Limit(held, lost)

    def sustain(
        self, *, rate: float, seconds: float, giant: bool = False, until_s: float = inf
    ) -> Sustained:
        """Send at a rate that judging can follow for so many seconds, lowering it if need be.

        until_s: no trial but the first begins after it (`time.monotonic`).
        """
        for trials in range(1, MAX_TRIALS + 1):
            self.drain()
            held = self._hold(rate, seconds=seconds, label="sustained", giant=giant)
            found = replace(held, trials=trials)
            if found.flat or time.monotonic() > until_s:
                break
            self._say(f"{rate:,.0f} spans/s were not sustained: {found.processed_per_s:,.0f}")
            # What was processed while the lag grew says little of what can be held.
            rate *= STILL_LESS
        return found

    def latency(self, *, share: float, rate: float, seconds: float) -> Latency:
        """Measure delays at a rate; the first seconds are for coming to rest."""
        self.drain()
        self._generator.set_rate(rate)
        self._rest(_EDGE_S, label=f"delays at {share:.0%}", rate=rate)
        end = time.monotonic() + seconds
        return self.delays(
            share=share,
            rate=rate,
            label=f"delays at {share:.0%}",
            going=lambda: time.monotonic() < end,
        )

    def delays(
        self,
        *,
        share: float,
        rate: float,
        label: str,
        going: Callable[[], bool],
        but: Collection[bytes] = (),
    ) -> Latency:
        """Measure delays as long as something goes on, at the rate that is being sent.

        but: ids of traces whose own delays do not count.
        """
        first = self._watch.count()
        while going():
            time.sleep(_STEP_S)
            self._say(_line(label, rate, self._point()))
        raised = [
            seen
            for seen in self._watch.since(first)
            if seen.raised and seen.verdict == "violated" and seen.trace_id not in but
        ]
        closed = [seen for seen in raised if seen.closed_ms is not None]
        at_once = [seen for seen in raised if seen.closed_ms is None]
        return Latency(
            share=share,
            rate=rate,
            closing=Delays.of([s.visible_ms - s.closed_ms for s in closed if s.closed_ms]),
            last_span=Delays.of([s.visible_ms - s.last_span_ms for s in closed]),
            at_once=Delays.of([s.visible_ms - s.last_span_ms for s in at_once]),
        )

    def watch(self, rate: float, *, seconds: float, every_s: float, label: str) -> Iterator[Point]:
        """Send at a rate for so many seconds, and yield now and then how far judging is."""
        self._generator.set_rate(rate)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(every_s)
            point = self._point()
            self._say(_line(label, rate, point))
            yield point

    def warm_up(self, *, seconds: float) -> None:
        """Send until signals come and compilers are warm; raises NothingJudged if none come."""
        # The JVMs compile for minutes, and the more they are given to do the sooner they are done.
        for rate in (min(FIRST_RATE, self._most), min(2 * FIRST_RATE, self._most)):
            self._generator.set_rate(rate)
            self._rest(seconds / 2, label="warming up", rate=rate)
        if not self._newest_ms:
            raise NothingJudged(f"no signal came within {seconds:.0f} s")

    def drain(self) -> None:
        """Send gently until judging has caught up."""
        rate = min(FIRST_RATE / 2, self._most)
        self._generator.set_rate(rate)
        end = time.monotonic() + _DRAIN_S
        while time.monotonic() < end:
            time.sleep(_STEP_S)
            point = self._point()
            if point.lag_ms < SETTLED_LAG_MS:
                return
            self._say(_line("catching up", rate, point))

    def complete(self, *, quiet_s: float) -> None:
        """Complete all traces, and wait until no change has been seen for so long."""
        self._generator.finish()
        while not self._generator.last.finished:
            time.sleep(_STEP_S)
        changes, since = self._watch.count(), time.monotonic()
        while time.monotonic() - since < quiet_s:
            time.sleep(_STEP_S)
            if self._watch.count() != changes:
                changes, since = self._watch.count(), time.monotonic()

    def _hold(
        self,
        rate: float,
        *,
        seconds: float,
        label: str,
        giant: bool = False,
        rest_s: float = _EDGE_S,
    ) -> Sustained:
        """Send at a rate; give up where judging falls far behind."""
        self._generator.set_rate(rate)
        self._rest(rest_s, label="coming to rest", rate=rate)
        if giant:
            self._generator.add_giant()
        usage = self._usage()
        points = self._rest(seconds, label=label, rate=rate, give_up=True)
        used = {group: _less(now, usage.get(group)) for group, now in self._usage().items()}
        edge = max(int(min(_EDGE_S, seconds / 3) / _STEP_S), 1)
        begin = median(point.lag_ms for point in points[:edge])
        end = median(point.lag_ms for point in points[-edge:])
        took_s = (points[-1].at_ms - points[0].at_ms) / 1000
        sent = points[-1].sent - points[0].sent
        whole = took_s > seconds - 2 * _STEP_S
        return Sustained(
            rate=rate,
            seconds=took_s,
            sent_per_s=sent / took_s,
            processed_per_s=processed_per_s(points),
            lag_begin_ms=begin,
            lag_end_ms=end,
            flat=whole and end - begin <= LAG_DRIFT_MS and sent / took_s > 0.97 * rate,
            spans=sent,
            usage=used,
            trials=1,
        )

    def _rest(
        self, seconds: float, *, label: str, rate: float, give_up: bool = False
    ) -> list[Point]:
        points = [self._point()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(_STEP_S)
            points.append(self._point())
            self._say(_line(label, rate, points[-1]))
            if give_up and points[-1].lag_ms > HIGH_LAG_MS:
                break
        return points

    def _point(self) -> Point:
        seen: list[Seen] = self._watch.since(self._read)
        self._read += len(seen)
        self._newest_ms = max([self._newest_ms, *(each.judged_ms for each in seen)])
        now_ms = time.time() * 1000
        newest_ms = self._newest_ms or now_ms
        return Point(
            at_ms=now_ms,
            lag_ms=now_ms - newest_ms,
            sent=self._generator.sent_at(now_ms),
            processed=self._generator.sent_at(newest_ms),
        )


def processed_per_s(points: Sequence[Point]) -> float:
    """Return spans processed per second from the first point to the last."""
    elapsed_s = (points[-1].at_ms - points[0].at_ms) / 1000
    return (points[-1].processed - points[0].processed) / elapsed_s if elapsed_s else 0.0


def _less(now: Usage, before: Usage | None) -> Usage:
    return Usage(now.cpu_s - (before.cpu_s if before else 0.0), now.rss_bytes)


def _line(label: str, rate: float, point: Point) -> str:
    return f"{label}: {rate:,.0f} spans/s, judging is {point.lag_ms / 1000:.1f} s behind"
