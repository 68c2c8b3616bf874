"""Token buckets: bursts, refill, debt, and that refusals cost nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.limits.buckets import Ask, LocalBuckets, Quota

PER_MIN = Quota(1_000, 60)


def ask(cost: float = 1, *, whose: str = "a", quota: Quota = PER_MIN) -> Ask:
    return Ask("tenant", whose, quota, cost)


def granted(buckets: LocalBuckets, count: int, *, now_s: float, whose: str = "a") -> int:
    """Return how many of so many asks of one are granted."""
    asks = [ask(whose=whose)]
    return sum(buckets.take(asks, now_s=now_s).granted for _ in range(count))


def test_the_1001st_request_of_a_moment_is_refused_and_told_when_to_come() -> None:
    buckets = LocalBuckets()
    assert granted(buckets, 1_000, now_s=5) == 1_000
    refused = buckets.take([ask()], now_s=5)
    assert (refused.granted, refused.levels[0].units) == (False, 0)
    assert refused.wait_s == pytest.approx(0.06)
    assert buckets.take([ask()], now_s=5 + refused.wait_s).granted


def test_six_seconds_gain_a_tenth_of_a_minute() -> None:
    buckets = LocalBuckets()
    granted(buckets, 1_000, now_s=0)
    assert granted(buckets, 1_000, now_s=6) == 100


def test_a_bucket_that_rests_holds_no_more_than_it_can() -> None:
    buckets = LocalBuckets()
    granted(buckets, 1, now_s=0)
    assert granted(buckets, 2_000, now_s=1e9) == 1_000


def test_one_who_is_over_the_limit_does_not_hold_up_another() -> None:
    buckets = LocalBuckets()
    granted(buckets, 1_001, now_s=0)
    assert granted(buckets, 1_000, now_s=0, whose="b") == 1_000


def test_what_one_bucket_refuses_costs_nothing_in_the_other() -> None:
    buckets = LocalBuckets()
    tenant, person = ask(), Ask("person", "p", Quota(2, 60))
    answers = [buckets.take([tenant, person], now_s=0) for _ in range(5)]
    assert [answer.granted for answer in answers] == [True, True, False, False, False]
    assert [level.units for level in answers[-1].levels] == [998, 0]
    assert answers[-1].wait_s == pytest.approx(30)


def test_what_costs_more_than_the_quota_is_granted_to_a_full_bucket() -> None:
    buckets = LocalBuckets()
    assert buckets.take([ask(5_000)], now_s=0).granted
    assert buckets.take([ask()], now_s=0).wait_s == pytest.approx(0.06)


def test_what_was_used_already_becomes_debt() -> None:
    buckets, quota = LocalBuckets(), Quota(200, 2)
    buckets.charge([ask(500, quota=quota)], now_s=0)
    waits = [buckets.peek([ask(quota=quota)], now_s=now_s).wait_s for now_s in (0, 3, 3.02)]
    assert waits == [pytest.approx(3.01), pytest.approx(0.01), 0]


def test_only_the_buckets_used_last_are_kept() -> None:
    buckets = LocalBuckets(capacity=2)
    for whose in "abc":
        buckets.charge([ask(1_000, whose=whose)], now_s=0)
    refused = [not buckets.peek([ask(whose=whose)], now_s=0).granted for whose in "abc"]
    assert refused == [False, True, True]


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from([1, 2, 5, 50])), min_size=1, max_size=200),
    st.sampled_from([Quota(10, 1), Quota(100, 60), Quota(7, 3)]),
)
def test_no_stretch_of_time_sees_more_than_a_full_bucket_and_what_it_gains(
    steps: list[tuple[float, int]], quota: Quota
) -> None:
    buckets, now_s, taken = LocalBuckets(), 0.0, []
    for pause_s, cost in steps:
        now_s += pause_s
        if buckets.take([ask(cost, quota=quota)], now_s=now_s).granted:
            taken.append((now_s, min(cost, quota.units)))
    for first, (begin_s, _) in enumerate(taken):
        total = 0.0
        for at_s, cost in taken[first:]:
            total += cost
            gained = (at_s - begin_s) * quota.units / quota.window_s
            assert total <= quota.units + gained + 1e-3
