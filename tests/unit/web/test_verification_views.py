"""The pages of verifications: what was looked at, in words, and how one goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.evidence.search import DAY_MS
from api.evidence.verification import Badge
from api.evidence.verifying import Finding, Verification, Verified
from api.web.views.verifications import verification_page, verification_row

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
DAY = 20_000 * DAY_MS


def verification(asked: dict[str, Any], **given: Any) -> Verification:
    columns: dict[str, Any] = {
        "id": UUID(int=1),
        "at": NOW,
        "actor": "user:00000000-0000-4000-8000-000000000001",
        "actor_name": "ada@example.com",
        "acting": "",
        "asked": asked,
        "head_number": 17,
        "head_size": 1_234,
        "counts": {Badge.VALID: 3, Badge.INVALID: 1, Badge.UNSIGNED: 0, Badge.UNVERIFIED: 0},
        "next_cursor": None,
        **given,
    }
    return Verification(**columns)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"records": [1234]}, "Record 1,234"),
        ({"records": [1, 2]}, "2 records by number"),
        ({}, "The newest records"),
        (
            {"framework": "soc2", "kinds": ["span"], "outcomes": ["blocked"], "text": "login"},
            "SOC 2 · Compliance spans · Blocked · “login”",
        ),
        (
            {"control": "soc2.CC6.1", "rule": "a", "service": "b", "from_ms": DAY, "to_ms": DAY},
            "soc2.CC6.1 · rule a · service b · from 2024-10-04 · before 2024-10-04",
        ),
    ],
)
def test_what_was_looked_at_is_told_in_words(asked: dict[str, Any], words: str) -> None:
    assert verification_row(verification(asked)).over == words


def test_a_row_says_who_and_counts_what_is_not_nought() -> None:
    row = verification_row(verification({}, acting="support@vendor.example"))
    assert row.who == "support@vendor.example, in the place of ada@example.com"
    assert (row.checked, row.checkpoint) == (
        "4 records",
        "Followed to checkpoint 17, of 1,234 records.",
    )
    assert [(one.count, one.badge.label) for one in row.counts] == [
        ("3", "Valid"),
        ("1", "Invalid"),
    ]
    gone = verification({}, actor_name="", head_number=None, head_size=None)
    assert verification_row(gone).who.startswith("user:")
    assert verification_row(gone).checkpoint == "No checkpoint had been signed yet."


def test_a_page_goes_on_with_the_filter_and_leads_to_no_record_that_is_not_there() -> None:
    asked = {"control": "soc2.CC6.1", "from_ms": DAY, "to_ms": DAY + 2 * DAY_MS, "cursor": "x"}
    found = Verified(
        verification(asked, next_cursor="y"),
        (
            Finding(5, Badge.INVALID, "record_missing", "It is not there any more."),
            Finding(6, Badge.VALID, "", ""),
        ),
    )
    page = verification_page(found)
    assert page.next_cursor == "y"
    assert dict(page.fields) == {
        "control": "soc2.CC6.1",
        "since": "2024-10-04",
        "until": "2024-10-05",
    }
    assert [one.href for one in page.findings] == ["", "/evidence/records/6"]
    by_number = verification_page(Verified(verification({"records": [1]}), ()))
    assert (by_number.records_href, by_number.left) == ("", "")
