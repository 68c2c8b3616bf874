"""How much each detector finds of what it should, and of what it should not: measured, with floors.

The labelled set is made by a seed: 300 texts with something of each kind, and 6,000 of traces that
only look so.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.support import personal_data
from tests.support.redaction import redactor
from udfs.redaction import kinds
from udfs.redaction.counts import Tally

EACH = 300
RECALL_FLOOR = 0.99
PRECISION_FLOOR = 0.98
REDACTOR = redactor()


def found(text: str) -> set[str]:
    """Return the kinds found in a text."""
    tally = Tally()
    REDACTOR._redaction(tally).text(text)
    return set(tally.by_kind)


@pytest.fixture(scope="module")
def figures() -> dict[str, tuple[float, float]]:
    """Kind → (precision, recall)."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for kind in (*personal_data.MAKERS, *personal_data.IN_CONTEXT):
        for number in range(EACH):
            rng = Random(f"{kind} {number}")
            if kind in personal_data.IN_CONTEXT:
                text = rng.choice(personal_data.IN_CONTEXT[kind]).format(
                    personal_data.password(rng)
                )
            else:
                text = rng.choice(personal_data.AROUND).format(personal_data.MAKERS[kind](rng))
            for each in found(text):
                right[each] += each == kind
                wrong[each] += each != kind
    for number in range(200):
        for text in personal_data.look_alikes(Random(number)):
            wrong.update(found(text))
    return {
        kind: (right[kind] / max(1, right[kind] + wrong[kind]), right[kind] / EACH)
        for kind in (*personal_data.MAKERS, *personal_data.IN_CONTEXT)
    }


def test_precision_and_recall_of_each_detector(
    figures: dict[str, tuple[float, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{'detector':<16}{'precision':>10}{'recall':>8}")
        for kind, (precision, recall) in figures.items():
            print(f"{kind:<16}{precision:>10.3f}{recall:>8.3f}")
    low = {
        kind: pair
        for kind, pair in figures.items()
        if pair[0] < PRECISION_FLOOR or pair[1] < RECALL_FLOOR
    }
    assert low == {}


@pytest.mark.parametrize("number", range(30))
def test_what_only_looks_personal_stays(number: int) -> None:
    for text in personal_data.look_alikes(Random(f"stays {number}")):
        assert REDACTOR.text(text) == text


def test_a_card_is_found_though_digits_follow_it() -> None:
    after = REDACTOR.text("4111 1111 1111 1111 123")
    assert after.endswith(" 123")
    assert "1111" not in after


def test_digits_without_a_right_check_digit_are_no_card_and_no_account() -> None:
    for text in ("4111 1111 1111 1112", "DE89 3704 0044 0532 0130 01", "078-00-1120"):
        assert REDACTOR.text(text) == text


def test_addresses_that_belong_to_nobody_stay() -> None:
    for text in ("10.0.0.1", "192.0.2.7", "203.0.113.9:443", "::1", "fe80::1", "255.255.255.0"):
        assert REDACTOR.text(text) == text


def test_overlapping_finds_go_as_one_under_the_heavier_kind() -> None:
    tally = Tally()
    after = REDACTOR._redaction(tally).text("see https://ada:secret77@mail.example.com/x")
    assert after == "see https://[REDACTED]@mail.example.com/x"
    assert tally.by_kind == {kinds.PASSWORD: 1}
