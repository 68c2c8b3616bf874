"""Accounting as data: what became of the spans of a tenant, per lane and minute of event time.

Every span that comes is counted once as `received`, as often as it is delivered, and once in the
bucket where it ends:

    rejected    it was of no use: no trace id of 16 bytes, or of another lane
    too_late    its trace was closed longer ago than `lateness`
    over_cap    its trace was not opened: the tenant had too many
    late        its trace was closed before, and was judged again with it
    unruled     it came before its trace was closed, and no promise was in force for that trace
    truncated   the same, but the trace was over a limit
    judged      the same, and all of it was judged

The first four are known when it comes, the others when its trace is first closed; until then it is
`open`. That one is no count but what the lane holds, added up from its traces. So in every message
with `open`

    open_before + received = open + judged + unruled + truncated + late + over_cap + too_late
                             + rejected

which is a check of the engine and no definition. What was a dead letter as a whole is not counted:
nobody knows how many spans it held. Other counts are of traces, signals and members, and of spans
that are in one of the buckets already:

    conflicting_span            came again, and said something else than the first time
    late_5s, late_10s, …        of `late`: the trace had been quiet for at most so long, and for
                                longer than the count before says; late_more is the rest
    too_late_5s, too_late_10s   of `too_late` the same, since the trace was closed
"""

from __future__ import annotations

from bisect import bisect_left

from dsl import Reason, Verdict
from udfs.signals import REVISIONS_PER_MS
from udfs.wire import betrace_pb2 as wire

TICK_MS = 10_000
MINUTE_MS = 60_000
SETTLED = ("judged", "unruled", "truncated", "late", "over_cap", "too_late", "rejected")
"""The buckets in which a span that was received can end."""

_LATE_BY_S = (5, 10, 15, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200)
_LATE_BY_MS = tuple([1_000 * each for each in _LATE_BY_S])
LATE_BY = ("5s", "10s", "15s", "20s", "30s", "1m", "2m", "5m", "10m", "30m", "1h", "2h", "more")
"""How late a span was, at most."""


def late_by(account: str, lateness_ms: int) -> str:
    """Return the name of the count of an account's spans that were so late."""
    return f"{account}_{LATE_BY[bisect_left(_LATE_BY_MS, lateness_ms)]}"


def adds_up(stats: wire.Stats) -> bool:
    """Tell whether every span is in one bucket; True where open spans are not accounted for."""
    if not stats.HasField("open"):
        return True
    ended = sum(stats.counts.get(name, 0) for name in SETTLED)
    return stats.open_before + stats.counts.get("received", 0) == stats.open + ended


_OVER_BUDGET = frozenset({Reason.STEPS, Reason.BINDINGS})


class Accounts:
    """The counts of the current minute. Emitted every TICK_MS while they grow, as totals."""

    def __init__(self, *, lane: int, tenant: str, open_before: int | None = None) -> None:
        """open_before: spans of open traces at the start of the minute; None: not accounted for."""
        self._lane = lane
        self._tenant = tenant
        self._open_before = open_before
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

    @property
    def is_idle(self) -> bool:
        """Whether nothing was counted in this minute."""
        return not self.counts and not self._rules

    def tick(self, tick_ms: int, *, open_spans: int | None = None) -> tuple[bytes, bytes] | None:
        """Come to a multiple of TICK_MS: return (key, Stats bytes) if anything was counted.

        open_spans: spans of open traces, where they are accounted for and not idle.
        """
        packed = self._message(tick_ms, open_spans) if self._grown else None
        self._grown = False
        if tick_ms % MINUTE_MS == 0:
            self.counts = {}
            self._rules = {}
            self._over_budget = {}
            self._failed = {}
            if open_spans is not None:
                self._open_before = open_spans
        if packed is None:
            return None
        key = f"{self._lane}|{self._tenant}|{_minute_before(tick_ms)}".encode()
        return key, packed

    def _message(self, tick_ms: int, open_spans: int | None) -> bytes:
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
            open_before=self._open_before,
            open=None if self._open_before is None else open_spans,
        )
        return message.SerializeToString(deterministic=True)

    def pack(self) -> bytes:
        """Return the counts of the current minute as bytes, for a snapshot."""
        return bytes((self._grown,)) + self._message(0, None)

    def restore(self, packed: bytes) -> None:
        """Take the counts from `pack`."""
        message = wire.Stats.FromString(packed[1:])
        self._grown = bool(packed[0])
        has_open = message.HasField("open_before")
        self._open_before = message.open_before if has_open else None
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
