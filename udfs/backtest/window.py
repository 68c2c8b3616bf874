"""Which records a backtest reads, and which traces it reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from udfs.accounts import MINUTE_MS
from udfs.rulebook import LifeSettings, Rule

_TURNING_MS = 12 * MINUTE_MS
"""What is known of closed traces is put away by minutes, which turn at another moment in every
lane, and forgotten by tens of minutes: it may be remembered for so much longer."""


@dataclass(frozen=True, slots=True)
class Window:
    """Event times in ms: traces that began in [from_ms, to_ms) are reported.

    around_ms: how much of the log is read before and after, see `reading_around_ms`.
    """

    from_ms: int
    to_ms: int
    around_ms: int

    def reports(self, begin_ms: int) -> bool:
        """Tell whether a trace that began at a time is reported."""
        return self.from_ms <= begin_ms < self.to_ms

    @property
    def read_from_ms(self) -> int:
        """Time of the first record that is read."""
        return max(self.from_ms - self.around_ms, 0)

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
