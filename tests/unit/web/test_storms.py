"""What pages say of folded signals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.signals.folds import Example, Folded, FoldFilter, Storms
from api.signals.model import Severity
from api.web.views.moments import between
from api.web.views.signal_query import SignalQuery
from api.web.views.storms import ExampleLink, StormPanel, StormRow, storm_panel

AT = datetime(2026, 11, 26, 14, 2, 5, tzinfo=UTC)


def folded(raised: int = 12_340, *, renewed: int = 0, withdrawn: int = 0) -> Folded:
    return Folded(
        rule_id="large charges",
        rule_name="Large charges are checked",
        severity=Severity.HIGH,
        raised=raised,
        renewed=renewed,
        withdrawn=withdrawn,
        first_at=AT,
        last_at=AT + timedelta(minutes=7),
        examples=(Example("ab" * 16, True), Example("cd" * 16, False)),
    )


def test_a_storm_is_one_sentence_with_links_to_what_there_is() -> None:
    (row,) = storm_panel(Storms((folded(withdrawn=3, renewed=1),), 12_340)).rows
    assert row == StormRow(
        rule_name="Large charges are checked",
        href="/rules/large%20charges",
        severity="high",
        severity_label="High",
        text="12,340 more signals were folded between 14:02 and 14:09 UTC on 26 Nov 2026.",
        withdrawn="2 of them were withdrawn later.",
        examples=(
            ExampleLink("ab" * 16, "abababab", f"/traces/{'ab' * 16}"),
            ExampleLink("cd" * 16, "cdcdcdcd", ""),
        ),
    )


def test_one_is_said_as_one() -> None:
    (row,) = storm_panel(Storms((folded(1, withdrawn=1),), 1)).rows
    assert row.text.startswith("1 more signal was folded")
    assert row.withdrawn == "1 of them was withdrawn later."


def test_what_is_left_out_is_counted() -> None:
    panel = storm_panel(Storms((folded(40),), 42), of_one_service=True)
    assert panel.notes == (
        "2 more signals were folded in other storms of this time.",
        "Folded signals are not told apart by service.",
    )


def test_nothing_is_said_where_nothing_was_folded() -> None:
    assert storm_panel(Storms(), of_one_service=True) == StormPanel()


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0, "at 14:02 UTC on 26 Nov 2026"),
        (7, "between 14:02 and 14:09 UTC on 26 Nov 2026"),
        (24 * 60, "between 14:02 UTC on 26 Nov 2026 and 14:02 UTC on 27 Nov 2026"),
    ],
)
def test_a_stretch_of_time_is_told_to_the_minute(minutes: int, text: str) -> None:
    assert between(AT, AT + timedelta(minutes=minutes)) == text


def test_a_list_knows_which_folded_signals_belong_to_it() -> None:
    query = SignalQuery(status=("open",), severity=("high",), rule_id=("r",))
    assert query.folds(from_at=AT, to_at=None) == FoldFilter(
        rule_id="r", severities=(Severity.HIGH,), from_at=AT
    )
    assert SignalQuery(status=("resolved",)).folds(from_at=None, to_at=None) is None
