"""What a giant trace, and one that lives long, do to the delays of all others (on real servers).

Parts, at one rate: the load alone; beside a trace of very many spans; beside traces that live
long; alone again, which shows how far equal parts differ. The giant's spans are sent in addition
to the load, so that the others are as many as before.

How life is made short. Event time is the broker's clock and cannot be made to run faster beside a
load. So a tenant of its own gets lifetimes that are short throughout: LONG_LIFE_MS instead of an
hour. One trace ends within its longest life and is judged as a whole; one outlives it, is closed
then, and what comes after that sets right what was said of it. Hours of event time themselves are
shown in process (`api.bench.hours`), where time is handed to the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from threading import Event, Thread
from typing import Any

from api.bench.ids import renewed
from api.bench.long_trace import LONG_RULES, LongTrace
from api.bench.phases import Latency
from api.bench.rows import Row
from api.bench.running import ACTIVE_AFTER_S, PARTITIONS, RunningLoad, Say, Wanted, running_load
from api.bench.score import Pair, Score, score
from api.bench.stack import Lifetimes, Stack
from api.bench.topic import SpansTopic
from api.bench.watch import SignalWatch

LONG_LIFE_MS = 30_000
LONG_LIFETIMES = Lifetimes(
    settle_ms=1_000, patience_ms=3_000, max_life_ms=LONG_LIFE_MS, lateness_ms=2 * LONG_LIFE_MS
)
LONG_EVERY_MS = 500
_WITHIN = 0.8
_BEYOND = 1.4
_GIANT_GAIN = 1.25
"""While it flows, every fifth record is the giant's."""
_AFTER_S = 20.0
"""In which the giant, sent in full, is closed and judged."""
_FEED_S = 0.02
_FLUSH_S = 30.0
_LONG_JUDGED_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GiantSettings:
    """wanted: the load, at its rate, with its giant. seconds: of each part, at least."""

    wanted: Wanted
    seconds: float = 60.0
    warm_up_s: float = 90.0


@dataclass(frozen=True, slots=True)
class LongScore:
    """Whether the long traces were judged as they must be."""

    spans: int
    score: Score


def measure_giant(settings: GiantSettings, stack: Stack, *, say: Say) -> Iterator[Row]:
    """Yield the row of each part as it ends, and one of verdicts at the end.

    Raises StackTrouble, GeneratorFailed, NothingJudged, SpansLost.
    """
    with ExitStack() as opened:
        long = opened.enter_context(_long_traces(stack, say=say))
        load = opened.enter_context(running_load(settings.wanted, stack, say=say))
        parts = _Parts(settings, load)
        load.phases.warm_up(seconds=settings.warm_up_s)
        yield parts.alone("alone")
        yield parts.beside_giant()
        yield parts.beside_long(long)
        yield parts.alone("alone again")
        found = load.complete()
        yield _verdicts(load, found, long.score())


