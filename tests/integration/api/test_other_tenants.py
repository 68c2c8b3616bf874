"""Nobody sees or changes what is another tenant's, by any route."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from api.auth.access import route_access
from api.auth.principal import Role
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.sealing import insert_evidence, verification_id_of
from tests.support.tenants import (
    add_key,
    insert_backtest,
    insert_bulk_change,
    insert_case,
    insert_fold,
    insert_letter,
    insert_member,
    insert_notice,
    insert_sample,
    insert_signal,
    insert_trace,
)
from tests.unit.api.test_routes import OPERATORS

RULE = {"id": "promise", "rule": "when { a } never { b }"}
EMPTY_PAGE = {"items": [], "next_cursor": None}

FOREIGN: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/v1/rules/{rule_id}", None),
    ("DELETE", "/api/v1/rules/{rule_id}", None),
    ("GET", "/api/v1/rules/{rule_id}/versions", None),
    ("GET", "/api/v1/rules/{rule_id}/versions/{version}", None),
    ("POST", "/api/v1/rules/{rule_id}/state", {"state": "shadow"}),
    ("POST", "/api/v1/rules/{rule_id}/restore", {"version": 1, "reason": "As it was."}),
    ("POST", "/api/v1/notices/{notice_id}/acknowledge", None),
    ("GET", "/api/v1/signals/{signal_id}", None),
    ("PATCH", "/api/v1/signals/{signal_id}", {"status": "investigating"}),
    ("POST", "/api/v1/signals/bulk/{bulk_id}/undo", None),
    ("PUT", "/api/v1/signals/views/{view_id}", {"name": "Not ours", "query": ""}),
    ("DELETE", "/api/v1/signals/views/{view_id}", None),
    ("GET", "/api/v1/signals/{signal_id}/rows", None),
    ("GET", "/api/v1/signals/{signal_id}/rows/search", None),
    ("GET", "/api/v1/signals/{signal_id}/spans/{ordinal}", None),
    ("GET", "/api/v1/signals/{signal_id}/comparison", None),
    ("GET", "/api/v1/signals/{signal_id}/related", None),
    ("PUT", "/api/v1/signals/{signal_id}/links/{other_id}", None),
    ("DELETE", "/api/v1/signals/{signal_id}/links/{other_id}", None),
    ("GET", "/api/v1/signals/{signal_id}/notes", None),
    ("POST", "/api/v1/signals/{signal_id}/notes", {"text": "Not ours."}),
    ("PUT", "/api/v1/signals/{signal_id}/notes/{note_id}", {"text": "Not ours."}),
    ("DELETE", "/api/v1/signals/{signal_id}/notes/{note_id}", None),
    ("GET", "/api/v1/rules/{rule_id}/cases", None),
    (
        "POST",
        "/api/v1/rules/{rule_id}/cases",
        {"sample": "retry-storm", "expect": "violated"},
    ),
    ("POST", "/api/v1/rules/{rule_id}/exceptions/trial", {"where": "service == staging"}),
    (
        "POST",
        "/api/v1/rules/{rule_id}/exceptions",
        {"where": "service == staging", "reason": "not ours"},
    ),
    ("GET", "/api/v1/rules/{rule_id}/snoozes", None),
    (
        "POST",
        "/api/v1/rules/{rule_id}/snoozes",
        {"until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "reason": "not ours"},
    ),
    ("POST", "/api/v1/rules/{rule_id}/test-runs", {}),
    ("GET", "/api/v1/test-runs/{run_id}", None),
    ("DELETE", "/api/v1/rules/{rule_id}/cases/{case_id}", None),
    ("GET", "/api/v1/samples/{sample_id}", None),
    ("PUT", "/api/v1/samples/{sample_id}", {"name": "Not ours"}),
    ("DELETE", "/api/v1/samples/{sample_id}", None),
    ("GET", "/api/v1/traces/{trace_id}", None),
    ("GET", "/api/v1/traces/{trace_id}/rows", None),
    ("GET", "/api/v1/traces/{trace_id}/rows/search", None),
    ("GET", "/api/v1/traces/{trace_id}/spans/{ordinal}", None),
    ("GET", "/api/v1/keys/{key_id}", None),
    ("POST", "/api/v1/keys/{key_id}/rotate", {"overlap_seconds": 60}),
    ("POST", "/api/v1/keys/{key_id}/revoke", None),
    ("GET", "/api/v1/dead-letters/{letter_id}", None),
    ("POST", "/api/v1/dead-letters/{letter_id}/discard", {"note": "not ours"}),
    ("GET", "/api/v1/backtests/{backtest_id}", None),
    ("GET", "/api/v1/backtests/{backtest_id}/results", None),
    ("POST", "/api/v1/backtests/{backtest_id}/cancel", None),
    ("GET", "/api/v1/members/{member_id}", None),
    ("PUT", "/api/v1/members/{member_id}", {"role": "viewer"}),
    ("DELETE", "/api/v1/members/{member_id}", None),
    ("GET", "/api/v1/evidence/checkpoints/{number}", None),
    ("GET", "/api/v1/evidence/records/{seq}", None),
    ("GET", "/api/v1/evidence/records/{seq}/verification", None),
    ("GET", "/api/v1/evidence/verifications/{verification_id}", None),
    ("DELETE", "/api/v1/evidence/records/{seq}/payload", None),
    ("POST", "/api/v1/invitations/{invitation_id}/resend", None),
    ("POST", "/api/v1/invitations/{invitation_id}/cancel", None),
]
LISTS = [
    "/api/v1/rules",
    "/api/v1/signals",
    "/api/v1/signals/folds",
    "/api/v1/backtests",
    "/api/v1/samples",
    "/api/v1/test-runs",
    "/api/v1/dead-letters",
    "/api/v1/notices",
    "/api/v1/members",
    "/api/v1/invitations",
]
OWN_OR_NOTHING = {
    ("PUT", "/api/v1/rules/{rule_id}"): "test_the_same_id_in_two_tenants_is_two_rules",
    ("POST", "/api/v1/rules"): "test_the_same_id_in_two_tenants_is_two_rules",
    ("POST", "/api/v1/rules/validate"): "reads nothing stored",
    ("POST", "/api/v1/rules/trial"): "reads nothing stored",
    ("POST", "/api/v1/rules/bulk"): "test_many_rules looks at it",
    ("GET", "/api/v1/rules/library"): "reads nothing stored",
    ("POST", "/api/v1/rules/library"): "test_many_rules looks at it",
    ("GET", "/api/v1/rules/{rule_id}/difference"): "test_rule_versions looks at it",
    ("POST", "/api/v1/rules/{rule_id}/snoozes/end"): "test_snoozes looks at it",
    ("POST", "/api/v1/rules/{rule_id}/exceptions/{number}/end"): "test_exceptions looks at it",
    ("POST", "/api/v1/rules/trial/stored"): "test_rule_editor looks at it",
    ("POST", "/api/v1/traces/{trace_id}/rule"): "test_rule_editor looks at it",
    ("POST", "/api/v1/rules/editor/marks"): "test_rule_editor looks at it",
    ("POST", "/api/v1/rules/editor/completions"): "test_rule_editor looks at it",
    ("POST", "/api/v1/rules/editor/hover"): "test_rule_editor looks at it",
    ("POST", "/api/v1/rules/{rule_id}/forget"): "test_rules_of_many looks at it",
    ("GET", "/api/v1/keys"): "test_a_list_of_keys_holds_none_of_anothers",
    ("POST", "/api/v1/keys"): "test_a_list_of_keys_holds_none_of_anothers",
    ("POST", "/api/v1/backtests"): "test_a_rule_of_another_tenant_cannot_be_tried",
    ("POST", "/api/v1/test-runs"): "the caller's: test_cases looks at it",
    ("POST", "/api/v1/samples"): "the caller's: test_samples looks at it",
    ("GET", "/api/v1/samples/library"): "the same for everybody",
    ("GET", "/api/v1/traces"): "test_traces_of_another_tenant_are_not_found",
    ("GET", "/api/v1/condition"): "test_home looks at it",
    ("GET", "/api/v1/signals/facets"): "test_signal_counts looks at it",
    ("GET", "/api/v1/signals/groups"): "test_signal_counts looks at it",
    ("GET", "/api/v1/signals/figures"): "test_signal_counts looks at it",
    ("GET", "/api/v1/signals/trending"): "test_signal_counts looks at it",
    ("GET", "/api/v1/signals/incidents"): "test_signal_counts looks at it",
    ("POST", "/api/v1/signals/bulk"): "test_bulk looks at it",
    ("GET", "/api/v1/signals/views"): "test_saved_views looks at it",
    ("POST", "/api/v1/signals/views"): "test_saved_views looks at it",
    ("GET", "/api/v1/signals/stream"): "test_a_stream_tells_nothing_of_another_tenant",
    ("GET", "/api/v1/session"): "tells of the caller",
    ("GET", "/api/v1/audit"): "test_audit and test_isolation look at it",
    ("GET", "/api/v1/audit/export"): "test_audit and test_isolation look at it",
    ("GET", "/api/v1/evidence/log"): "test_a_log_of_another_tenant_is_not_seen",
    ("GET", "/api/v1/evidence/checkpoints"): "test_a_log_of_another_tenant_is_not_seen",
    ("GET", "/api/v1/evidence/consistency"): "test_a_log_of_another_tenant_is_not_seen",
    ("POST", "/api/v1/evidence/export"): "test_a_log_of_another_tenant_is_not_seen",
    ("GET", "/api/v1/evidence/records"): "test_evidence_routes looks at it",
    ("POST", "/api/v1/evidence/verifications"): "test_verifications looks at it",
    ("GET", "/api/v1/evidence/verifications"): "test_verifications looks at it",
    ("GET", "/api/v1/evidence/records/{seq}/verifications"): "test_verifications looks at it",
    ("GET", "/api/v1/evidence/controls"): "test_evidence_routes looks at it",
    ("GET", "/api/v1/evidence/controls/{control_id}"): "test_evidence_routes looks at it",
    ("GET", "/api/v1/evidence/export"): "test_evidence_routes looks at it",
    ("GET", "/api/v1/evidence/oscal"): "test_evidence_routes looks at it",
    ("GET", "/api/v1/evidence/report"): "test_evidence_routes looks at it",
    ("GET", "/api/v1/controls"): "reads nothing stored",
    ("GET", "/api/v1/controls/{control_id}"): "reads nothing stored",
    ("POST", "/api/v1/dead-letters/{letter_id}/replay"): "test_dead_letters looks at it",
    ("DELETE", "/api/v1/session"): "ends the caller's",
    ("POST", "/api/v1/session"): "has no tenant yet",
    ("POST", "/api/v1/invitations"): "test_members and test_invitations look at it",
    ("POST", "/api/v1/invitations/accept"): "has no tenant yet",
    ("GET", "/api/v1/tenant"): "the caller's: test_two_tenants_may_be_called_the_same",
    ("PATCH", "/api/v1/tenant"): "the caller's: test_two_tenants_may_be_called_the_same",
    **dict.fromkeys(OPERATORS, "test_operators looks at it: no tenant's credential opens it"),
    ("GET", "/api/v1/tenant/retention"): "the caller's: test_retention looks at it",
    ("PUT", "/api/v1/tenant/retention"): "the caller's: test_retention looks at it",
    ("PUT", "/api/v1/tenant/hold"): "the caller's: test_retention looks at it",
    ("DELETE", "/api/v1/tenant/hold"): "the caller's: test_retention looks at it",
    ("GET", "/api/v1/tenant/redaction"): "the caller's: test_redaction looks at it",
    ("PUT", "/api/v1/tenant/redaction"): "the caller's: test_redaction looks at it",
    ("GET", "/api/v1/tenant/redaction/versions"): "the caller's: test_redaction looks at it",
    ("GET", "/api/v1/tenant/redaction/counts"): "the caller's: test_redaction looks at it",
    ("POST", "/api/v1/tenant/redaction/preview"): "the caller's: test_redaction looks at it",
    ("GET", "/api/v1/tenant/redaction/suggestions"): "the caller's: test_redaction looks at it",
    ("POST", "/api/v1/tenant/redaction/reveal"): "the caller's: test_redaction looks at it",
    ("GET", "/api/v1/tenant/export"): "test_tenant_export looks at it",
    ("GET", "/api/v1/evidence/targets"): "test_anchors looks at it",
    ("POST", "/api/v1/evidence/targets"): "the caller's: test_anchors looks at it",
    ("GET", "/api/v1/evidence/targets/{target_id}"): "test_anchors looks at it",
    ("PATCH", "/api/v1/evidence/targets/{target_id}"): "test_anchors looks at it",
    ("DELETE", "/api/v1/evidence/targets/{target_id}"): "test_anchors looks at it",
    ("POST", "/api/v1/evidence/targets/{target_id}/send"): "test_anchors looks at it",
    ("GET", "/api/v1/evidence/anchors"): "test_anchors looks at it",
    ("GET", "/api/v1/evidence/anchors/{anchor_id}/stamp"): "test_anchors looks at it",
    ("GET", "/api/v1/tenant/deletion"): "the caller's: test_deletion looks at it",
    ("POST", "/api/v1/tenant/deletion"): "the caller's: test_deletion looks at it",
    ("DELETE", "/api/v1/tenant/deletion"): "the caller's: test_deletion looks at it",
    ("GET", "/api/v1/usage"): "the caller's: test_tenant_and_usage looks at it",
    ("GET", "/api/v1/account"): "tells of the caller",
    ("POST", "/api/v1/account/leave"): "the caller's",
    ("PUT", "/api/v1/account/password"): "the caller's",
    ("POST", "/api/v1/account/tenant"): "test_a_tenant_of_others_is_not_there_to_switch_to",
    ("GET", "/api/v1/account/sessions"): "test_nobody_sees_or_ends_the_sessions_of_somebody_else",
    ("DELETE", "/api/v1/account/sessions"): "the caller's",
    ("DELETE", "/api/v1/account/sessions/{session_id}"): (
        "test_nobody_sees_or_ends_the_sessions_of_somebody_else"
    ),
    ("POST", "/api/v1/account/second-factor"): "the caller's",
    ("POST", "/api/v1/account/second-factor/confirm"): "the caller's",
    ("POST", "/api/v1/account/second-factor/off"): "the caller's",
    ("POST", "/api/v1/account/second-factor/recovery-codes"): "the caller's",
}


@pytest.fixture
async def ids(app: FastAPI, caller: Caller, shared_database: Database) -> dict[str, str]:
    """What the caller's tenant has."""
    await caller.client.post("/api/v1/rules", json=RULE)
    trace_id = secrets.token_hex(16)
    signal_id = insert_signal(
        shared_database.worker, caller.scope, trace_id=bytes.fromhex(trace_id)
    )
    other_id = insert_signal(
        shared_database.worker, caller.scope, verdict="inconclusive", reasons=["no_root"]
    )
    note = await caller.client.post(f"/api/v1/signals/{signal_id}/notes", json={"text": "Ours."})
    made = {"name": "Ours", "query": "status=open", "shared": True}
    view = await caller.client.post("/api/v1/signals/views", json=made)
    insert_fold(shared_database.worker, caller.scope)
    insert_trace(shared_database.worker, caller.scope, trace_id, "root")
    pool = app.state.services.pool
    body = {"email": f"{secrets.token_hex(8)}@example.com", "role": "viewer"}
    invited = await caller.client.post("/api/v1/invitations", json=body)
    sample_id = insert_sample(shared_database.app, caller.scope)
    return {
        **insert_case(shared_database.app, caller.scope),
        "key_id": str((await add_key(pool, caller.scope, role=Role.VIEWER)).key.id),
        "rule_id": "promise",
        "version": "1",
        "signal_id": signal_id,
        "other_id": other_id,
        "note_id": note.json()["id"],
        "view_id": view.json()["id"],
        "bulk_id": insert_bulk_change(shared_database.app, caller.scope),
        "ordinal": "0",
        "trace_id": trace_id,
        "sample_id": sample_id,
        "letter_id": insert_letter(shared_database.worker, caller.scope),
        "notice_id": insert_notice(shared_database, caller.scope),
        "seq": insert_evidence(shared_database, caller.scope),
        "verification_id": str(verification_id_of(caller.scope)),
        "number": "1",
        "backtest_id": insert_backtest(shared_database.app, caller.scope),
        "member_id": insert_member(shared_database, caller.scope),
        "invitation_id": invited.json()["id"],
    }


