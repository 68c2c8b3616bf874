"""The state of an `expect`: opened, resolved, withdrawn, forgotten, and what it says of itself."""

from __future__ import annotations

from typing import Any

from dsl import ExpectRule, check
from dsl.many.expectation import (
    THE_ONE_KEY,
    Expectation,
    ExpectCounts,
    ExpectLimits,
    Overdue,
    Sighting,
)
from dsl.many.explain import explain_expectation, moment_text
from dsl.verdict import Reason, Verdict


def rule_of(text: str) -> ExpectRule:
    rule = check(text).rule
    assert isinstance(rule, ExpectRule)
    return rule


DAILY = rule_of("expect { backup.run } every 24ns")
KEYED = rule_of("expect { backup.run } every 24ns by service")
LISTED = rule_of("expect { backup.run } every 24ns by service in [crm, web]")


def shown(told: list[Any]) -> list[tuple[Any, ...]]:
    return [(one.identity, one.revision, one.state, one.thing.until_ns) for one in told]


def test_what_is_not_seen_is_overdue_once_event_time_has_passed() -> None:
    state = Expectation(DAILY.plan, 100)
    state.advance(124)
    assert state.collect() == []
    state.advance(125)
    assert shown(state.collect()) == [((THE_ONE_KEY, 100), 1, "open", None)]


def test_nothing_is_overdue_while_event_time_stands_still() -> None:
    state = Expectation(DAILY.plan, 100)
    state.advance(110)
    state.advance(90)
    assert (state.collect(), state.watermark_ns) == ([], 110)


def test_a_signal_resolves_at_the_next_sighting() -> None:
    state = Expectation(DAILY.plan, 100)
    state.advance(130)
    state.collect()
    state.sight(THE_ONE_KEY, 131, trace_id="t1")
    (told,) = state.collect()
    assert (told.revision, told.state) == (2, "over")
    assert told.thing == Overdue(Sighting(100, ""), 124, 131, "sighted", "t1")


def test_a_sighting_that_arrives_late_withdraws_the_signal() -> None:
    state = Expectation(DAILY.plan, 100)
    state.advance(130)
    state.collect()
    state.sight(THE_ONE_KEY, 120)
    assert shown(state.collect()) == [((THE_ONE_KEY, 100), 2, "withdrawn", None)]


def test_a_late_sighting_in_the_middle_of_a_long_gap_moves_it() -> None:
    state = Expectation(DAILY.plan, 100)
    state.advance(200)
    state.collect()
    state.sight(THE_ONE_KEY, 130)
    assert shown(state.collect()) == [
        ((THE_ONE_KEY, 100), 2, "over", 130),
        ((THE_ONE_KEY, 130), 1, "open", None),
    ]


def test_each_listed_key_is_expected_from_activation_on() -> None:
    state = Expectation(LISTED.plan, 0)
    state.sight("crm", 20)
    state.advance(30)
    assert shown(state.collect()) == [(("web", 0), 1, "open", None)]


def test_sightings_before_activation_do_not_count() -> None:
    state = Expectation(DAILY.plan, 100)
    state.sight(THE_ONE_KEY, 99)
    assert state.counts == ExpectCounts(before_activation=1)


def test_what_is_left_out_is_counted() -> None:
    state = Expectation(KEYED.plan, 0, ExpectLimits(lateness_ns=10, max_keys=1))
    state.sight(None, 5)
    state.sight("crm", 5)
    state.sight("web", 5)
    state.advance(30)
    state.sight("crm", 19)
    assert state.counts == ExpectCounts(no_key=1, too_many_keys=1, too_late=1)


def test_a_scheduler_is_told_when_a_key_is_due() -> None:
    state = Expectation(KEYED.plan, 0)
    assert state.due_ns("crm") is None
    state.sight("crm", 7)
    assert state.due_ns("crm") == 31


def test_a_key_is_forgotten_after_a_while_and_the_signal_says_so() -> None:
    state = Expectation(KEYED.plan, 0, ExpectLimits(forget_ns=100, lateness_ns=10))
    state.sight("crm", 0)
    state.advance(101)
    (told,) = state.collect()
    assert (told.state, told.thing.until_ns, told.thing.why) == ("over", 100, "forgotten")
    assert state.due_ns("crm") is None
    state.advance(111)
    assert (state.collect(), state.keys) == ([], {})


