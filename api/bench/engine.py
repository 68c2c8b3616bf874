"""The engine alone: matching and the life of traces in one process, without Kafka and Flink.

Time is made up: records get the times that the broker would give them at a rate. What is
measured is the CPU time of this process, apart for each part of the engine; what is checked is
that the final verdicts are those planted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, nullcontext
from cProfile import Profile
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import dsl
from api.bench.plan import Load, LoadSettings, plan
from api.bench.rules import BenchRule
from api.bench.schedule import Emission, Schedule
from api.bench.score import Pair, Score, score
from udfs.garbage import spare_the_living
from udfs.lanes import LANES
from udfs.life import Output
from udfs.match import Matcher
from udfs.native import engine_module
from udfs.rulebook import ACTIVATION_MS, FOLD_NEVER, RuleBook
from udfs.wire import betrace_pb2 as wire

if TYPE_CHECKING:
    from udfs.life import Lane
    from udfs.ruleset import RuleSets
else:
    Lane = engine_module("life").Lane
    RuleSets = engine_module("ruleset").RuleSets

STEP_MS = 100
"""How often watermarks come: as in the job."""

HEADSTART_MS = ACTIVATION_MS + 1_000
_NS_PER_MS = 1_000_000
_VERDICTS = {
    wire.VERDICT_VIOLATED: "violated",
    wire.VERDICT_SATISFIED: "satisfied",
    wire.VERDICT_NOT_APPLICABLE: "not_applicable",
    wire.VERDICT_INCONCLUSIVE: "inconclusive",
}


class RuleRefused(Exception):
    """A rule of the mix does not check."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the engine is run; lifetimes are the tenant's, in ms."""

    load: LoadSettings
    cycles: int = 10
    spans_per_s: float = 150_000.0
    begin_ms: int = 1_795_000_000_000
    settle_ms: int = 2_000
    patience_ms: int = 10_000
    max_life_ms: int = 60 * 60 * 1000
    late_ms: int = 4_000
    step_ms: int = STEP_MS
    more_rules: tuple[BenchRule, ...] = ()


class Beside(Protocol):
    """What the engine is fed with beside its load, and what must be found of it."""

    @property
    def planted(self) -> Set[Pair]:
        """Its violations."""

    @property
    def finished(self) -> bool:
        """Whether all of it was sent; the load goes on until then."""

    def due(self, now_ms: int) -> Iterator[Emission]:
        """Yield what is due by now."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing beside the load."""

    planted: Set[Pair] = frozenset()
    finished: bool = True

    def due(self, now_ms: int) -> Iterator[Emission]:
        """Yield nothing."""
        return iter(())


NOTHING = Nothing()


@dataclass(slots=True)
class EngineRun:
    """What was measured. cpu_s: CPU seconds by part; state_bytes: of the largest snapshots."""

    spans: int
    records: int
    score: Score
    giving_share: float
    cpu_s: dict[str, float]
    state_bytes: int

    @property
    def cpu_s_per_million_spans(self) -> dict[str, float]:
        """CPU seconds per million spans by part, and their sum."""
        each = {part: s / self.spans * 1e6 for part, s in self.cpu_s.items()}
        return {**each, "all": sum(each.values())}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "spans": self.spans,
            "records": self.records,
            "facts_share": round(self.giving_share, 3),
            "precision": self.score.precision,
            "recall": self.score.recall,
            "raised": self.score.raised,
            "withdrawn_share": round(self.score.withdrawn_share, 4),
            "cpu_s_per_million_spans": self.cpu_s_per_million_spans,
            "state_bytes": self.state_bytes,
        }


