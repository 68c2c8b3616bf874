"""Accounting as data: what became of the spans of a tenant, per lane and minute of event time.

Every span that comes is counted once as `received`, as often as it is delivered, and once in the
bucket where it ends:

    rejected    it was of no use: no trace id of 16 bytes
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
from collections.abc import Iterable
from struct import Struct

from dsl import Reason, Verdict
from udfs.signals import REVISIONS_PER_MS
from udfs.wire import betrace_pb2 as wire

TICK_MS = 10_000
MINUTE_MS = 60_000
TOLD_EVERY_TICK = 64
"""So many rules of a lane are told of at every tick. Of more that grow, those of which nothing was
told in this minute; the others at its end. Each costs the worker a row."""
SETTLED = ("judged", "unruled", "truncated", "late", "over_cap", "too_late", "rejected")
"""The buckets in which a span that was received can end."""

_LATE_BY = (
    (5_000, "5s"),
    (10_000, "10s"),
    (15_000, "15s"),
    (20_000, "20s"),
    (30_000, "30s"),
    (60_000, "1m"),
    (120_000, "2m"),
    (300_000, "5m"),
    (600_000, "10m"),
    (1_800_000, "30m"),
    (3_600_000, "1h"),
    (7_200_000, "2h"),
    (2**62, "more"),
)
"""How late a span was at most, in ms, and how that is called."""


def late_by(account: str, lateness_ms: int) -> str:
    """Return the name of the count of an account's spans that were so late."""
    # Nothing sorts before "" among those of one time.
    return f"{account}_{_LATE_BY[bisect_left(_LATE_BY, (lateness_ms, ''))][1]}"


def adds_up(stats: wire.Stats) -> bool:
    """Tell whether every span is in one bucket; True where open spans are not accounted for."""
    if not stats.HasField("open"):
        return True
    ended = sum(stats.counts.get(name, 0) for name in SETTLED)
    return stats.open_before + stats.counts.get("received", 0) == stats.open + ended


_OVER_BUDGET = frozenset({Reason.STEPS, Reason.BINDINGS})
_ALL_UNSAID = 1
_SOME_UNSAID = 2
_PLACES = Struct("<I")

_RuleKey = tuple[str, int]
"""Rule id and version."""


class _Tally:
    """A rule's first verdicts in the current minute. said: how many of them were emitted."""

    __slots__ = ("failed", "inconclusive", "over_budget", "said", "satisfied", "violated")

    def __init__(self) -> None:
        self.violated = 0
        self.satisfied = 0
        self.inconclusive = 0
        self.over_budget = 0
        self.failed = 0
        self.said = 0

    @property
    def total(self) -> int:
        """How many verdicts there were."""
        return self.violated + self.satisfied + self.inconclusive

    @property
    def unsaid(self) -> bool:
        """Whether there are verdicts that were not emitted."""
        return self.said != self.total


