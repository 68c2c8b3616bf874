"""The life of one trace at hand: open, closed, judged again, by the rules of the stream.

For tests of rules, where all spans and their times of arrival are known beforehand. Times are ns
from the beginning of the test, of arrival and of the spans' clocks alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, TypeAlias

from dsl.explain import explain
from dsl.judging import AFTER_ALL, Moment, judge_spans
from dsl.rule import CompiledRule
from dsl.spans import Span, distinct_spans, external_root_of, is_root, root_of
from dsl.structure import FOR_EVER
from dsl.verdict import Judgement, Reason, Verdict

SETTLE_NS: Final = 10_000_000_000
PATIENCE_NS: Final = 60_000_000_000
MAX_LIFE_NS: Final = 3_600_000_000_000
LATENESS_NS: Final = 600_000_000_000

Before: TypeAlias = Callable[[int], None]
"""Called before a judgement with how many span tests it makes at most; may raise to end it all."""


def unbounded(_: int) -> None:
    """Let every judgement be made."""


@dataclass(frozen=True, slots=True)
class LifeSettings:
    """How long a trace lives. on_incomplete: what a rule does about missing spans, or None.

    external_roots: traces begin outside of what the tenant exports.
    """

    settle_ns: int = SETTLE_NS
    patience_ns: int = PATIENCE_NS
    max_life_ns: int = MAX_LIFE_NS
    lateness_ns: int = LATENESS_NS
    on_incomplete: str | None = None
    external_roots: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A span and when it is taken in."""

    at_ns: int
    span: Span


@dataclass(frozen=True, slots=True)
class Standing:
    """The judgement that stands: on which spans, when, and how complete they were."""

    judgement: Judgement
    spans: tuple[Span, ...]
    complete: bool
    in_doubt: frozenset[Reason]
    moment: Moment

    @property
    def verdict(self) -> Verdict:
        """How the promise stands."""
        return self.judgement.verdict

    def explain(self, rule: CompiledRule) -> dict[str, Any]:
        """Return why, as data."""
        told = explain(
            rule,
            self.spans,
            complete=self.complete,
            in_doubt=self.in_doubt,
            moment=self.moment,
        )
        return replace(told, judgement=self.judgement).to_dict()


def judge_whole(
    rule: CompiledRule,
    spans: Sequence[Span],
    settings: LifeSettings,
    *,
    before: Before = unbounded,
) -> Standing:
    """Judge a trace of which all spans came at once and that is over."""
    before(len(spans) * len(rule.predicates))
    moment = replace(AFTER_ALL, external_roots=settings.external_roots)
    return _judge(rule, spans, settings, complete=True, doubt=None, moment=moment)


def state_at(
    rule: CompiledRule,
    arrivals: Sequence[Arrival],
    settings: LifeSettings,
    *,
    at_ns: int | None,
    before: Before = unbounded,
) -> Standing:
    """Return the judgement that stands at a moment (None: after everything).

    arrivals: in order of their times.
    """
    life = _Life(rule, arrivals, settings, before)
    end_ns = FOR_EVER if at_ns is None else at_ns
    times = sorted({arrival.at_ns for arrival in arrivals})
    for time_ns, next_ns in pairwise([*times, FOR_EVER]):
        if time_ns > end_ns:
            break
        life.take(time_ns, min(end_ns, next_ns))
    return life.standing


