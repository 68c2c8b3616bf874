"""A bounded load with planted violations, sent in real time from a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

from api.bench.engine import rule_records
from api.bench.plan import LoadSettings, plan
from api.bench.rules import BenchRule
from api.bench.schedule import Emission, Schedule
from api.bench.score import Pair
from api.bench.traffic import TrafficSettings
from udfs.rulebook import FOLD_NEVER
from udfs.wire import betrace_pb2 as wire

SETTLE_MS = 2_000
PATIENCE_MS = 8_000
CLOSED_S = (PATIENCE_MS + 2 * SETTLE_MS) / 1_000
"""After so much more event time, every trace of a load has been closed."""

_LATE_NS = 5_000_000_000
_CYCLE_S = 4
_STEP_S = 0.02

Sender = Callable[[Emission], None]


@dataclass(frozen=True, slots=True)
class Flow:
    """A load of a tenant at a rate of spans per second."""

    tenant: str
    rate: float
    rules: int = 40
    more: tuple[BenchRule, ...] = ()
    """Rules for which nothing is planted."""

    @property
    def settings(self) -> LoadSettings:
        """Some violations in every second, late and doubled spans among the others."""
        return LoadSettings(
            tenant=self.tenant,
            rules=self.rules,
            chunk_spans=int(self.rate * _CYCLE_S),
            record_spans=80,
            traffic=TrafficSettings(breach_share=0.02, large_trace_share=0.0),
        )

    def rules_log(self) -> list[bytes]:
        """Return the records that the rules log must hold 5 s before the first span."""
        lifetimes = wire.TenantSettings(
            tenant=self.tenant,
            settle_ms=SETTLE_MS,
            patience_ms=PATIENCE_MS,
            fold_after=FOLD_NEVER,
        )
        settings = wire.RuleLogRecord(tenant=lifetimes).SerializeToString()
        return [settings, *rule_records(self.tenant, (*self.settings.mix, *self.more))]


class Flowing:
    """A flow that is being sent. As a context it is finished, or given up after an error."""

    def __init__(self, flow: Flow, send: Sender) -> None:
        """send: called for every record, one after the other; may take its time."""
        planned = plan(flow.settings)
        self._truth = planned.truth()
        self._schedule = Schedule(planned.load(), late_ns=_LATE_NS)
        self._schedule.rate = flow.rate
        self._send = send
        self._enough = Event()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> set[Pair]:
        """Send what belongs to traces begun; return every (rule id, trace id) violated."""
        self._enough.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._truth.violations(cycles=self._schedule.cycles, giants=0)

    def _run(self) -> None:
        schedule = self._schedule
        try:
            while not schedule.finished:
                for emission in schedule.due(time.time_ns()):
                    self._send(emission)
                if self._enough.is_set():
                    schedule.finish()
                time.sleep(_STEP_S)
        except Exception as error:  # noqa: BLE001 - handed to finish()
            self._failure = error