@pytest.mark.parametrize(("method", "path", "body"), FOREIGN)
async def test_what_is_anothers_is_not_found(
    method: str,
    path: str,
    body: dict[str, Any] | None,
    ids: dict[str, str],
    caller: Caller,
    stranger: Caller,
) -> None:
    url = path.format(**ids)
    refused = await stranger.client.request(method, url, json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")
    own = await caller.client.request(method, url, json=body)
    assert own.status_code in (200, 201, 204)


@pytest.mark.parametrize("path", LISTS)
async def test_lists_hold_nothing_of_anothers(
    path: str, ids: dict[str, str], caller: Caller, stranger: Caller
) -> None:
    assert (await stranger.client.get(path)).json() == EMPTY_PAGE
    assert len((await caller.client.get(path)).json()["items"]) == 1


async def test_a_cursor_of_anothers_shows_nothing(
    ids: dict[str, str], caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    insert_signal(shared_database.worker, caller.scope)
    page = (await caller.client.get("/api/v1/signals", params={"limit": 1})).json()
    cursor = {"cursor": page["next_cursor"]}
    assert (await stranger.client.get("/api/v1/signals", params=cursor)).json() == EMPTY_PAGE


async def test_a_log_of_another_tenant_is_not_seen(
    ids: dict[str, str], caller: Caller, stranger: Caller
) -> None:
    told = [(await who.client.get("/api/v1/evidence/log")).json() for who in (caller, stranger)]
    assert [(one["size"], one["checkpoints"], one["origin"]) for one in told] == [
        (1, 1, f"betrace.example/log/{caller.scope.tenant_id}"),
        (0, 0, None),
    ]
    heads = [
        (await who.client.get("/api/v1/evidence/checkpoints")).json()["items"]
        for who in (caller, stranger)
    ]
    assert [len(each) for each in heads] == [1, 0]
    sizes = {"from": 0, "to": 1}
    proof = await stranger.client.get("/api/v1/evidence/consistency", params=sizes)
    assert (proof.status_code, proof.json()["code"]) == (400, "evidence.sizes")
    pack = await stranger.client.post("/api/v1/evidence/export", json={})
    assert pack.status_code == 409


async def test_the_same_id_in_two_tenants_is_two_rules(
    ids: dict[str, str], caller: Caller, stranger: Caller
) -> None:
    written = await stranger.client.put("/api/v1/rules/promise", json={**RULE, "name": "Theirs"})
    own = await caller.client.get("/api/v1/rules/promise")
    assert (written.status_code, written.json()["version"]) == (201, 1)
    assert own.json()["name"] != "Theirs"


async def test_a_rule_of_another_tenant_cannot_be_tried(
    ids: dict[str, str], stranger: Caller
) -> None:
    refused = await stranger.client.post("/api/v1/backtests", json={"rules": [{"id": "promise"}]})
    assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")


async def test_a_list_of_keys_holds_none_of_anothers(
    ids: dict[str, str], caller: Caller, stranger: Caller
) -> None:
    body = {"name": "the same name", "scopes": ["spans.ingest"]}
    made = [(await who.client.post("/api/v1/keys", json=body)).json() for who in (caller, stranger)]
    listed = [
        {key["id"] for key in (await who.client.get("/api/v1/keys")).json()["items"]}
        for who in (caller, stranger)
    ]
    assert {ids["key_id"], made[0]["id"]} <= listed[0]
    assert made[1]["id"] in listed[1]
    assert listed[0].isdisjoint(listed[1])


async def test_an_assignee_of_another_tenant_is_no_member(
    ids: dict[str, str], caller: Caller, stranger: Caller, app: FastAPI
) -> None:
    from tests.support.tenants import make_user

    email = await make_user(app.state.services.pool, stranger.scope)
    response = await caller.client.patch(
        f"/api/v1/signals/{ids['signal_id']}", json={"assignee": email}
    )
    assert (response.status_code, response.json()["code"]) == (400, "signal.assignee")


def test_every_rest_route_is_looked_at_here(app: FastAPI) -> None:
    routes = {
        (method, route.path)
        for route in route_access(app)
        if route.path.startswith("/api/v1/") and route.path != app.openapi_url
        for method in route.methods
    }
    looked_at = {(method, path) for method, path, _ in FOREIGN}
    looked_at |= {("GET", path) for path in LISTS} | OWN_OR_NOTHING.keys()
    assert routes == looked_at
