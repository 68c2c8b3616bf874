"""How long things are kept: the tier, the operator, the tenant's people."""

from __future__ import annotations

from typing import Any

import pytest

from api.retention.terms import LEAST, Kind, Term, choices_of, kept, refusals, terms_of

TIER: dict[str, Any] = {
    kind: {"days": 90, "least": LEAST[kind], "most": 365} for kind in Kind if kind is not Kind.AUDIT
} | {"audit": {"days": 400, "least": 30, "most": None}}


def test_what_nobody_chose_is_kept_as_the_tier_says() -> None:
    times = kept(terms_of(TIER, {}), {})
    assert {kind: (each.days, each.chosen) for kind, each in times.items()} == {
        **dict.fromkeys(Kind, (90, False)),
        Kind.AUDIT: (400, False),
    }


def test_a_choice_counts_for_its_kind_alone() -> None:
    times = kept(terms_of(TIER, {}), {Kind.SIGNALS: 7, Kind.AUDIT: None})
    assert (times[Kind.SIGNALS].days, times[Kind.SIGNALS].chosen) == (7, True)
    assert (times[Kind.AUDIT].days, times[Kind.AUDIT].chosen) == (None, True)
    assert (times[Kind.LETTERS].days, times[Kind.LETTERS].chosen) == (90, False)


@pytest.mark.parametrize(("chosen", "days"), [(7, 30), (30, 30), (45, 45), (365, 60), (None, 60)])
def test_narrower_bounds_hold_for_what_was_chosen_before(chosen: int | None, days: int) -> None:
    bounds = {"signals": {"days": 30, "least": 30, "most": 60}}
    times = kept(terms_of(TIER, bounds), {Kind.SIGNALS: chosen})
    assert times[Kind.SIGNALS].days == days


def test_what_is_not_allowed_is_refused_with_the_bounds() -> None:
    wrong = refusals(
        terms_of(TIER, {}), {Kind.SIGNALS: 366, Kind.LETTERS: None, Kind.AUDIT: 29, Kind.USAGE: 90}
    )
    assert wrong == {
        Kind.SIGNALS: "366 days is outside of what is allowed: 1 to 365 days",
        Kind.LETTERS: "forever is outside of what is allowed: 1 to 365 days",
        Kind.AUDIT: "29 days is outside of what is allowed: 30 days or more",
    }


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.SIGNALS, {"days": 5, "least": 0, "most": 9}),
        (Kind.SIGNALS, {"days": 5, "least": 6, "most": 9}),
        (Kind.SIGNALS, {"days": None, "least": 1, "most": 9}),
        (Kind.SIGNALS, {"days": 5, "least": 5, "most": 4}),
        (Kind.SIGNALS, {"days": 5, "least": 1, "most": 36_501}),
        (Kind.AUDIT, {"days": 40, "least": 29, "most": None}),
        (Kind.ACCOUNTS, {"days": 40, "least": 34, "most": None}),
    ],
)
def test_terms_that_cannot_be_are_refused(kind: Kind, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="day"):
        Term.from_dict(kind, values)


def test_a_term_is_read_as_it_was_written() -> None:
    term = Term(None, 7, None)
    assert Term.from_dict(Kind.SIGNALS, term.to_dict()) == term


def test_choices_of_a_kind_that_is_not_known_are_passed_over() -> None:
    assert choices_of({"signals": 3, "moods": 9}) == {Kind.SIGNALS: 3}
