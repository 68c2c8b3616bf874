"""The accounts of one tenant in one lane, and whether they add up."""

from __future__ import annotations

import pytest

from dsl import Verdict
from udfs.accounts import MINUTE_MS, TICK_MS, TOLD_EVERY_TICK, Accounts, adds_up, late_by
from udfs.wire import betrace_pb2 as wire

TENANT = "3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"


def message(ticked: tuple[bytes, bytes] | None) -> wire.Stats:
    assert ticked is not None
    return wire.Stats.FromString(ticked[1])


def test_each_minute_says_what_was_open_before() -> None:
    accounts = Accounts(lane=3, tenant=TENANT, open_before=0)
    accounts.count("received", 5)
    first = message(accounts.tick(TICK_MS, open_spans=5))
    accounts.count("judged", 2)
    second = message(accounts.tick(MINUTE_MS, open_spans=3))
    accounts.count("judged", 3)
    restored = Accounts(lane=3, tenant=TENANT)
    restored.restore(accounts.pack())
    third = message(restored.tick(MINUTE_MS + TICK_MS, open_spans=0))
    assert [
        (s.minute_ms, s.open_before, dict(s.counts), s.open) for s in (first, second, third)
    ] == [
        (0, 0, {"received": 5}, 5),
        (0, 0, {"received": 5, "judged": 2}, 3),
        (MINUTE_MS, 3, {"judged": 3}, 0),
    ]


def test_a_minute_that_an_older_build_began_is_not_checked_and_the_next_one_is() -> None:
    older = wire.Stats(lane=3, tenant=TENANT, counts={"received": 9, "late": 1})
    accounts = Accounts(lane=3, tenant=TENANT, open_before=0)
    accounts.restore(b"\x01" + older.SerializeToString())
    begun = message(accounts.tick(MINUTE_MS, open_spans=7))
    assert (begun.HasField("open"), adds_up(begun)) == (False, True)
    accounts.count("judged", 7)
    following = message(accounts.tick(2 * MINUTE_MS, open_spans=0))
    assert (following.open_before, following.open) == (7, 0)


@pytest.mark.parametrize(
    ("counts", "open_before", "open_spans", "expected"),
    [
        ({"received": 9, "judged": 1, "unruled": 1, "truncated": 1, "late": 1}, 0, 5, True),
        ({"received": 3, "over_cap": 1, "too_late": 1, "rejected": 1}, 2, 2, True),
        ({"received": 3, "judged_traces": 1, "signals": 7}, 0, 3, True),
        ({"received": 3, "judged": 2}, 0, 0, False),
        ({"received": 3}, 1, 3, False),
        ({"judged": 1}, 0, 0, False),
    ],
)
def test_accounts_add_up_or_not(
    counts: dict[str, int], open_before: int, open_spans: int, expected: bool
) -> None:
    stats = wire.Stats(counts=counts, open_before=open_before, open=open_spans)
    assert adds_up(stats) is expected


@pytest.mark.parametrize(
    ("lateness_ms", "expected"),
    [
        (0, "late_5s"),
        (5_000, "late_5s"),
        (5_001, "late_10s"),
        (60_000, "late_1m"),
        (7_200_000, "late_2h"),
        (7_200_001, "late_more"),
    ],
)
def test_a_late_span_is_counted_in_the_first_step_that_it_does_not_exceed(
    lateness_ms: int, expected: str
) -> None:
    assert late_by("late", lateness_ms) == expected


def test_a_rule_is_told_of_again_only_when_it_has_grown_and_then_as_a_total() -> None:
    accounts = Accounts(lane=3, tenant=TENANT, open_before=0)
    accounts.count_verdict(("often", 1), Verdict.SATISFIED)
    accounts.count_verdict(("once", 2), Verdict.VIOLATED)
    assert told(accounts.tick(TICK_MS)) == {"often": (0, 1), "once": (1, 0)}
    accounts.count_verdict(("often", 1), Verdict.SATISFIED)
    restored = Accounts(lane=3, tenant=TENANT)
    restored.restore(accounts.pack())
    assert restored.pack() == accounts.pack()
    expected = {"often": (0, 2)}
    assert told(accounts.tick(2 * TICK_MS)) == told(restored.tick(2 * TICK_MS)) == expected
    accounts.count("received")
    assert told(accounts.tick(MINUTE_MS)) == {}
    accounts.count_verdict(("once", 2), Verdict.VIOLATED)
    assert told(accounts.tick(MINUTE_MS + TICK_MS)) == {"once": (1, 0)}


def test_of_very_many_rules_those_told_of_already_wait_for_the_end_of_the_minute() -> None:
    accounts = Accounts(lane=3, tenant=TENANT, open_before=0)
    many = [(f"rule-{number:03}", 1) for number in range(TOLD_EVERY_TICK + 1)]
    for key in many:
        accounts.count_verdict(key, Verdict.SATISFIED)
    assert told(accounts.tick(TICK_MS)) == dict.fromkeys((rule for rule, _ in many), (0, 1))
    for key in [*many, ("new", 1)]:
        accounts.count_verdict(key, Verdict.SATISFIED)
    assert told(accounts.tick(2 * TICK_MS)) == {"new": (0, 1)}
    restored = Accounts(lane=3, tenant=TENANT)
    restored.restore(accounts.pack())
    assert restored.pack() == accounts.pack()
    expected = dict.fromkeys((rule for rule, _ in many), (0, 2))
    assert told(accounts.tick(MINUTE_MS)) == told(restored.tick(MINUTE_MS)) == expected
    assert accounts.tick(MINUTE_MS + TICK_MS) is None


def told(ticked: tuple[bytes, bytes] | None) -> dict[str, tuple[int, int]]:
    """Return what is said of rules: how often violated, and satisfied."""
    return {rule.rule_id: (rule.violated, rule.satisfied) for rule in message(ticked).rules}