class MemoryStore:
    """A `ClosedStore` in memory, of one lane."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key."""
        return self.values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value under a key."""
        self.values[key] = value

    def remove(self, key: bytes) -> None:
        """Remove a key."""
        self.values.pop(key, None)


@dataclass(slots=True)
class _Machine:
    """All lanes of one subtask, and a clock for each part of the work."""

    matcher: Matcher
    lanes: list[Lane]
    stores: list[MemoryStore]
    tenant: str
    cpu_ns: dict[str, int] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=lambda: [0] * LANES)
    verdicts: dict[Pair, tuple[int, str]] = field(default_factory=dict)
    records: int = 0
    spans: int = 0
    state_bytes: int = 0

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        begun_ns = time.process_time_ns()
        yield
        self.cpu_ns[part] = self.cpu_ns.get(part, 0) + time.process_time_ns() - begun_ns

    def take(self, emission: Emission, *, time_ms: int) -> None:
        lane = emission.lane
        offset = self.offsets[lane]
        self.offsets[lane] += 1
        self.records += 1
        self.spans += emission.spans
        with self.timed("match"):
            ((_, element),) = self.matcher.match(
                emission.payload,
                tenant=self.tenant,
                lane=lane,
                partition=lane,
                offset=offset,
                time_ms=time_ms,
            )
        with self.timed("receive"):
            self.lanes[lane].receive(
                time_ms=time_ms, partition=lane, offset=offset, element=element
            )

    def advance(self, watermark_ms: int) -> None:
        with self.timed("advance"):
            outputs: list[Output] = []
            for lane, store in zip(self.lanes, self.stores, strict=True):
                timer_ms = lane.next_timer_ms()
                if timer_ms is not None and timer_ms <= watermark_ms:
                    outputs += lane.advance(watermark_ms, store)
        self.hear(outputs)
        with self.timed("snapshot"):
            for lane, store in zip(self.lanes, self.stores, strict=True):
                if lane.wants_snapshot():
                    size = sum(len(record) for record in lane.snapshot(store))
                    self.state_bytes = max(self.state_bytes, size)

    def hear(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.topic != "signals":
                continue
            signal = wire.Signal.FromString(output.value)
            pair = (signal.rule_id, signal.trace_id)
            verdict = (signal.revision, _VERDICTS[signal.verdict])
            self.verdicts[pair] = max(self.verdicts.get(pair, verdict), verdict)


def run_engine(
    settings: EngineSettings, *, beside: Beside = NOTHING, profile_to: str = ""
) -> EngineRun:
    """Run a load through matcher and lanes; raises RuleRefused if a rule does not check.

    profile_to: file for a cProfile of the run, which makes it several times as slow.
    """
    planned = plan(settings.load)
    load = planned.load()
    truth = planned.truth()
    machine = _machine(settings)
    spare_the_living()  # as the job's workers do
    with Profile() if profile_to else nullcontext() as profile:
        schedule = _drive(machine, load, settings, beside)
    if profile:
        profile.dump_stats(profile_to)
    planted = truth.violations(cycles=schedule.cycles, giants=schedule.giants) | beside.planted
    return EngineRun(
        spans=machine.spans,
        records=machine.records,
        score=score(planted, {pair: v for pair, (_, v) in machine.verdicts.items()}),
        giving_share=truth.giving_share,
        cpu_s={part: ns / 1e9 for part, ns in machine.cpu_ns.items()},
        state_bytes=machine.state_bytes * LANES,
    )


def rule_records(
    tenant: str,
    rules: tuple[BenchRule, ...],
    *,
    numbers: dict[int, int] | None = None,
    version: int = 1,
) -> Iterator[bytes]:
    """Return a record of the rules log for every rule, its predicates numbered by first sight.

    numbers: of the predicates that have some already, by hash; it is added to. Raises RuleRefused
    if a rule does not check.
    """
    numbers = {} if numbers is None else numbers
    for rule in rules:
        compiled = dsl.check(rule.text).promise
        if compiled is None:
            raise RuleRefused(f"{rule.rule_id}: {dsl.check(rule.text).problems}")
        entries = [
            wire.PredicateEntry(number=numbers.setdefault(p.hash, len(numbers)), hash=p.hash)
            for p in compiled.predicates
        ]
        message = wire.RuleVersion(
            tenant=tenant,
            rule_id=rule.rule_id,
            version=version,
            text=rule.text,
            state=wire.RULE_STATE_ACTIVE,
            predicates=entries,
            name=rule.rule_id,
            severity="medium",
            language=1,
        )
        yield wire.RuleLogRecord(rule=message).SerializeToString()


def rule_book(
    tenant: str, rules: tuple[BenchRule, ...], *, append_ms: int, settings: wire.TenantSettings
) -> RuleBook:
    """Return a book that has read the settings and then the rules, all appended at one time."""
    book = RuleBook()
    records = [wire.RuleLogRecord(tenant=settings).SerializeToString()]
    records += rule_records(tenant, rules)
    for offset, record in enumerate(records):
        book.add(record, append_ms=append_ms, offset=offset)
    return book


def _machine(settings: EngineSettings) -> _Machine:
    tenant = settings.load.tenant
    lifetimes = wire.TenantSettings(
        tenant=tenant,
        settle_ms=settings.settle_ms,
        patience_ms=settings.patience_ms,
        max_life_ms=settings.max_life_ms,
        fold_after=FOLD_NEVER,
    )
    rules = (*settings.load.mix, *settings.more_rules)
    book = rule_book(tenant, rules, append_ms=settings.begin_ms, settings=lifetimes)
    rule_sets = RuleSets(book)
    return _Machine(
        matcher=Matcher(book),
        lanes=[Lane(lane, book, rule_sets=rule_sets) for lane in range(LANES)],
        stores=[MemoryStore() for _ in range(LANES)],
        tenant=tenant,
    )


def _drive(machine: _Machine, load: Load, settings: EngineSettings, beside: Beside) -> Schedule:
    """Send everything, then let time pass until every trace has been closed."""
    schedule = Schedule(load, late_ns=settings.late_ms * _NS_PER_MS)
    schedule.rate = settings.spans_per_s
    now_ms = settings.begin_ms + HEADSTART_MS
    while not schedule.finished:
        now_ms += settings.step_ms
        for emission in chain(schedule.due(now_ms * _NS_PER_MS), beside.due(now_ms)):
            machine.take(emission, time_ms=now_ms)
        machine.advance(now_ms - 1)
        if schedule.cycles == 2:
            schedule.add_giant()
        if schedule.cycles >= settings.cycles and beside.finished:
            schedule.finish()
    for _ in range(2 * settings.patience_ms // settings.step_ms):
        now_ms += settings.step_ms
        machine.advance(now_ms - 1)
    return schedule
