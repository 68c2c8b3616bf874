"""A bounded load with planted violations, paced over time, written wherever the test wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from api.bench.engine import rule_records
from api.bench.plan import LoadSettings, Truth, plan
from api.bench.schedule import Emission, Schedule
from api.bench.score import Pair
from api.bench.traffic import TrafficSettings
from udfs.wire import betrace_pb2 as wire

SETTLE_MS = 2_000
PATIENCE_MS = 8_000
LATE_NS = 5_000_000_000
STEP_S = 0.02

Sender = Callable[[Emission], None]


@dataclass(frozen=True, slots=True)
class Flow:
    """A load of a tenant at a rate of spans per second."""

    tenant: str
    rate: float
    rules: int = 40

    @property
    def settings(self) -> LoadSettings:
        """Some violations in every second, late and doubled spans among the others."""
        return LoadSettings(
            tenant=self.tenant,
            rules=self.rules,
            chunk_spans=int(self.rate * 4),
            record_spans=80,
            traffic=TrafficSettings(breach_share=0.02, large_trace_share=0.0),
        )

    def rules_log(self) -> list[bytes]:
        """Return the records that the rules log must hold 5 s before the first span."""
        lifetimes = wire.TenantSettings(
            tenant=self.tenant, settle_ms=SETTLE_MS, patience_ms=PATIENCE_MS
        )
        settings = wire.RuleLogRecord(tenant=lifetimes).SerializeToString()
        return [settings, *rule_records(self.tenant, self.settings.mix)]

    def run(self, send: Sender, *, cycles: int, at: Mapping[int, Callable[[], None]]) -> set[Pair]:
        """Send the load in real time; returns every (rule id, trace id) that is violated.

        at: what to do when a cycle (of about 4 s each) begins, by its number from 1.
        """
        planned = plan(self.settings)
        schedule = Schedule(planned.load(), late_ns=LATE_NS)
        schedule.rate = self.rate
        begun = 0
        while not schedule.finished:
            for emission in schedule.due(time.time_ns()):
                send(emission)
            while begun < schedule.cycles:
                begun += 1
                if begun in at:
                    at[begun]()
            if schedule.cycles >= cycles:
                schedule.finish()
            time.sleep(STEP_S)
        return _violations(planned.truth(), schedule)


def _violations(truth: Truth, schedule: Schedule) -> set[Pair]:
    return truth.violations(cycles=schedule.cycles, giants=schedule.giants)