class _Life:
    def __init__(
        self,
        rule: CompiledRule,
        arrivals: Sequence[Arrival],
        settings: LifeSettings,
        before: Before,
    ) -> None:
        self.rule = rule
        self.arrivals = arrivals
        self.settings = settings
        self.before = before
        self.seen: list[Span] = []
        self.begin_ns = arrivals[0].at_ns if arrivals else 0
        self.closed_ns: int | None = None
        self.standing = self.judge(self.begin_ns, doubt=Reason.STILL_OPEN)

    def judge(self, now_ns: int, *, doubt: Reason | None) -> Standing:
        self.before(len(self.seen) * len(self.rule.predicates))
        arrived = {one.span.span_id: one.at_ns for one in reversed(self.arrivals)}
        moment = Moment(
            now_ns=now_ns,
            settle_ns=self.settings.settle_ns,
            external_roots=self.is_from_outside(now_ns),
            arrived_ns=arrived,
        )
        return _judge(
            self.rule,
            self.seen,
            self.settings,
            complete=doubt is None,
            doubt=doubt,
            moment=moment,
        )

    def take(self, now_ns: int, until_ns: int) -> None:
        """Take in what arrives now, and judge what is due until then."""
        if self.is_too_late(now_ns):
            return
        self.seen.extend(one.span for one in self.arrivals if one.at_ns == now_ns)
        if self.closed_ns is None:
            self.standing = self.judge(now_ns, doubt=Reason.STILL_OPEN)
        due_ns: int | None = self.quiet_ns(now_ns)
        while due_ns is not None and due_ns <= until_ns:
            if self.closed_ns is None:
                self.closed_ns = due_ns
            self.standing = self.judge(due_ns, doubt=self.doubt(due_ns))
            due_ns = self.standing.judgement.due_ns

    def is_too_late(self, now_ns: int) -> bool:
        return self.closed_ns is not None and now_ns > self.closed_ns + self.settings.lateness_ns

    def quiet_ns(self, now_ns: int) -> int:
        """Return when the trace will have been quiet for long enough to be judged."""
        settings = self.settings
        if self.closed_ns is not None:
            return now_ns + settings.settle_ns
        wait_ns = settings.settle_ns
        if root_of(self.seen) is None:
            called = settings.external_roots and external_root_of(distinct_spans(self.seen))
            wait_ns = max(settings.patience_ns, wait_ns if called else 0)
        return min(now_ns + wait_ns, self.begin_ns + settings.max_life_ns)

    def doubt(self, now_ns: int) -> Reason | None:
        """Return why a closed trace is not known to be over, None if it is."""
        if root_of(self.seen) is None:
            called = self.is_from_outside(now_ns) and external_root_of(distinct_spans(self.seen))
            if not called:
                return Reason.NO_ROOT
        cut = self.closed_ns == now_ns and self.quiet_for_ns(now_ns) < self.settings.settle_ns
        return Reason.STILL_OPEN if cut else None

    def is_from_outside(self, now_ns: int) -> bool:
        """Tell whether the trace may have an external root: not before patience has passed."""
        if self.closed_ns is None or not self.settings.external_roots:
            return False
        return self.closed_ns < now_ns or self.quiet_for_ns(now_ns) >= self.settings.patience_ns

    def quiet_for_ns(self, now_ns: int) -> int:
        return now_ns - max(one.at_ns for one in self.arrivals if one.at_ns <= now_ns)


def _judge(
    rule: CompiledRule,
    spans: Sequence[Span],
    settings: LifeSettings,
    *,
    complete: bool,
    doubt: Reason | None,
    moment: Moment,
) -> Standing:
    """Judge by what a rule does about missing spans: hold, or signal."""
    if doubt is Reason.NO_ROOT and settings.on_incomplete == "signal":
        complete, doubt = True, None
    in_doubt = frozenset() if doubt is None else frozenset({doubt})
    judgement = judge_spans(rule, spans, complete=complete, in_doubt=in_doubt, moment=moment)
    holds = settings.on_incomplete == "hold" and judgement.rests_on_absence
    if holds and _has_orphans(spans, moment):
        judgement = Judgement(Verdict.INCONCLUSIVE, (Reason.MISSING_SPANS,))
    return Standing(judgement, tuple(spans), complete, in_doubt, moment)


def _has_orphans(spans: Sequence[Span], moment: Moment) -> bool:
    """Tell whether the parent of some span did not come, and is not outside."""
    came = {span.span_id for span in spans}
    called = external_root_of(distinct_spans(spans)) if moment.external_roots else None
    if called is not None:
        came.add(called.parent_span_id)
    return any(not is_root(span) and span.parent_span_id not in came for span in spans)
