"""A `correlate` goes on from what it has, for long; one that begins anew at every step agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check
from dsl.many.correlation import Correlation, Limits
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan
from dsl.many.rule import CorrelateRule
from dsl.many.snapshot import correlation_of, correlation_snapshot

HAVINGS = (
    "count >= 3",
    "distinct(v) >= 2 and count < 9",
    "sum(v) > 10",
    "not (avg(v) < 3)",
    "p95(v) >= 4 or count == 1",
)
STEP_NS = 5
STEPS = 80
LATE_NS = 60
LIFE_NS = 100


def a_plan(random: Random) -> CorrelatePlan:
    within_ns = random.choice((5, 20, 60))
    having = random.choice(HAVINGS)
    rule = check(f"correlate {{ x }} by k within {within_ns}ns having {having}").rule
    assert isinstance(rule, CorrelateRule)
    return rule.plan


def arrivals(random: Random, plan: CorrelatePlan) -> Iterator[tuple[int, list[Member]]]:
    """Yield what comes at each step: members in time and late, doubtful, revised, withdrawn."""
    sent: list[Member] = []
    for now_ns in range(0, STEPS * STEP_NS, STEP_NS):
        came = []
        for _ in range(random.choice((0, 1, 1, 3))):
            if sent and random.random() < 0.3:
                at = random.randrange(max(0, len(sent) - 8), len(sent))
                withdrawn = random.random() < 0.6
                sent[at] = replace(sent[at], revision=sent[at].revision + 1, withdrawn=withdrawn)
                came.append(sent[at])
                continue
            late_ns = random.randrange(LATE_NS) if random.random() < 0.5 else 0
            trace = f"t{now_ns // LIFE_NS}-{random.randrange(6)}"
            values = tuple(random.choice((None, 1, 2, 5, "3", "text")) for _ in plan.fields)
            doubtful = random.random() < 0.1
            key = (random.choice("ab"),)
            member = Member(f"m{len(sent)}", now_ns - late_ns, trace, key, values)
            sent.append(replace(member, doubtful=doubtful))
            came.append(sent[-1])
        yield now_ns, came


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_going_on_and_beginning_anew_tell_the_same(seed: int, sampled: bool) -> None:
    random = Random(seed)
    plan = a_plan(random)
    limits = Limits(lateness_ns=2 * LIFE_NS, sampled=sampled)
    going_on, anew = Correlation(plan, limits), Correlation(plan, limits)
    for now_ns, members in arrivals(random, plan):
        anew = correlation_of(plan, limits, json.loads(json.dumps(correlation_snapshot(anew))))
        for state in (going_on, anew):
            for member in members:
                state.add(member)
            state.advance(now_ns)
        assert going_on.collect() == anew.collect()
    for now_ns in range(STEPS * STEP_NS, STEPS * STEP_NS + 10 * LIFE_NS, LIFE_NS // 4):
        going_on.advance(now_ns)
        anew.advance(now_ns)
        assert going_on.collect() == anew.collect()
    assert going_on.keys == {}
