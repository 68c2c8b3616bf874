"""Accounting as data: what became of the spans of a tenant, per lane and minute of event time."""

from __future__ import annotations

from dsl import Reason, Verdict
from udfs.signals import REVISIONS_PER_MS
from udfs.wire import betrace_pb2 as wire

TICK_MS = 10_000
MINUTE_MS = 60_000
_OVER_BUDGET = frozenset({Reason.STEPS, Reason.BINDINGS})


class Accounts:
    """The counts of the current minute. Emitted every TICK_MS while they grow, as totals."""

    def __init__(self, *, lane: int, tenant: str) -> None:
        self._lane = lane
        self._tenant = tenant

        self.counts: dict[str, int] = {}
        self._rules: dict[tuple[str, int], dict[Verdict, int]] = {}
        self._over_budget: dict[tuple[str, int], int] = {}
        self._failed: dict[tuple[str, int], int] = {}
        self._grown = False

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one count of the current minute."""
        self.counts[name] = self.counts.get(name, 0) + amount
        self._grown = True

    def count_verdict(
        self, rule_id: str, version: int, verdict: Verdict, reasons: tuple[Reason, ...] = ()
    ) -> None:
        """Count one rule's first verdict on one trace. reasons: why it is inconclusive."""
        key = (rule_id, version)
        verdicts = self._rules.setdefault(key, {})
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        if reasons:
            if not _OVER_BUDGET.isdisjoint(reasons):
                self._over_budget[key] = self._over_budget.get(key, 0) + 1
            if Reason.FAILED in reasons:
                self._failed[key] = self._failed.get(key, 0) + 1
        self._grown = True

    def tick(self, tick_ms: int) -> tuple[bytes, bytes] | None:
        """Come to a multiple of TICK_MS: return (key, Stats bytes) if anything was counted."""
        packed = self._message(tick_ms) if self._grown else None
        self._grown = False
        if tick_ms % MINUTE_MS == 0:
            self.counts = {}
            self._rules = {}
            self._over_budget = {}
            self._failed = {}

        if packed is None:
            return None
        key = f"{self._lane}|{self._tenant}|{_minute_before(tick_ms)}".encode()
        return key, packed

    def _message(self, tick_ms: int) -> bytes:
        message = wire.Stats(
            lane=self._lane,
            tenant=self._tenant,
            minute_ms=_minute_before(tick_ms),
            revision=tick_ms * REVISIONS_PER_MS,
            counts=self.counts,
            rules=[
                wire.RuleStats(
                    rule_id=rule_id,
                    version=version,
                    violated=verdicts.get(Verdict.VIOLATED, 0),
                    satisfied=verdicts.get(Verdict.SATISFIED, 0),
                    inconclusive=verdicts.get(Verdict.INCONCLUSIVE, 0),
                    over_budget=self._over_budget.get((rule_id, version), 0),
                    failed=self._failed.get((rule_id, version), 0),
                )
                for (rule_id, version), verdicts in sorted(self._rules.items())
            ],
        )
        return message.SerializeToString(deterministic=True)

    def pack(self) -> bytes:
        """Return the counts of the current minute as bytes, for a snapshot."""
        return bytes((self._grown,)) + self._message(0)

    def restore(self, packed: bytes) -> None:
        """Take the counts from `pack`."""
        message = wire.Stats.FromString(packed[1:])
        self._grown = bool(packed[0])

        self.counts = dict(message.counts)
        for rule in message.rules:
            key = (rule.rule_id, rule.version)
            if rule.over_budget:
                self._over_budget[key] = rule.over_budget
            if rule.failed:
                self._failed[key] = rule.failed
            self._rules[key] = {
                verdict: count
                for verdict, count in (
                    (Verdict.VIOLATED, rule.violated),
                    (Verdict.SATISFIED, rule.satisfied),
                    (Verdict.INCONCLUSIVE, rule.inconclusive),
                )
                if count
            }


def _minute_before(tick_ms: int) -> int:
    """Return the start of the minute that a tick belongs to: the one it ends, or lies in."""
    return (tick_ms - 1) // MINUTE_MS * MINUTE_MS
