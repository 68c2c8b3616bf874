"""Laws of the stages of rules over many traces: neither delivery, restarts nor repetitions show.

What is said (by whom, when, which) is fixed; in which order it is delivered, how far time goes
between, what is delivered again and when a lane is restored is not. In the end stands what brute
force finds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import CorrelateRule, ExpectRule, check
from dsl.many.members import Member
from tests.property.dsl.test_many_laws import WITHIN_NS, havings, members
from tests.support import naive_many
from tests.support.engine import TENANT, RulesLog, signals
from tests.support.many import ManyStages
from udfs.contributions import (
    MANY_SPANS,
    Contribution,
    Item,
    Joined,
    Seen,
    lane_of_key,
    pack_contribution,
    pack_items,
)
from udfs.life import Output
from udfs.many_lane import STEP_MS
from udfs.wire import betrace_pb2 as wire

END_MS = 30_000
LATENESS_MS = 60_000
TRACES = {"t1": "a1" * 16, "t2": "a2" * 16, "t3": "a3" * 16}


@dataclass(frozen=True)
class Said:
    """One element: the lane that it is for, and what is in it."""

    lane: int
    judged_ms: int
    element: bytes


def said(contributions: Sequence[tuple[int, Contribution]], keys: Sequence[str]) -> list[Said]:
    """Return elements of one source, in the order in which it says them."""
    found = []
    for nth, ((judged_ms, one), key) in enumerate(zip(contributions, keys, strict=True)):
        item = Item(judged_ms, 3, nth, pack_contribution(one))
        lane = lane_of_key(TENANT, "many", (key,))
        found.append(Said(lane, judged_ms, pack_items([item], source=3)))
    return found


def rules(text: str) -> RulesLog:
    log = RulesLog()
    log.settings(max_life_ms=LATENESS_MS, lateness_ms=LATENESS_MS)
    log.rule("many", text)
    return log


def straight(log: RulesLog, elements: Sequence[Said]) -> list[Output]:
    """Deliver everything, then let time pass at once."""
    stages = ManyStages(log.book())
    stages.wake(time_ms=0)
    for one in elements:
        stages.say(MANY_SPANS, one.lane, one.element)
    return stages.advance([], END_MS)


def crooked(log: RulesLog, elements: Sequence[Said], chance: random.Random) -> list[Output]:
    """Deliver in any order that watermarks allow, some twice, with restarts between."""
    stages = ManyStages(log.book())
    stages.wake(time_ms=0)
    outputs: list[Output] = []
    left = list(elements)
    watermark_ms = 0
    while watermark_ms < END_MS:
        watermark_ms = min(END_MS, watermark_ms + chance.choice((1, 499, 500, 2_000, 7_001)))
        due = [one for one in left if one.judged_ms <= watermark_ms or chance.random() < 0.2]
        # A source is heard in the order in which it speaks; lanes apart from each other.
        due = [one for one in left if any(o.lane == one.lane and _not_before(o, one) for o in due)]
        left = [one for one in left if one not in due]
        for lane in sorted({one.lane for one in due}, key=lambda _: chance.random()):
            for one in (one for one in due if one.lane == lane):
                stages.say(MANY_SPANS, one.lane, one.element)
        if chance.random() < 0.4:
            stages.restart(log.book())
            for lane in {one.lane for one in elements} if chance.random() < 0.5 else ():
                again = [one for one in elements if one.lane == lane and one not in left]
                for one in again:
                    stages.say(MANY_SPANS, one.lane, one.element)
        outputs += stages.advance([], watermark_ms)
    return outputs


def _not_before(later: Said, one: Said) -> bool:
    return one.judged_ms <= later.judged_ms


def distinct(outputs: Sequence[Output]) -> set[tuple[bytes, bytes]]:
    return {(one.key, one.value) for one in outputs if one.topic == "signals"}


def latest(outputs: Sequence[Output]) -> list[wire.Signal]:
    found: dict[bytes, wire.Signal] = {}
    for signal in signals(outputs):
        if signal.id not in found or found[signal.id].revision < signal.revision:
            found[signal.id] = signal
    return list(found.values())


@st.composite
def correlated(draw: st.DrawFn) -> tuple[str, CorrelateRule, list[tuple[int, Member]]]:
    text = f"correlate {{ x }} by k within {WITHIN_NS}ns having {draw(havings())}"
    rule = check(text).rule
    assert isinstance(rule, CorrelateRule)
    found = []
    for member in draw(members(rule.plan)):
        if None not in member.keys:
            number = int(member.id[1:])
            plain = replace(member, id=f"{number:032x}", trace_id=TRACES[member.trace_id])
            found.append((draw(st.integers(0, END_MS - 2 * STEP_MS)), plain))
    return text, rule, sorted(found, key=lambda pair: pair[0])


@settings(max_examples=150, deadline=None)
@given(correlated(), st.integers(0, 2**32))
def test_a_correlate_in_lanes_is_brute_force_whatever_happens(
    given_: tuple[str, CorrelateRule, list[tuple[int, Member]]], seed: int
) -> None:
    text, rule, found = given_
    spoken = [(at, Joined(TENANT, "many", 1, member)) for at, member in found]
    keys = [str(member.keys[0]) for _, member in found]
    log, elements = rules(text), said(spoken, keys)
    outputs = straight(log, elements)
    standing = {
        (one.correlated.key[0].value, one.correlated.since_ns, one.correlated.last_ns,
         one.correlated.count)
        for one in latest(outputs)
        if one.verdict == wire.VERDICT_VIOLATED
    }  # fmt: skip
    assert standing == {
        (key[0], since_ns, last_ns, count)
        for key, _, _, since_ns, last_ns, count in naive_many.signals(
            rule.plan, [member for _, member in found]
        )
    }
    assert distinct(crooked(log, elements, random.Random(seed))) == distinct(outputs)


@st.composite
def seen(draw: st.DrawFn) -> list[tuple[int, Seen]]:
    found = []
    for _ in range(draw(st.integers(0, 12))):
        time_ms = draw(st.integers(0, 20)) * 1_000
        judged_ms = time_ms + draw(st.sampled_from((0, 0, 1, 400, 6_000)))
        key = draw(st.sampled_from("ab"))
        trace_id = draw(st.sampled_from(sorted(TRACES.values())))
        sighting = Seen(TENANT, "many", 1, key, time_ms * 1_000_000, trace_id, doubtful=False)
        found.append((judged_ms, sighting))
    return sorted(found, key=lambda pair: pair[0])


@settings(max_examples=150, deadline=None)
@given(seen(), st.booleans(), st.integers(0, 2**32))
def test_an_expect_in_lanes_is_brute_force_whatever_happens(
    found: list[tuple[int, Seen]], listed: bool, seed: int
) -> None:
    text = "expect { x } every 3s by k" + (" in [a, b]" if listed else "")
    rule = check(text).rule
    assert isinstance(rule, ExpectRule)
    log, elements = rules(text), said(found, [one.key for _, one in found])
    outputs = straight(log, elements)
    told = {
        (one.overdue.key[0].value, one.overdue.last_seen_ns, one.overdue.until_ns or None,
         one.overdue.ended)
        for one in latest(outputs)
        if one.overdue.ended != "withdrawn"
    }  # fmt: skip
    expected = set()
    for key in "ab":
        times = [one.time_ns for _, one in found if one.key == key]
        gaps = naive_many.gaps(
            [0, *times] if listed else times,
            every_ns=3_000_000_000,
            watermark_ns=END_MS * 1_000_000,
            forget_ns=None if listed else 21_000_000_000,
        )
        expected |= {(key, *gap) for gap in gaps}
    assert told == expected
    assert distinct(crooked(log, elements, random.Random(seed))) == distinct(outputs)
