"""What pages say of signals that have no trace."""

from __future__ import annotations

import pytest

from api.web.views.many import contributors, many_marks, many_summary, many_title
from api.worker.many import seen_of
from tests.support.many_signals import correlated, overdue, seen_again


def test_a_correlate_is_called_by_its_key_and_count() -> None:
    seen = seen_of(correlated())
    assert (many_title(seen), many_summary(seen)) == ("user.id = u1", "2 within 10 min")


def test_an_expect_is_called_by_its_key_and_gap() -> None:
    assert many_title(seen_of(overdue())) == "service = billing"
    assert many_summary(seen_of(overdue())) == "not seen for more than 24 h"
    assert many_summary(seen_of(seen_again())) == "not seen for 48 h"


def test_one_key_for_all_is_said_in_words() -> None:
    assert many_title({**seen_of(overdue()), "key": {}}) == "the whole tenant"


@pytest.mark.parametrize(
    ("changes", "taken_back", "marks"),
    [
        ({}, False, ()),
        ({"ended": "sighted"}, True, ("Seen again",)),
        ({"ended": "forgotten"}, True, ("Forgotten",)),
        ({"ended": "withdrawn"}, True, ("Withdrawn",)),
    ],
)
def test_how_an_expect_ended_stands_beside_it(
    changes: dict[str, str], taken_back: bool, marks: tuple[str, ...]
) -> None:
    assert many_marks({**seen_of(overdue()), **changes}, taken_back=taken_back) == marks


def test_members_lead_to_signals_and_traces_that_are_kept() -> None:
    seen = seen_of(correlated())
    hrefs = [row.href for row in contributors(seen, known={"08" * 16, "09" * 16}).rows]
    assert hrefs == [f"/signals/{'09' * 16}", f"/traces/{'08' * 16}"]
    assert [row.href for row in contributors(seen, known=()).rows] == ["", ""]


def test_members_that_are_not_listed_are_counted() -> None:
    assert contributors({**seen_of(correlated()), "count": 50}, known=()).left_out == 48
