"""Versions of a rule: how two differ, and bringing an earlier one back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.conftest import Caller

FIRST = {
    "id": "promise",
    "name": "As it was",
    "state": "active",
    "rule": "when  { a }\nnever { b }\n",
    "tests": [{"name": "kept", "trace": [{"name": "a"}], "expect": "satisfied"}],
}
SECOND = {
    "id": "promise",
    "name": "Changed",
    "state": "shadow",
    "rule": "when  { a }\nnever { c }\n",
}
URL = "/api/v1/rules/promise"
RESTORE = {"version": 1, "reason": "Version 2 missed b; ask ada@example.com."}


@pytest.fixture
async def caller(caller: Caller) -> Caller:
    """A caller with a rule of two versions."""
    for one in (FIRST, SECOND):
        assert (await caller.client.put(URL, json=one)).status_code in (200, 201)
    return caller


async def versions(caller: Caller) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await caller.client.get(f"{URL}/versions")).json()["items"]
    return items


async def test_two_versions_are_told_line_by_line_and_field_by_field(
    caller: Caller, stranger: Caller
) -> None:
    wanted = {"was": 1, "now": 2}
    told = (await caller.client.get(f"{URL}/difference", params=wanted)).json()
    assert told["lines"] == [
        {"was": "when  { a }", "now": "when  { a }", "changed": False},
        {"was": "never { b }", "now": "never { c }", "changed": True},
    ]
    assert told["fields"] == [
        {"name": "name", "was": "As it was", "now": "Changed"},
        {"name": "state", "was": "active", "now": "shadow"},
        {"name": "tests", "was": FIRST["tests"], "now": []},
    ]
    refused = await stranger.client.get(f"{URL}/difference", params=wanted)
    assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")


async def test_an_earlier_version_comes_back_as_a_new_one_with_the_reason(
    caller: Caller,
) -> None:
    restored = (await caller.client.post(f"{URL}/restore", json=RESTORE)).json()
    assert {name: restored[name] for name in ("version", "restored", "name", "rule", "state")} == {
        "version": 3,
        "restored": 1,
        "name": "As it was",
        "rule": FIRST["rule"],
        "state": "shadow",  # whether it is on is another decision
    }
    assert restored["tests"] == FIRST["tests"]
    assert restored["reason"].startswith("Version 2 missed b; ask ")
    assert [(one["version"], one["restored"]) for one in await versions(caller)] == [
        (3, 1), (2, None), (1, None),
    ]  # fmt: skip
    audited = (await caller.client.get("/api/v1/audit", params={"action": "rule.changed"})).json()
    assert audited["items"][0]["details"]["restored"] == "1"
    assert "missed" not in str(audited)


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(caller: Caller) -> None:
    stale = await caller.client.post(f"{URL}/restore", json=RESTORE, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    assert len(await versions(caller)) == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"version": 9, "reason": "x"}, 404, "request.not_found"),
        ({"version": 1, "reason": "  "}, 400, "rule.no_reason"),
        ({"version": 1}, 400, "request.invalid"),
    ],
)
async def test_what_cannot_be_brought_back_is_refused(
    body: dict[str, Any], status: int, code: str, caller: Caller
) -> None:
    refused = await caller.client.post(f"{URL}/restore", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_a_version_that_deleted_the_rule_is_not_brought_back(caller: Caller) -> None:
    await caller.client.delete(URL)
    await caller.client.put(URL, json=SECOND)
    refused = await caller.client.post(f"{URL}/restore", json={"version": 3, "reason": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "rule.deleted_version")


async def test_the_current_version_brought_back_changes_nothing(caller: Caller) -> None:
    same = (await caller.client.post(f"{URL}/restore", json={"version": 2, "reason": "x"})).json()
    assert (same["version"], same["restored"]) == (2, None)
