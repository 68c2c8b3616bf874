"""What one set of rules says of the traces of a range: the last word of each rule.

Two things tell it: the signals, which may be raised before a trace is closed, and the journal of
closings, which holds the verdicts of rules that never raised one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        self._signals: dict[bytes, dict[str, wire.Signal]] = {}
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
        of_trace = self._signals.setdefault(signal.trace_id, {})
        known = of_trace.get(signal.rule_id)
        if known is None or signal.revision > known.revision:
            of_trace[signal.rule_id] = signal
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

    def said(self, trace_id: bytes) -> Mapping[str, Outcome]:
        """Return the last words about a trace, by rule id; of other rules see `unsaid`.

        Whoever has raised a signal says every change of mind by the next one.
        """
        words: dict[str, Outcome] = {}
        closing = self._closings.get(trace_id)
        if closing is not None:
            words = dict.fromkeys(closing.waiting, STILL_OPEN)
            for rule_id, judgement in closing.judged:
                words[rule_id] = _of_judgement(judgement, closing.closed_ms)
        for rule_id, signal in self._signals.get(trace_id, {}).items():
            words[rule_id] = outcome_of_signal(signal)
        return words

    def unsaid(self, trace_id: bytes) -> Outcome:
        """Return what holds of a trace for the rules that said nothing about it."""
        if trace_id in self._seen and trace_id not in self._closings:
            return STILL_OPEN
        return NOT_APPLICABLE


def _of_judgement(judgement: Judgement, judged_ms: int) -> Outcome:
    return Outcome(
        verdict=judgement.verdict,
        broken=judgement.broken,
        reasons=tuple(reason.value for reason in judgement.reasons),
        judged_ms=judged_ms,
    )


def outcome_of_signal(signal: wire.Signal) -> Outcome:
    """Return what a signal says."""
    return Outcome(
        verdict=_VERDICT_OF[signal.verdict],
        broken=signal.broken_clause,
        reasons=tuple(signal.reasons),
        incomplete=signal.incomplete,
        judged_ms=signal.judged_ms,
        signal_id=signal.id,
        revision=signal.revision,
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