def test_a_person_forgets_a_key_until_it_is_seen_again() -> None:
    state = Expectation(LISTED.plan, 0)
    state.sight("crm", 20)
    state.advance(30)
    state.collect()
    state.forget("web", 30)
    assert shown(state.collect()) == [(("web", 0), 2, "over", 30)]
    assert state.due_ns("web") is None
    state.sight("web", 60)
    state.advance(85)
    assert shown(state.collect()) == [
        (("crm", 20), 1, "open", None),
        (("web", 60), 1, "open", None),
    ]


def test_a_key_that_is_forgotten_in_time_was_never_overdue() -> None:
    state = Expectation(LISTED.plan, 0)
    state.forget("web", 10)
    state.sight("crm", 20)
    state.advance(40)
    assert state.collect() == []


def test_forgetting_a_key_that_is_not_known_does_nothing() -> None:
    state = Expectation(KEYED.plan, 0)
    state.forget("crm", 5)
    assert (state.keys, state.collect()) == ({}, [])


def test_for_a_sampled_tenant_absence_is_never_certain() -> None:
    state = Expectation(DAILY.plan, 0, ExpectLimits(sampled=True))
    state.advance(20)
    state.collect()
    assert state.verdict() == (Verdict.SATISFIED, ())
    state.advance(30)
    (told,) = state.collect()
    assert (told.thing.certain, told.thing.reasons) == (False, frozenset({Reason.SAMPLED}))
    assert state.verdict() == (Verdict.INCONCLUSIVE, (Reason.SAMPLED,))


def test_a_sighting_in_doubt_puts_the_gap_around_it_in_doubt() -> None:
    state = Expectation(DAILY.plan, 0)
    state.sight(THE_ONE_KEY, 20, doubtful=True)
    state.advance(30)
    state.collect()
    assert state.verdict() == (Verdict.INCONCLUSIVE, (Reason.REDACTED,))
    state.sight(THE_ONE_KEY, 31)
    state.advance(80)
    state.collect()
    assert state.verdict() == (Verdict.VIOLATED, ())


# -- explanations ----------------------------------------------------------------------------------


def test_an_explanation_tells_what_is_missing_and_since_when() -> None:
    state = Expectation(KEYED.plan, 0)
    state.sight("crm", 7, trace_id="t1")
    state.advance(40)
    state.collect()
    explanation = explain_expectation(KEYED, state)
    told = explanation.to_dict()
    assert (told["verdict"], told["missing"], told["key"]) == (
        "violated",
        "backup.run",
        {"service": "crm"},
    )
    assert told["times"] == {"last_seen": 7, "due": 31, "seen_again": None}
    (condition,) = told["clauses"][0]["conditions"]
    assert (condition["text"], condition["state"], condition["column"]) == (
        "backup.run",
        "false",
        10,
    )
    assert condition["spans"][0]["values"] == {"at": "7ns", "trace": "t1"}
    assert condition["measured"] == {"not seen for": ["33ns", "33ns"]}
    assert "missing: backup.run" in explanation.render_text()


def test_an_expect_that_is_kept_is_explained_by_what_is_due_next() -> None:
    state = Expectation(LISTED.plan, 0)
    state.sight("crm", 7)
    state.advance(20)
    state.collect()
    told = explain_expectation(LISTED, state).to_dict()
    assert (told["verdict"], told["key"], told["missing"]) == ("satisfied", {"service": "web"}, "")
    assert told["times"] == {"last_seen": 0, "due": 24}
    assert told["clauses"][0]["state"] == "true"


def test_where_nothing_is_expected_there_is_no_key_to_show() -> None:
    state = Expectation(KEYED.plan, 0)
    told = explain_expectation(KEYED, state).to_dict()
    assert (told["verdict"], told["key"], told["times"]) == ("not_applicable", {}, {})


def test_moments_of_tests_are_lengths_and_others_are_dates() -> None:
    assert moment_text(90_000_000_000) == "90s"
    assert moment_text(1_700_000_000_000_000_000) == "2023-11-14T22:13:20+00:00"
