"""A load on its way: a tenant and rules of its own, a generating process, and a watch on signals.

Every kind of run on real servers (`run`, `table`, `soak`, `giant`) begins with this and ends with
`RunningLoad.complete`, so that all of them send and judge the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf

from api.bench.generator import RunningGenerator
from api.bench.load import GeneratorSettings
from api.bench.machine import Usage, usage_by_group
from api.bench.phases import Phases
from api.bench.plan import CHUNK_SPANS, LoadSettings, Truth, plan
from api.bench.score import Score, score
from api.bench.stack import Lifetimes, Stack, Tenant
from api.bench.traffic import TrafficSettings
from api.bench.watch import SignalWatch

Say = Callable[[str], None]

LATE_S = 5.0
ACTIVE_AFTER_S = 8.0
"""A rule takes effect 5 s after it was written to the log; the rest is for clocks."""
PARTITIONS = 32
_LEAST_CHUNK_SPANS = 8_192
_BREACHES = 100
"""Over the spans of a chunk: the least share of its traces that break something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The load that is wanted. rate: known beforehand, 0 if it is looked for; warming up does not
    exceed it. lifetimes: of the tenant that is made for it.
    """

    rules: int = 100
    structural: int = 0
    record_spans: int = 512
    facts_share: float = 0.2
    giant_spans: int = 0
    seed: int = 1
    rate: float = 0.0
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    def load(self, tenant: str) -> LoadSettings:
        """Return what the generating process is to lay out for a tenant."""
        usual = TrafficSettings(seed=self.seed, facts_share=self.facts_share)
        breaches = max(usual.breach_share, _BREACHES / self._chunk_spans)
        traffic = replace(usual, breach_share=breaches)
        # Without rules one promise is kept in, as a marker: nothing else would show that spans
        # were judged at all.
        return LoadSettings(
            tenant=tenant,
            rules=max(self.rules, 1),
            structural=self.structural,
            chunk_spans=self._chunk_spans,
            record_spans=self.record_spans,
            giant_spans=self.giant_spans,
            traffic=traffic if self.rules else replace(traffic, facts_share=0.0),
        )

    @property
    def _chunk_spans(self) -> int:
        """A second's worth: a trace is spread over most of a cycle, and must not last minutes."""
        if not self.rate:
            return CHUNK_SPANS
        return min(max(int(self.rate), _LEAST_CHUNK_SPANS), CHUNK_SPANS)

    @property
    def quiet_s(self) -> float:
        """After so long without a change none is to come: the last traces have been closed."""
        return (self.lifetimes.patience_ms + self.lifetimes.settle_ms) / 1000 + 8.0


@dataclass(frozen=True, slots=True)
class RunningLoad:
    """What runs, and what is known of it."""

    wanted: Wanted
    stack: Stack
    tenant: Tenant
    truth: Truth
    generator: RunningGenerator
    watch: SignalWatch
    phases: Phases
    say: Say

    def usage(self) -> dict[str, Usage]:
        """Return what each group of processes has used."""
        return usage_by_group(_roots(self.stack, self.generator))

    @property
    def traces(self) -> int:
        """How many traces have been sent, about."""
        return self.generator.last.sent * len(self.truth.traces) // self.truth.cycle_spans

    def complete(self) -> Score:
        """Complete all traces, wait until all are judged, and compare with what was planted.

        Raises GeneratorFailed.
        """
        self.say("completing all traces")
        self.phases.complete(quiet_s=self.wanted.quiet_s)
        last = self.generator.last
        planted = self.truth.violations(cycles=last.cycles, giants=last.giants)
        return score(planted, self.watch.finals())


@contextmanager
def running_load(wanted: Wanted, stack: Stack, *, say: Say) -> Iterator[RunningLoad]:
    """Make a tenant, post the rules, and have the load ready to be sent.

    Raises StackTrouble, GeneratorFailed.
    """
    tenant = stack.make_tenant(wanted.lifetimes)
    load = wanted.load(tenant.id)
    say("inventing the load")
    truth = plan(load).truth()
    settings = GeneratorSettings(
        bootstrap=stack["BETRACE_KAFKA"],
        topic=stack.spans_topic,
        partitions=PARTITIONS,
        late_s=LATE_S,
        load=load,
    )
    watch = SignalWatch(dsn=stack["DATABASE_URL"], tenant=tenant.id)
    with RunningGenerator(settings) as generator, watch:
        watch.wait_until_listening()
        say(f"posting {len(load.mix)} rules")
        stack.post_rules(load.mix, key=tenant.key)
        time.sleep(ACTIVE_AFTER_S)
        roots = _roots(stack, generator)
        phases = Phases(
            generator,
            watch,
            usage=lambda: usage_by_group(roots),
            say=say,
            most=wanted.rate or inf,
        )
        yield RunningLoad(wanted, stack, tenant, truth, generator, watch, phases, say)


def _roots(stack: Stack, generator: RunningGenerator) -> dict[str, int]:
    return {**stack.roots(), "generator": generator.pid}
