"""The page of the audit log as values."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from api.audit.record import Entry, Outcome
from api.audit.service import AuditFilter, ShownEntry
from api.web.views.audit import AuditQuery, audit_page

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACTOR = "key:0b9f1c22-0000-4000-8000-000000000000"


def _entry(action: str, target: str, times: int = 1) -> ShownEntry:
    entry = Entry(
        id=UUID(int=1),
        tenant_id=UUID(int=2),
        at=NOON,
        until_at=NOON,
        times=times,
        actor=ACTOR,
        action=action,
        target=target,
        outcome=Outcome.REFUSED,
        reason="auth.forbidden",
        method="GET",
        route="/rules/{rule_id}",
        address="203.0.113.7",
        details={"permission": "rules.read"},
    )
    return ShownEntry(entry, "")


def test_a_row_says_who_did_what_to_what_and_leads_there() -> None:
    page = audit_page(
        [_entry("rule.switched", "rule:a b", times=1_200)], AuditQuery(), next_cursor=""
    )
    row = page.rows[0]
    assert (row.who, row.what, row.target, row.target_href) == (
        "key 0b9f1c22…", "switched a rule", "rule:a b", "/rules/a%20b",
    )  # fmt: skip
    assert row.who_href == f"/audit?actor={ACTOR.replace(':', '%3A')}"
    assert row.times == "1,200 times within a minute"
    assert row.facts == (
        "auth.forbidden", "permission rules.read", "GET /rules/{rule_id}", "from 203.0.113.7",
    )  # fmt: skip


def test_an_action_without_words_is_named() -> None:
    assert audit_page([_entry("a.new", "")], AuditQuery(), next_cursor="").rows[0].what == "a.new"


def test_the_filters_of_the_address_are_kept_by_every_link() -> None:
    query = AuditQuery(kind="rule", outcome="refused", since="2026-11-01", cursor="c")
    page = audit_page([], query, next_cursor="d")
    assert page.newest_href == "/audit?kind=rule&outcome=refused&since=2026-11-01"
    assert page.older_href == "/audit?kind=rule&outcome=refused&since=2026-11-01&cursor=d"
    assert page.csv_href.startswith("/audit/export?kind=rule&")
    assert page.csv_href.endswith("format=csv")


def test_days_are_whole_and_nonsense_means_any() -> None:
    chosen = AuditQuery(since="2026-11-01", until="2026-11-02", kind="x", outcome="y").chosen()
    assert chosen == AuditFilter(
        from_at=datetime(2026, 11, 1, tzinfo=UTC), to_at=datetime(2026, 11, 3, tzinfo=UTC)
    )
    assert AuditQuery(since="yesterday").chosen() == AuditFilter()