def ratios(rows: Sequence[Row]) -> Iterator[tuple[str, float, float]]:
    """Yield part, and its p50 and p99 of closing → visible by those of the first part."""
    first = rows[0]["closing"] if rows else {}
    for row in rows[1:]:
        if "closing" in row and first["p50_ms"] and first["p99_ms"]:
            closing = row["closing"]
            yield (
                row["part"],
                closing["p50_ms"] / first["p50_ms"],
                closing["p99_ms"] / first["p99_ms"],
            )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a run, each returning its row."""

    settings: GiantSettings
    load: RunningLoad

    def alone(self, part: str) -> Row:
        """The load by itself."""
        self._rest()
        return self._row(part, going=_for(self.settings.seconds))

    def beside_giant(self) -> Row:
        """From the first span of the giant until it must have been judged."""
        self._rest()
        generator = self.load.generator
        giant = self.load.truth.giant
        assert giant is not None
        generator.add_giant()
        generator.set_rate(self.settings.wanted.rate * _GIANT_GAIN)
        enough = _for(self.settings.seconds)
        sent_at_s: list[float] = []

        def going() -> bool:
            last = generator.last
            if last.giants and not last.giant_left and not sent_at_s:
                generator.set_rate(self.settings.wanted.rate)
                sent_at_s.append(time.monotonic())
            done = sent_at_s and time.monotonic() > sent_at_s[0] + _AFTER_S
            return enough() or not done

        giant_id = renewed(giant.trace_id, cycle=0)
        row = self._row(f"beside a trace of {giant.spans:,} spans", going=going, but={giant_id})
        return row | {"giant": self._giant(giant_id)}

    def beside_long(self, long: _LongTraces) -> Row:
        """While the long traces live."""
        self._rest()
        enough = _for(self.settings.seconds)
        with long.feeding():
            row = self._row(
                "beside traces that live long", going=lambda: enough() or not long.ended
            )
        return row | {"max_life_ms": LONG_LIFE_MS, "long_spans": long.spans}

    def _rest(self) -> None:
        self.load.phases.drain()
        self.load.generator.set_rate(self.settings.wanted.rate)

    def _row(self, part: str, *, going: Callable[[], bool], but: Collection[bytes] = ()) -> Row:
        found: Latency = self.load.phases.delays(
            share=0.0, rate=self.settings.wanted.rate, label=part, going=going, but=but
        )
        return {
            "part": part,
            "rate": self.settings.wanted.rate,
            "closing": asdict(found.closing),
            "at_once": asdict(found.at_once),
        }

    def _giant(self, giant_id: bytes) -> dict[str, Any]:
        """Return when signals of the giant became visible, by its closing."""
        seen = [each for each in self.load.watch.since(0) if each.trace_id == giant_id]
        closed = [s.visible_ms - s.closed_ms for s in seen if s.closed_ms is not None]
        return {"signals": len(seen), "closing_ms": round(min(closed), 1) if closed else None}


def _for(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _verdicts(load: RunningLoad, found: Score, long: LongScore) -> Row:
    giant = load.truth.giant
    giant_id = renewed(giant.trace_id, cycle=0) if giant else b""
    wrong = [pair for pair in found.missing | found.false if pair[1] == giant_id]
    return {
        "part": "verdicts",
        "precision": found.precision,
        "recall": found.recall,
        "planted": found.planted,
        "giant_violations": len(giant.violated) if giant else 0,
        "giant_right": not wrong and bool(load.generator.last.giants),
        "long_precision": long.score.precision,
        "long_recall": long.score.recall,
        "long_planted": long.score.planted,
    }


class _LongTraces:
    """Two traces of a tenant of their own: one ends within its longest life, one outlives it."""

    def __init__(self, stack: Stack, tenant: str, watch: SignalWatch) -> None:
        self._stack = stack
        self._tenant = tenant
        self._watch = watch
        self._within = self._trace(_WITHIN, seed=1)
        self._beyond = self._trace(_BEYOND, seed=2)
        self._thread: Thread | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is sent: both are complete, or sending has failed."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def spans(self) -> int:
        """How many spans of both have been sent."""
        return self._within.sent + self._beyond.sent

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Send both from a thread of its own, from now on. Raises SpansLost at the end."""
        for trace in (self._within, self._beyond):
            trace.begin_at(time.time_ns() // 1_000_000)
        topic = SpansTopic(
            bootstrap=self._stack["BETRACE_KAFKA"],
            topic=self._stack.spans_topic,
            tenant=self._tenant,
            partitions=PARTITIONS,
        )
        stop = Event()
        self._thread = thread = Thread(target=self._feed, args=(topic, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        topic.flush(timeout_s=_FLUSH_S)

    def score(self) -> LongScore:
        """Return how both were judged, once they had time to be."""
        planted = self._within.violations | self._beyond.violations
        end = time.monotonic() + _LONG_JUDGED_S
        while time.monotonic() < end and not planted <= self._violated():
            time.sleep(1.0)
        return LongScore(self.spans, score(planted, self._watch.finals()))

    def _violated(self) -> set[Pair]:
        return {pair for pair, verdict in self._watch.finals().items() if verdict == "violated"}

    def _trace(self, lives: float, *, seed: int) -> LongTrace:
        return LongTrace(
            tenant=self._tenant,
            life_ms=int(lives * LONG_LIFE_MS),
            every_ms=LONG_EVERY_MS,
            seed=seed,
        )

    def _feed(self, topic: SpansTopic, stop: Event) -> None:
        traces = (self._within, self._beyond)
        while not stop.wait(_FEED_S) and not all(trace.finished for trace in traces):
            for trace in traces:
                for emission in trace.due(time.time_ns() // 1_000_000):
                    topic.write(emission.payload, lane=emission.lane, spans=emission.spans)


@contextmanager
def _long_traces(stack: Stack, *, say: Say) -> Iterator[_LongTraces]:
    say("making the tenant of the long traces")
    tenant = stack.make_tenant(LONG_LIFETIMES)
    with SignalWatch(dsn=stack["DATABASE_URL"], tenant=tenant.id) as watch:
        watch.wait_until_listening()
        stack.post_rules(LONG_RULES, key=tenant.key)
        time.sleep(ACTIVE_AFTER_S)
        yield _LongTraces(stack, tenant.id, watch)