class Accounts:
    """The counts of the current minute. Emitted every TICK_MS while they grow, as totals.

    Of the rules those that grew meanwhile: what was said of the others still holds. Where very many
    grow, some of them wait for the end of the minute.
    """

    def __init__(self, *, lane: int, tenant: str, open_before: int | None = None) -> None:
        """open_before: spans of open traces at the start of the minute; None: not accounted for."""
        self._lane = lane
        self._tenant = tenant
        self._open_before = open_before
        self.counts: dict[str, int] = {}
        self._rules: dict[_RuleKey, _Tally] = {}
        self._grown = False

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one count of the current minute."""
        self.counts[name] = self.counts.get(name, 0) + amount
        self._grown = True

    def count_verdict(
        self, rule: _RuleKey, verdict: Verdict, reasons: tuple[Reason, ...] = ()
    ) -> None:
        """Count one rule's first verdict on one trace. reasons: why it is inconclusive."""
        self._grown = True
        tally = self._rules.get(rule)
        if tally is None:
            tally = self._rules[rule] = _Tally()
        if verdict is Verdict.SATISFIED:
            tally.satisfied += 1
        elif verdict is Verdict.VIOLATED:
            tally.violated += 1
        elif verdict is Verdict.INCONCLUSIVE:
            tally.inconclusive += 1
        if reasons:
            if not _OVER_BUDGET.isdisjoint(reasons):
                tally.over_budget += 1
            if Reason.FAILED in reasons:
                tally.failed += 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing was counted in this minute."""
        return not self.counts and not self._rules

    def tick(self, tick_ms: int, *, open_spans: int | None = None) -> tuple[bytes, bytes] | None:
        """Come to a multiple of TICK_MS: return (key, Stats bytes) if anything was counted.

        open_spans: spans of open traces, where they are accounted for and not idle.
        """
        packed = None
        grown, self._grown = self._grown, False
        if grown:
            unsaid = self._unsaid()
            if len(unsaid) > TOLD_EVERY_TICK and tick_ms % MINUTE_MS:
                self._grown = True
                unsaid = [key for key in unsaid if not self._rules[key].said]
            packed = self._message(tick_ms, open_spans, unsaid)
            for key in unsaid:
                tally = self._rules[key]
                tally.said = tally.total
        if tick_ms % MINUTE_MS == 0:
            self.counts = {}
            self._rules = {}
            if open_spans is not None:
                self._open_before = open_spans
        if packed is None:
            return None
        key_bytes = f"{self._lane}|{self._tenant}|{_minute_before(tick_ms)}".encode()
        return key_bytes, packed

    def _unsaid(self) -> list[_RuleKey]:
        return [key for key, tally in self._rules.items() if tally.unsaid]

    def _message(self, tick_ms: int, open_spans: int | None, rules: Iterable[_RuleKey]) -> bytes:
        message = wire.Stats(
            lane=self._lane,
            tenant=self._tenant,
            minute_ms=_minute_before(tick_ms),
            revision=tick_ms * REVISIONS_PER_MS,
            counts=self.counts,
            rules=[_rule_stats(key, self._rules[key]) for key in sorted(rules)],
            open_before=self._open_before,
            open=None if self._open_before is None else open_spans,
        )
        return message.SerializeToString(deterministic=True)

    def pack(self) -> bytes:
        """Return the counts of the current minute as bytes, for a snapshot.

        u8 0, Stats message; the same with u8 1 where all of it has grown since the last tick
        u8 2, u32 count, each: u32 place of a rule that has grown; Stats message, all of its rules
        """
        packed = self._message(0, None, self._rules)
        if not self._grown:
            return b"\0" + packed
        keys = sorted(self._rules)
        places = [place for place, key in enumerate(keys) if self._rules[key].unsaid]
        if len(places) == len(keys):
            return bytes((_ALL_UNSAID,)) + packed
        head = [bytes((_SOME_UNSAID,)), _PLACES.pack(len(places)), *map(_PLACES.pack, places)]
        return b"".join(head) + packed

    def restore(self, packed: bytes) -> None:
        """Take the counts from `pack`."""
        self._grown = bool(packed[0])
        at = 1
        unsaid: set[int] = set()
        if packed[0] == _SOME_UNSAID:
            at = 5 + _PLACES.unpack_from(packed, 1)[0] * _PLACES.size
            unsaid = {place for (place,) in _PLACES.iter_unpack(packed[5:at])}
        message = wire.Stats.FromString(packed[at:])
        has_open = message.HasField("open_before")
        self._open_before = message.open_before if has_open else None
        self.counts = dict(message.counts)
        for place, rule in enumerate(message.rules):
            tally = self._rules[rule.rule_id, rule.version] = _Tally()
            tally.violated = rule.violated
            tally.satisfied = rule.satisfied
            tally.inconclusive = rule.inconclusive
            tally.over_budget = rule.over_budget
            tally.failed = rule.failed
            if packed[0] != _ALL_UNSAID and place not in unsaid:
                tally.said = tally.total


def _rule_stats(key: _RuleKey, tally: _Tally) -> wire.RuleStats:
    return wire.RuleStats(
        rule_id=key[0],
        version=key[1],
        violated=tally.violated,
        satisfied=tally.satisfied,
        inconclusive=tally.inconclusive,
        over_budget=tally.over_budget,
        failed=tally.failed,
    )


def _minute_before(tick_ms: int) -> int:
    """Return the start of the minute that a tick belongs to: the one it ends, or lies in."""
    return (tick_ms - 1) // MINUTE_MS * MINUTE_MS
