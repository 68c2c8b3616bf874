"""Every route says who may call it, and is described."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Depends, FastAPI

from api.auth.access import anyone, refuse_undeclared, route_access
from api.auth.principal import Permission
from api.auth.public import PUBLIC
from api.main import create_app
from api.settings import SettingError, Settings

ANYBODY = {
    ("POST", "/api/v1/invitations/accept"),
    ("POST", "/api/v1/session"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
}
KNOWN = {
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/session"),
    ("GET", "/api/v1/account"),
    ("PUT", "/api/v1/account/password"),
    ("POST", "/api/v1/account/tenant"),
    ("GET", "/api/v1/account/sessions"),
    ("DELETE", "/api/v1/account/sessions"),
    ("DELETE", "/api/v1/account/sessions/{session_id}"),
    ("POST", "/api/v1/account/second-factor"),
    ("POST", "/api/v1/account/second-factor/confirm"),
    ("POST", "/api/v1/account/second-factor/off"),
    ("POST", "/api/v1/account/second-factor/recovery-codes"),
    ("POST", "/api/v1/account/leave"),
    ("GET", "/api/v1/controls"),
    ("GET", "/api/v1/controls/{control_id}"),
}
OPERATORS = {
    ("GET", "/api/v1/operator"),
    ("GET", "/api/v1/operator/tiers"),
    ("GET", "/api/v1/operator/tenants"),
    ("POST", "/api/v1/operator/tenants"),
    ("GET", "/api/v1/operator/tenants/{tenant_id}"),
    ("POST", "/api/v1/operator/tenants/{tenant_id}/suspend"),
    ("POST", "/api/v1/operator/tenants/{tenant_id}/resume"),
    ("PUT", "/api/v1/operator/tenants/{tenant_id}/tier"),
    ("PATCH", "/api/v1/operator/tenants/{tenant_id}/quotas"),
    ("GET", "/api/v1/operator/tenants/{tenant_id}/retention"),
    ("PATCH", "/api/v1/operator/tenants/{tenant_id}/retention"),
    ("PUT", "/api/v1/operator/tenants/{tenant_id}/hold"),
    ("DELETE", "/api/v1/operator/tenants/{tenant_id}/hold"),
}
PERMISSIONS = {
    ("POST", "/api/v1/rules"): Permission.RULES_WRITE,
    ("GET", "/api/v1/rules"): Permission.RULES_READ,
    ("POST", "/api/v1/rules/bulk"): Permission.RULES_WRITE,
    ("GET", "/api/v1/rules/library"): Permission.RULES_READ,
    ("POST", "/api/v1/rules/library"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/validate"): Permission.RULES_TEST,
    ("POST", "/api/v1/rules/trial"): Permission.RULES_TEST,
    ("POST", "/api/v1/rules/trial/stored"): Permission.TRACES_READ,
    ("POST", "/api/v1/rules/editor/marks"): Permission.RULES_TEST,
    ("POST", "/api/v1/rules/editor/completions"): Permission.RULES_TEST,
    ("POST", "/api/v1/rules/editor/hover"): Permission.RULES_TEST,
    ("GET", "/api/v1/rules/{rule_id}"): Permission.RULES_READ,
    ("PUT", "/api/v1/rules/{rule_id}"): Permission.RULES_WRITE,
    ("DELETE", "/api/v1/rules/{rule_id}"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/state"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/forget"): Permission.RULES_WRITE,
    ("GET", "/api/v1/notices"): Permission.TENANT_READ,
    ("POST", "/api/v1/notices/{notice_id}/acknowledge"): Permission.TENANT_READ,
    ("GET", "/api/v1/rules/{rule_id}/versions"): Permission.RULES_READ,
    ("GET", "/api/v1/rules/{rule_id}/difference"): Permission.RULES_READ,
    ("POST", "/api/v1/rules/{rule_id}/restore"): Permission.RULES_WRITE,
    ("GET", "/api/v1/rules/{rule_id}/versions/{version}"): Permission.RULES_READ,
    ("POST", "/api/v1/backtests"): Permission.RULES_TEST,
    ("GET", "/api/v1/backtests"): Permission.RULES_TEST,
    ("GET", "/api/v1/backtests/{backtest_id}"): Permission.RULES_TEST,
    ("POST", "/api/v1/backtests/{backtest_id}/cancel"): Permission.RULES_TEST,
    ("GET", "/api/v1/backtests/{backtest_id}/results"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/folds"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/condition"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/facets"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/groups"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/figures"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/trending"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/incidents"): Permission.SIGNALS_READ,
    ("POST", "/api/v1/signals/bulk"): Permission.SIGNALS_WRITE,
    ("POST", "/api/v1/signals/bulk/{bulk_id}/undo"): Permission.SIGNALS_WRITE,
    ("GET", "/api/v1/signals/views"): Permission.SIGNALS_READ,
    ("POST", "/api/v1/signals/views"): Permission.SIGNALS_READ,
    ("PUT", "/api/v1/signals/views/{view_id}"): Permission.SIGNALS_READ,
    ("DELETE", "/api/v1/signals/views/{view_id}"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/stream"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/{signal_id}"): Permission.SIGNALS_READ,
    ("PATCH", "/api/v1/signals/{signal_id}"): Permission.SIGNALS_WRITE,
    ("GET", "/api/v1/signals/{signal_id}/rows"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/{signal_id}/rows/search"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/{signal_id}/spans/{ordinal}"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/{signal_id}/comparison"): Permission.SIGNALS_READ,
    ("GET", "/api/v1/signals/{signal_id}/related"): Permission.SIGNALS_READ,
    ("PUT", "/api/v1/signals/{signal_id}/links/{other_id}"): Permission.SIGNALS_WRITE,
    ("DELETE", "/api/v1/signals/{signal_id}/links/{other_id}"): Permission.SIGNALS_WRITE,
    ("GET", "/api/v1/signals/{signal_id}/notes"): Permission.SIGNALS_READ,
    ("POST", "/api/v1/signals/{signal_id}/notes"): Permission.SIGNALS_WRITE,
    ("PUT", "/api/v1/signals/{signal_id}/notes/{note_id}"): Permission.SIGNALS_WRITE,
    ("DELETE", "/api/v1/signals/{signal_id}/notes/{note_id}"): Permission.SIGNALS_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/exceptions/trial"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/exceptions"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/exceptions/{number}/end"): Permission.RULES_WRITE,
    ("GET", "/api/v1/rules/{rule_id}/snoozes"): Permission.RULES_READ,
    ("POST", "/api/v1/rules/{rule_id}/snoozes"): Permission.RULES_SNOOZE,
    ("POST", "/api/v1/rules/{rule_id}/snoozes/end"): Permission.RULES_SNOOZE,
    ("GET", "/api/v1/rules/{rule_id}/cases"): Permission.RULES_READ,
    ("POST", "/api/v1/rules/{rule_id}/cases"): Permission.RULES_WRITE,
    ("DELETE", "/api/v1/rules/{rule_id}/cases/{case_id}"): Permission.RULES_WRITE,
    ("POST", "/api/v1/rules/{rule_id}/test-runs"): Permission.RULES_TEST,
    ("GET", "/api/v1/test-runs"): Permission.RULES_READ,
    ("POST", "/api/v1/test-runs"): Permission.RULES_TEST,
    ("GET", "/api/v1/test-runs/{run_id}"): Permission.RULES_READ,
    ("GET", "/api/v1/samples"): Permission.RULES_TEST,
    ("POST", "/api/v1/samples"): Permission.RULES_WRITE,
    ("GET", "/api/v1/samples/library"): Permission.RULES_TEST,
    ("GET", "/api/v1/samples/{sample_id}"): Permission.RULES_TEST,
    ("PUT", "/api/v1/samples/{sample_id}"): Permission.RULES_WRITE,
    ("DELETE", "/api/v1/samples/{sample_id}"): Permission.RULES_WRITE,
    ("GET", "/api/v1/traces"): Permission.TRACES_READ,
    ("GET", "/api/v1/traces/{trace_id}"): Permission.TRACES_READ,
    ("POST", "/api/v1/traces/{trace_id}/rule"): Permission.TRACES_READ,
    ("GET", "/api/v1/traces/{trace_id}/rows"): Permission.TRACES_READ,
    ("GET", "/api/v1/traces/{trace_id}/rows/search"): Permission.TRACES_READ,
    ("GET", "/api/v1/traces/{trace_id}/spans/{ordinal}"): Permission.TRACES_READ,
    ("GET", "/api/v1/keys"): Permission.KEYS_WRITE,
    ("POST", "/api/v1/keys"): Permission.KEYS_WRITE,
    ("GET", "/api/v1/keys/{key_id}"): Permission.KEYS_WRITE,
    ("POST", "/api/v1/keys/{key_id}/rotate"): Permission.KEYS_WRITE,
    ("POST", "/api/v1/keys/{key_id}/revoke"): Permission.KEYS_WRITE,
    ("GET", "/api/v1/tenant"): Permission.TENANT_READ,
    ("PATCH", "/api/v1/tenant"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/tenant/retention"): Permission.TENANT_READ,
    ("PUT", "/api/v1/tenant/retention"): Permission.TENANT_WRITE,
    ("PUT", "/api/v1/tenant/hold"): Permission.TENANT_WRITE,
    ("DELETE", "/api/v1/tenant/hold"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/tenant/redaction"): Permission.TENANT_READ,
    ("PUT", "/api/v1/tenant/redaction"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/tenant/redaction/versions"): Permission.TENANT_READ,
    ("GET", "/api/v1/tenant/redaction/counts"): Permission.TENANT_READ,
    ("POST", "/api/v1/tenant/redaction/preview"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/tenant/redaction/suggestions"): Permission.TENANT_WRITE,
    ("POST", "/api/v1/tenant/redaction/reveal"): Permission.REDACTION_REVEAL,
    ("GET", "/api/v1/tenant/export"): Permission.TENANT_EXPORT,
    ("GET", "/api/v1/tenant/deletion"): Permission.TENANT_READ,
    ("POST", "/api/v1/tenant/deletion"): Permission.TENANT_DELETE,
    ("DELETE", "/api/v1/tenant/deletion"): Permission.TENANT_DELETE,
    ("GET", "/api/v1/usage"): Permission.TENANT_READ,
    ("GET", "/api/v1/members"): Permission.TENANT_READ,
    ("GET", "/api/v1/members/{member_id}"): Permission.TENANT_READ,
    ("PUT", "/api/v1/members/{member_id}"): Permission.TENANT_WRITE,
    ("DELETE", "/api/v1/members/{member_id}"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/invitations"): Permission.TENANT_WRITE,
    ("POST", "/api/v1/invitations"): Permission.TENANT_WRITE,
    ("POST", "/api/v1/invitations/{invitation_id}/resend"): Permission.TENANT_WRITE,
    ("POST", "/api/v1/invitations/{invitation_id}/cancel"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/dead-letters"): Permission.LETTERS_READ,
    ("GET", "/api/v1/dead-letters/{letter_id}"): Permission.LETTERS_READ,
    ("POST", "/api/v1/dead-letters/{letter_id}/replay"): Permission.LETTERS_WRITE,
    ("POST", "/api/v1/dead-letters/{letter_id}/discard"): Permission.LETTERS_WRITE,
    ("GET", "/api/v1/evidence/targets"): Permission.TENANT_READ,
    ("POST", "/api/v1/evidence/targets"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/evidence/targets/{target_id}"): Permission.TENANT_READ,
    ("PATCH", "/api/v1/evidence/targets/{target_id}"): Permission.TENANT_WRITE,
    ("DELETE", "/api/v1/evidence/targets/{target_id}"): Permission.TENANT_WRITE,
    ("POST", "/api/v1/evidence/targets/{target_id}/send"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/evidence/anchors"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/anchors/{anchor_id}/stamp"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/audit"): Permission.AUDIT_READ,
    ("GET", "/api/v1/audit/export"): Permission.AUDIT_READ,
    ("GET", "/api/v1/evidence/records"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/records/{seq}/verification"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/records/{seq}/verifications"): Permission.EVIDENCE_READ,
    ("POST", "/api/v1/evidence/verifications"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/verifications"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/verifications/{verification_id}"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/controls"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/controls/{control_id}"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/export"): Permission.EVIDENCE_EXPORT,
    ("GET", "/api/v1/evidence/oscal"): Permission.EVIDENCE_EXPORT,
    ("GET", "/api/v1/evidence/report"): Permission.EVIDENCE_EXPORT,
    ("GET", "/api/v1/evidence/log"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/checkpoints"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/checkpoints/{number}"): Permission.EVIDENCE_READ,
    ("GET", "/api/v1/evidence/records/{seq}"): Permission.EVIDENCE_READ,
    ("DELETE", "/api/v1/evidence/records/{seq}/payload"): Permission.TENANT_WRITE,
    ("GET", "/api/v1/evidence/consistency"): Permission.EVIDENCE_READ,
    ("POST", "/api/v1/evidence/export"): Permission.EVIDENCE_EXPORT,
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(
        Settings.model_validate(
            {"database_url": "postgresql://betrace_app@127.0.0.1:1/x", "secret_key": "s" * 32}
        )
    )


def test_every_rest_route_asks_for_exactly_this(app: FastAPI) -> None:
    assert {
        (method, route.path): route.access
        for route in route_access(app)
        if route.path.startswith(("/api/v1/", "/health")) and route.path != app.openapi_url
        for method in route.methods
    } == {
        **dict.fromkeys(ANYBODY, "anybody"),
        **dict.fromkeys(KNOWN, "known"),
        **dict.fromkeys(OPERATORS, "operator"),
        **PERMISSIONS,
    }


def test_every_other_route_says_who_may_call_it(app: FastAPI) -> None:
    silent = [route.path for route in route_access(app) if route.access is None]
    assert silent == [app.openapi_url]


def test_a_route_without_a_permission_stops_the_start() -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    router = APIRouter()

    @router.get("/forgotten")
    async def forgotten() -> None:
        """Say nothing."""

    app.include_router(router, prefix="/deep")
    with pytest.raises(RuntimeError, match="/deep/forgotten"):
        refuse_undeclared(app)


def test_a_route_that_is_open_on_purpose_may_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/health/live", dependencies=[Depends(anyone)])
    async def open_route() -> None:
        """Say nothing."""

    refuse_undeclared(app)


def test_an_open_route_that_is_not_listed_stops_the_start() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/open", dependencies=[Depends(anyone)])
    async def open_route() -> None:
        """Say nothing."""

    with pytest.raises(RuntimeError, match=r"public\.py lacks: /open"):
        refuse_undeclared(app)


def test_the_list_of_public_routes_names_no_route_that_is_not_there(app: FastAPI) -> None:
    there = {(method, route.path) for route in route_access(app) for method in route.methods}
    assert there >= PUBLIC


def test_every_rest_route_is_described_with_its_refusals(app: FastAPI) -> None:
    schema = app.openapi()
    described = {
        (method.upper(), path)
        for path, operations in schema["paths"].items()
        for method in operations
    }
    assert described == {*ANYBODY, *KNOWN, *OPERATORS, *PERMISSIONS}
    for operations in schema["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert operation["responses"]["default"]["content"].keys() == {
                "application/problem+json"
            }
    bodies = schema["paths"]["/api/v1/rules"]["post"]["requestBody"]["content"]
    assert bodies.keys() == {"application/json", "application/yaml"}


def test_the_api_does_not_start_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BETRACE_SECRET_KEY", raising=False)
    with pytest.raises(SettingError, match="BETRACE_SECRET_KEY"):
        create_app(Settings.model_validate({"database_url": "postgresql://x@y/z"}))
