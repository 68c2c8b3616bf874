"""Laws of the moment of a judgement: windows that are still open, clocks that disagree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dsl import Span, Verdict, check, judge_spans
from dsl.judging import Moment
from tests.property.dsl.generate import rules, traces
from tests.support.naive.world import distinct

PAIRS = 5 * settings().max_examples
SKEW_NS = 1_500_000
SHIFTS_NS = [0, 333_333, -250_001, 700_001]
"""Between any two of them less than SKEW_NS, and never a multiple of what starts differ by."""


@settings(max_examples=PAIRS)
@given(rules(), traces(), st.lists(st.integers(0, 6), min_size=2, max_size=2).map(sorted))
def test_waiting_for_windows_takes_no_verdict_back(
    text: str, trace: list[Span], moments_ms: list[int]
) -> None:
    rule = check(text).rule
    assert rule is not None
    moments = [Moment(now_ns=ms * 1_000_000) for ms in moments_ms]
    verdicts = [judge_spans(rule, trace, moment=moment).verdict for moment in moments]
    verdicts.append(judge_spans(rule, trace).verdict)
    for earlier, later in itertools.pairwise(verdicts):
        assert earlier in (Verdict.INCONCLUSIVE, later)


@settings(max_examples=PAIRS)
@given(rules(), traces(), st.lists(st.sampled_from(SHIFTS_NS), min_size=4, max_size=4))
def test_clocks_that_disagree_by_less_than_the_skew_change_no_verdict(
    text: str, trace: list[Span], shifts_ns: list[int]
) -> None:
    assume("trace." not in text)  # the whole trace is as long as its clocks say
    rule = check(text).rule
    assert rule is not None
    spans = distinct(trace)
    judged = judge_spans(rule, spans, moment=Moment(clock_skew_ns=SKEW_NS)).verdict
    clocks = dict(zip(["", "x", "7", "abc"], shifts_ns, strict=True))
    moved = [
        replace(one, start_ns=one.start_ns + shift, end_ns=one.end_ns + shift)
        for one in spans
        for shift in [clocks[one.service]]
    ]
    # Of two equal starts the ancestor is first whatever the clocks say; moved, it might not be.
    assume(not any(_goes_ahead(spans, moved, at, of) for at, of in _ancestors(spans)))
    assert judged in (Verdict.INCONCLUSIVE, judge_spans(rule, moved).verdict)


def _ancestors(spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Yield the places of every span and of each of its ancestors. Ids may be shared."""
    for at, span in enumerate(spans):
        wanted, known = {span.parent_span_id} - {b""}, set[bytes]()
        while wanted:
            known |= wanted
            found = [place for place, one in enumerate(spans) if one.span_id in wanted]
            yield from ((at, place) for place in found)
            wanted = {spans[place].parent_span_id for place in found} - known - {b""}


def _goes_ahead(spans: Sequence[Span], moved: Sequence[Span], at: int, of: int) -> bool:
    """Tell whether a span that started with another one is moved before it."""
    together = spans[at].start_ns == spans[of].start_ns
    return together and moved[at].start_ns < moved[of].start_ns
