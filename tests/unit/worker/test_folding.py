"""Batches of signal records, decoded and put into rounds."""

from __future__ import annotations

from itertools import permutations

import pytest

from api.worker.folding import fold, is_tenant, storable, was_violated
from tests.integration.worker.world import (
    INCONCLUSIVE,
    OTHER_TENANT,
    SATISFIED,
    VIOLATED,
    Told,
    a_fold,
    a_signal,
    told,
)
from udfs.wire import betrace_pb2 as wire

FIRST = a_signal(1)
SECOND = a_signal(1, at_ms=1, verdict=SATISFIED, was=VIOLATED)
OTHER = a_signal(2)


def test_each_revision_of_a_signal_has_a_round_of_its_own() -> None:
    folded = fold(told(FIRST, OTHER, SECOND))
    assert sorted((place, s.id, s.revision) for place, s in folded.signals) == sorted(
        [(0, FIRST.id, FIRST.revision), (0, OTHER.id, OTHER.revision),
         (1, SECOND.id, SECOND.revision)]
    )  # fmt: skip
    assert folded.rounds == 2


def test_the_outcome_does_not_depend_on_order_or_repetition() -> None:
    expected = fold(told(FIRST, SECOND, OTHER))
    for order in permutations((FIRST, SECOND, OTHER, FIRST)):
        assert fold(told(*order)) == expected


def test_rounds_are_sorted_so_that_replicas_lock_in_the_same_order() -> None:
    signals = [a_signal(n, tenant=t) for n in range(9) for t in (OTHER_TENANT, FIRST.tenant)]
    keys = [(place, s.tenant, s.id) for place, s in fold(told(*signals)).signals]
    assert keys == sorted(keys)


def test_an_empty_batch_has_no_rounds() -> None:
    assert fold([]).rounds == 0


@pytest.mark.parametrize(
    ("value", "code", "detail"),
    [
        (None, "signal.empty", "no value"),
        (b"\xff", "signal.malformed", ""),
        (a_signal(id=b"short").SerializeToString(), "signal.invalid", "id has 5 bytes"),
        (a_signal(trace_id=b"").SerializeToString(), "signal.invalid", "trace_id has 0 bytes"),
        (a_signal(tenant="ACME").SerializeToString(), "signal.invalid", "tenant"),
        (a_signal(severity="dire").SerializeToString(), "signal.invalid", "severity 'dire'"),
        (a_signal(verdict=0).SerializeToString(), "signal.invalid", "verdict 0"),
        (a_signal(rule_id="a\0b").SerializeToString(), "signal.invalid", "rule_id"),
        (a_signal(revision=2**63).SerializeToString(), "signal.invalid", "revision"),
        (a_signal(judged_ms=-1).SerializeToString(), "signal.invalid", "judged_ms is -1"),
        (a_signal(judged_ms=2**60).SerializeToString(), "signal.invalid", "judged_ms"),
        (a_signal(span_count=2**31).SerializeToString(), "signal.invalid", "span_count"),
    ],
)
def test_an_unusable_record_is_poison_and_says_why(
    value: bytes | None, code: str, detail: str
) -> None:
    [poison] = fold([Told(value)]).poison
    assert poison.code == code
    assert detail in poison.detail


def test_of_what_was_folded_in_a_minute_and_lane_the_newest_totals_are_kept() -> None:
    older, newer, lane, minute = a_fold(tick=2), a_fold(), a_fold(lane=4), a_fold(minute=1)
    for order in permutations((older, newer, lane, minute)):
        folded = fold(told(*order, FIRST))
        assert folded.storms == (newer, lane, minute)
        assert [signal for _, signal in folded.signals] == [FIRST]


@pytest.mark.parametrize(
    ("storm", "detail"),
    [
        (a_fold(trace_id=b"x" * 16), "trace_id has 16 bytes, and must have none"),
        (a_fold(examples=[b"short"]), "an example has no trace id of 16 bytes"),
        (a_fold(lane=2**31), "lane is"),
        (a_fold(raised=2**63), "raised is"),
        (a_fold(examples=[b"x" * 16] * 101), "number of examples is 101"),
        (a_fold(tenant="nobody"), "tenant"),
    ],
)
def test_what_cannot_have_been_folded_is_poison(storm: wire.Signal, detail: str) -> None:
    folded = fold(told(storm))
    assert folded.storms == ()
    assert [(p.code, detail in p.detail) for p in folded.poison] == [("signal.invalid", True)]


def test_poison_does_not_touch_its_neighbours() -> None:
    folded = fold([*told(FIRST), Told(b"\xff"), *told(OTHER)])
    assert (len(folded.signals), len(folded.poison)) == (2, 1)


@pytest.mark.parametrize(
    ("signal", "answer"),
    [
        (a_signal(), True),
        (SECOND, True),
        (a_signal(verdict=INCONCLUSIVE), False),
        (a_signal(verdict=SATISFIED, was=INCONCLUSIVE), False),
    ],
)
def test_a_signal_was_violated_if_it_is_or_replaces_one_that_was(
    signal: wire.Signal, answer: bool
) -> None:
    assert was_violated(signal) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a", True),
        ("3F0C7D0E-0C1B-4C0A-9A55-1F2E3D4C5B6A", False),
        ("3f0c7d0e0c1b4c0a9a551f2e3d4c5b6a", False),
        ("", False),
    ],
)
def test_a_tenant_is_a_uuid_in_its_usual_spelling(text: str, answer: bool) -> None:
    assert is_tenant(text) is answer


def test_what_postgres_cannot_hold_is_replaced() -> None:
    assert storable("a\0b") == "a\ufffdb"
