"""What one set of rules says of the traces of a range: the last word of each rule.

Two things tell it: the signals, which may be raised before a trace is closed, and the journal of
closings, which holds the verdicts of rules that never raised one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dsl import Judgement, Verdict
from udfs.backtest.window import Window
from udfs.journal import Closing
from udfs.wire import betrace_pb2 as wire

OPEN = "open"
"""In place of a verdict: the log ends before the trace, or a window of the rule, is over."""

_VERDICT_OF = {
    wire.VERDICT_VIOLATED: Verdict.VIOLATED,
    wire.VERDICT_SATISFIED: Verdict.SATISFIED,
    wire.VERDICT_NOT_APPLICABLE: Verdict.NOT_APPLICABLE,
    wire.VERDICT_INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


class Outcome(NamedTuple):
    """What a rule says of a trace in the end.

    verdict: one of dsl.Verdict, or OPEN. judged_ms: event time, 0 for OPEN. signal_id, revision:
    of the signal, if the rule ever raised one; the same as the job's for the same version.
    """

    verdict: str
    broken: str = ""
    reasons: tuple[str, ...] = ()
    incomplete: bool = False
    judged_ms: int = 0
    signal_id: bytes = b""
    revision: int = 0


NOT_APPLICABLE = Outcome(Verdict.NOT_APPLICABLE)
STILL_OPEN = Outcome(OPEN)


class Seen(NamedTuple):
    """A trace of the range, as it was last seen."""

    trace_id: bytes
    begin_ms: int
    root_name: str
    root_service: str
    span_count: int
    last_ms: int
    first_offset: int
    last_offset: int


class Outcomes:
    """Gathers the statements about the traces that began in a window.

    Traces to which no rule ever applied are counted and not kept.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._closings: dict[bytes, Closing] = {}
        self._signals: dict[tuple[bytes, str], wire.Signal] = {}
        self._seen: dict[bytes, Seen] = {}
        self.trace_count = 0
        """Traces that began in the window."""
        self.open_count = 0
        """Those among them that were never closed."""

    def take_closings(self, closings: Iterable[Closing]) -> None:
        """Take entries of a journal, in order."""
        for closing in closings:
            if not self._window.reports(closing.begin_ms):
                continue
            self.trace_count += closing.first
            if closing.judged or closing.waiting or closing.trace_id in self._seen:
                self._closings[closing.trace_id] = closing
                self._seen[closing.trace_id] = _seen(closing)

    def take_signal(self, value: bytes) -> None:
        """Take a record of the signals topic."""
        signal = wire.Signal.FromString(value)
        if not self._window.reports(signal.first_span_ms):
            return
        key = (signal.trace_id, signal.rule_id)
        known = self._signals.get(key)
        if known is None or signal.revision > known.revision:
            self._signals[key] = signal
        self._seen.setdefault(
            signal.trace_id,
            Seen(
                signal.trace_id,
                signal.first_span_ms,
                signal.root_name,
                signal.root_service,
                signal.span_count,
                signal.last_span_ms,
                signal.first_offset,
                signal.last_offset,
            ),
        )

    def take_unclosed(self, closings: Iterable[Closing]) -> None:
        """Take the traces that were still open when the log ended; they are undecided."""
        for closing in closings:
            if self._window.reports(closing.begin_ms):
                self.trace_count += 1
                self.open_count += 1
                self._seen[closing.trace_id] = _seen(closing)

    def traces(self) -> Iterable[Seen]:
        """Return the traces about which there is something to say."""
        return self._seen.values()

    def of(self, trace_id: bytes, rule_id: str) -> Outcome:
        """Return the last word of a rule about a trace.

        Whoever has raised a signal says every change of mind by the next one.
        """
        signal = self._signals.get((trace_id, rule_id))
        if signal is None:
            return self._as_closed(trace_id, rule_id)
        return Outcome(
            verdict=_VERDICT_OF[signal.verdict],
            broken=signal.broken_clause,
            reasons=tuple(signal.reasons),
            incomplete=signal.incomplete,
            judged_ms=signal.judged_ms,
            signal_id=signal.id,
            revision=signal.revision,
        )

    def _as_closed(self, trace_id: bytes, rule_id: str) -> Outcome:
        closing = self._closings.get(trace_id)
        if closing is None:
            return STILL_OPEN if trace_id in self._seen else NOT_APPLICABLE
        for judged_id, judgement in closing.judged:
            if judged_id == rule_id:
                return _outcome(judgement, closing.closed_ms)
        if rule_id in closing.waiting:
            return STILL_OPEN
        return NOT_APPLICABLE._replace(judged_ms=closing.closed_ms)


def _outcome(judgement: Judgement, judged_ms: int) -> Outcome:
    return Outcome(
        verdict=judgement.verdict,
        broken=judgement.broken,
        reasons=tuple(reason.value for reason in judgement.reasons),
        judged_ms=judged_ms,
    )


def _seen(closing: Closing) -> Seen:
    return Seen(
        closing.trace_id,
        closing.begin_ms,
        closing.root_name,
        closing.root_service,
        closing.span_count,
        closing.last_ms,
        closing.first_offset,
        closing.last_offset,
    )
