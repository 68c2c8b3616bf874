"""An index names exactly the predicates whose condition a value fulfils."""

from __future__ import annotations

import pytest

import dsl
from udfs.predicate_index import Asked, Filed, KeyIndex, condition_to_file_under

FILTERS = (
    'k == "a"',
    "k == 7",
    "k == true",
    "k > 3",
    "k <= 7",
    'k starts_with "a"',
    'k starts_with "/vault/1"',
    'k starts_with "/vault/1/"',
    "k starts_with 7",
    'k starts_with "tr"',
    'k starts_with ""',
    'k in [a, "ab", c]',
    'k in [7, "7.0", true]',
    'k in ["true", a]',
    'k contains "vault"',
    "k > 3 and j < 2",
    'k == "a" and j == 2',
    "k == 7 and j == 1 and j < 3",
    "k >= j and j > 0",
)
VALUES = (
    *("a", "ab", "c", "", "7", "7.0", "true", "/vault/1", "/vault/1/x", "/vault/12"),
    *(7, 7.0, 3, 70, True, False, float("nan"), ["a", "7"]),
)


def predicate(condition: str) -> dsl.SpanPredicate:
    rule = dsl.check(f"when {{ x.where({condition}) }} always {{ y }}").promise
    assert rule is not None
    return rule.predicates[0]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_finds_the_predicates_that_it_fulfils_and_no_other_is_decided(
    value: dsl.Value,
) -> None:
    filed = []
    expected = 0
    span = dsl.Span(span_id=bytes(8), name="x", attributes={"k": value, "j": 1})
    for number, condition in enumerate(FILTERS):
        one = predicate(condition)
        needed = condition_to_file_under(one)
        assert needed is not None
        expected |= (one.test(span) is True) << number
        decided = one.exact and len(one.necessary) == 1
        asked = Asked(1 << number, number, 0, one.test, decided)
        filed.append(Filed(needed, asked, one.without(needed)))
    found = KeyIndex(filed).find(value)
    tested = sum(one.bit for one in found.ask if one.test(span))
    assert found.mask | tested == expected
    assert len({one.number for one in found.ask}) == len(found.ask)
    assert all(not found.mask & one.bit for one in found.ask)
