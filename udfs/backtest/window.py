"""Which records a backtest reads, and which traces it reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsl import CorrelateRule, ExpectRule
from udfs.accounts import MINUTE_MS
from udfs.many_rules import ManyRule
from udfs.rulebook import LifeSettings, Rule

_TURNING_MS = 12 * MINUTE_MS
"""What is known of closed traces is put away by minutes, which turn at another moment in every
lane, and forgotten by tens of minutes: it may be remembered for so much longer."""

_WINDOWS_BEFORE = 4
"""Two for the beginning of a signal, one for its first member, and one in which a signal of a rule
below may have begun later than its trace."""
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """Event times in ms: traces that began in [from_ms, to_ms) are reported.

    around_ms: how much of the log is read before and after, see `reading_around_ms`. many_ms: how
    much more is read before, see `reading_before_ms`.
    """

    from_ms: int
    to_ms: int
    around_ms: int
    many_ms: int = 0

    def reports(self, begin_ms: int) -> bool:
        """Tell whether a trace that began at a time is reported."""
        return self.from_ms <= begin_ms < self.to_ms

    @property
    def read_from_ms(self) -> int:
        """Time of the first record that is read."""
        return max(self.from_ms - self.around_ms - self.many_ms, 0)

    @property
    def read_to_ms(self) -> int:
        """Time of the first record that is not read any more."""
        return self.to_ms + self.around_ms


def reading_around_ms(settings: Iterable[LifeSettings], rules: Iterable[Rule] = ()) -> int:
    """Return how much must be read around a range so that nothing outside could change it.

    settings: all that were in force there. Before the range, so that a span of an older trace is
    not taken for the first one of a new trace: the engine knows a trace while it lives, and for
    lateness + max_life after it was closed. After it, until the last trace that began inside has
    been closed and no late span can reach it.
    """
    rules = tuple(rules)
    windows_ms = max((rule.window_ms for rule in rules), default=0)
    settle_ms = max((rule.settle_ms for rule in rules), default=0)
    around_ms = 0
    for each in settings:
        quiet_ms = max(each.settle_ms, each.patience_ms, settle_ms)
        kept_open_ms = each.max_life_ms + windows_ms if windows_ms else 0
        known_ms = each.max_life_ms + each.lateness_ms + quiet_ms + kept_open_ms
        around_ms = max(around_ms, known_ms + _TURNING_MS)
    return around_ms


def reading_before_ms(settings: Iterable[LifeSettings], many: Iterable[ManyRule]) -> int:
    """Return how much more must be read before a range for rules over many traces.

    Whether a moment begins a signal of a `correlate` is told by the moments of one `within` before
    it, and each of those by the members of one more. Its name holds how many signals of the key
    began with the same trace before, which may have come up to its life earlier. An `expect` is
    overdue since the last sighting. Rules over signals need all that for those signals as well.
    """
    rules = {rule.id: rule for rule in many}
    lives_ms = max((each.max_life_ms + each.lateness_ms for each in settings), default=0)

    def before_ms(rule: ManyRule, above: frozenset[str] = frozenset()) -> int:
        if isinstance(rule.rule, ExpectRule):
            return -(-rule.rule.plan.every_ns // _NS_PER_MS)
        assert isinstance(rule.rule, CorrelateRule)
        within_ms = -(-rule.rule.plan.within_ns // _NS_PER_MS)
        below = (rules[one] for one in rule.looks_at & rules.keys() - above - {rule.id})
        deepest_ms = max((before_ms(one, above | {rule.id}) for one in below), default=0)
        return _WINDOWS_BEFORE * within_ms + lives_ms + deepest_ms

    return max((before_ms(rule) for rule in rules.values()), default=0)
