"""Rows of the audit log as values: their bytes, what is cut, and cells that are no formulas."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from api.audit.origin import current_origin, serving
from api.audit.record import Entry, Outcome, canonical_bytes
from api.audit.schemas import guarded

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = Entry(
    id=UUID(int=1),
    tenant_id=UUID(int=2),
    at=NOON,
    until_at=NOON,
    actor="user:ada",
    action="rule.changed",
    target="rule:promise",
    outcome=Outcome.ALLOWED,
    route="/rules/{rule_id}",
    details={"version": "2", "fields": "name"},
)


def test_canonical_bytes_are_these() -> None:
    assert canonical_bytes(ENTRY).decode() == (
        '{"action":"rule.changed","actor":"user:ada","address":"",'
        '"at":"2026-11-23T12:00:00.000000+00:00","details":{"fields":"name","version":"2"},'
        '"id":"00000000-0000-0000-0000-000000000001","method":"","outcome":"allowed","reason":"",'
        '"request_id":"","route":"/rules/{rule_id}","schema":1,"target":"rule:promise",'
        '"tenant_id":"00000000-0000-0000-0000-000000000002","times":1,'
        '"until_at":"2026-11-23T12:00:00.000000+00:00","user_agent":""}'
    )


def test_the_zone_that_a_time_is_told_in_changes_no_byte() -> None:
    elsewhere = timezone(timedelta(hours=9))
    moved = replace(ENTRY, at=NOON.astimezone(elsewhere), until_at=NOON.astimezone(elsewhere))
    assert canonical_bytes(moved) == canonical_bytes(ENTRY)


@pytest.mark.parametrize("name", ["actor", "target", "reason", "route", "address", "user_agent"])
def test_what_comes_from_outside_is_cut_and_cannot_forge_a_line(name: str) -> None:
    text = getattr(replace(ENTRY, **{name: "a\n\x1b" + "b" * 1_000}), name)
    assert text.startswith("a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b")
    assert len(text) <= 300


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=x", "'\t=x"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert guarded(text) == cell


def test_outside_a_request_nothing_is_known_of_one() -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "client": ("203.0.113.7", 1),
        "headers": [(b"user-agent", b"test/1")],
        "state": {"request_id": "r-1"},
    }
    with serving(scope):
        origin = current_origin()
    assert origin is not None
    assert origin.columns() == {
        "method": "GET",
        "route": "",
        "address": "203.0.113.7",
        "user_agent": "test/1",
        "request_id": "r-1",
    }
    assert origin.actor == "anonymous"
    assert current_origin() is None
