"""The panel that snoozes a rule: what it says, and to whom it offers what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.snoozes.model import LONGEST, Snooze
from api.web.views.snooze import SPANS, snooze_panel, span_of
from tests.unit.web.test_rule_pages import rule

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SNOOZE = Snooze(
    id="1",
    rule_id="checked",
    from_at=NOON,
    until_at=NOON + timedelta(hours=4),
    reason="The bank is down.",
    actor="ada@example.com",
    acting="",
    ended_at=None,
    ended_by=None,
)


def test_a_snoozed_rule_says_until_when_and_why() -> None:
    panel = snooze_panel(rule("checked"), SNOOZE, may_snooze=True)
    assert panel is not None
    assert panel.running is not None
    assert (panel.running.until.text, panel.running.by, panel.running.reason) == (
        "28 Nov 2026, 16:00 UTC", "ada@example.com", "The bank is down.",
    )  # fmt: skip
    assert panel.end_href.endswith("/snooze/end")


def test_who_may_not_snooze_sees_it_and_is_offered_nothing() -> None:
    panel = snooze_panel(rule("checked"), SNOOZE, may_snooze=False)
    assert panel is not None
    assert (panel.href, panel.end_href) == ("", "")
    assert snooze_panel(rule("checked"), None, may_snooze=False) is None


def test_a_rule_that_is_not_judged_is_not_offered_it() -> None:
    assert snooze_panel(rule("checked", state="off"), None, may_snooze=True) is None


@pytest.mark.parametrize("hours", list(SPANS))
def test_every_choice_may_be_saved(hours: str) -> None:
    assert timedelta(0) < span_of(hours) <= LONGEST


def test_a_forged_choice_is_the_usual_one() -> None:
    assert span_of("9999") == span_of("x") == timedelta(hours=4)
