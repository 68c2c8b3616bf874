"""Every route, asked by everybody: with nothing, with what is over, with a key, as a person.

`ACCESS` says what each route asks for, and a route that is not in it fails. Who gets in follows
from the table of roles; the only exceptions are the public routes.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.access import CSRF_HEADER, OPERATOR_COOKIE, SESSION_COOKIE, Access, route_access
from api.auth.keys import hash_key
from api.auth.principal import GRANTS, MACHINE_ROLES, WITHHELD, Permission, Role, TenantScope
from api.auth.public import PUBLIC
from api.database import Pool
from api.limits.settings import NO_LIMITS, RequestLimits
from tests.integration.api.conftest import client_of
from tests.support import matrix
from tests.support.filled import filled_tenant
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, add_operator, make_key, make_tenant
from tests.unit.api.test_routes import KNOWN, OPERATORS, PERMISSIONS

Route = tuple[str, str]
_P = Permission
PAGES: Final[Mapping[Route, Access]] = {
    ("POST", "/sign-out"): "known",
    ("GET", "/home"): _P.SIGNALS_READ,
    ("GET", "/signals"): _P.SIGNALS_READ,
    ("POST", "/signals/bulk"): _P.SIGNALS_WRITE,
    ("POST", "/signals/bulk/{bulk_id}/undo"): _P.SIGNALS_WRITE,
    ("POST", "/signals/views"): _P.SIGNALS_READ,
    ("POST", "/signals/views/{view_id}/remove"): _P.SIGNALS_READ,
    ("GET", "/live/signals"): _P.SIGNALS_READ,
    ("GET", "/signals/{signal_id}"): _P.SIGNALS_READ,
    ("POST", "/signals/{signal_id}/status"): _P.SIGNALS_WRITE,
    ("GET", "/signals/{signal_id}/comparison"): _P.SIGNALS_READ,
    ("POST", "/signals/{signal_id}/assignee"): _P.SIGNALS_WRITE,
    ("POST", "/signals/{signal_id}/notes"): _P.SIGNALS_WRITE,
    ("POST", "/signals/{signal_id}/notes/{note_id}"): _P.SIGNALS_WRITE,
    ("POST", "/signals/{signal_id}/notes/{note_id}/remove"): _P.SIGNALS_WRITE,
    ("POST", "/signals/{signal_id}/links"): _P.SIGNALS_WRITE,
    ("POST", "/signals/{signal_id}/links/{other_id}/remove"): _P.SIGNALS_WRITE,
    ("GET", "/rules"): _P.RULES_READ,
    ("GET", "/rules/new"): _P.RULES_WRITE,
    ("POST", "/rules/bulk"): _P.RULES_WRITE,
    ("GET", "/rules/library"): _P.RULES_WRITE,
    ("POST", "/rules/library"): _P.RULES_WRITE,
    ("GET", "/rules/export"): _P.RULES_READ,
    ("POST", "/rules"): _P.RULES_WRITE,
    ("POST", "/rules/check"): _P.RULES_WRITE,
    ("POST", "/rules/try"): _P.RULES_WRITE,
    ("GET", "/traces/{trace_id}/rule"): _P.RULES_WRITE,
    ("POST", "/traces/{trace_id}/rule"): _P.RULES_WRITE,
    ("GET", "/rules/{rule_id}"): _P.RULES_READ,
    ("GET", "/rules/{rule_id}/edit"): _P.RULES_WRITE,
    ("POST", "/rules/{rule_id}"): _P.RULES_WRITE,
    ("POST", "/rules/{rule_id}/state"): _P.RULES_WRITE,
    ("GET", "/signals/{signal_id}/exception"): _P.RULES_WRITE,
    ("POST", "/signals/{signal_id}/exception"): _P.RULES_WRITE,
    ("POST", "/rules/{rule_id}/exceptions/{number}/end"): _P.RULES_WRITE,
    ("POST", "/rules/{rule_id}/snooze"): _P.RULES_SNOOZE,
    ("POST", "/rules/{rule_id}/snooze/end"): _P.RULES_SNOOZE,
    ("GET", "/rules/{rule_id}/difference"): _P.RULES_READ,
    ("POST", "/rules/{rule_id}/restore"): _P.RULES_WRITE,
    ("POST", "/rules/new/backtest/draft"): _P.RULES_TEST,
    ("POST", "/rules/new/backtest"): _P.RULES_TEST,
    ("GET", "/rules/{rule_id}/backtest"): _P.RULES_TEST,
    ("POST", "/rules/{rule_id}/backtest/draft"): _P.RULES_TEST,
    ("POST", "/rules/{rule_id}/backtest"): _P.RULES_TEST,
    ("GET", "/backtests/{backtest_id}"): _P.RULES_TEST,
    ("POST", "/backtests/{backtest_id}/cancel"): _P.RULES_TEST,
    ("GET", "/backtests/{backtest_id}/traces"): _P.SIGNALS_READ,
    ("GET", "/rules/{rule_id}/cases"): _P.RULES_READ,
    ("POST", "/rules/{rule_id}/cases"): _P.RULES_WRITE,
    ("POST", "/rules/{rule_id}/cases/run"): _P.RULES_TEST,
    ("POST", "/rules/{rule_id}/cases/{case_id}/delete"): _P.RULES_WRITE,
    ("GET", "/test-runs"): _P.RULES_READ,
    ("POST", "/test-runs"): _P.RULES_TEST,
    ("GET", "/test-runs/{run_id}"): _P.RULES_READ,
    ("GET", "/samples"): _P.RULES_TEST,
    ("POST", "/samples"): _P.RULES_WRITE,
    ("GET", "/samples/{sample_id}"): _P.RULES_TEST,
    ("POST", "/samples/{sample_id}"): _P.RULES_WRITE,
    ("POST", "/samples/{sample_id}/delete"): _P.RULES_WRITE,
    ("POST", "/samples/{sample_id}/trial"): _P.RULES_TEST,
    ("GET", "/traces"): _P.TRACES_READ,
    ("GET", "/traces/{trace_id}"): _P.TRACES_READ,
    ("GET", "/dead-letters"): _P.LETTERS_READ,
    ("POST", "/dead-letters/{letter_id}/replay"): _P.LETTERS_WRITE,
    ("POST", "/dead-letters/{letter_id}/discard"): _P.LETTERS_WRITE,
    ("GET", "/notices"): _P.TENANT_READ,
    ("GET", "/notices/count"): _P.TENANT_READ,
    ("POST", "/notices/{notice_id}/acknowledge"): _P.TENANT_READ,
    ("GET", "/go"): "known",
    ("GET", "/settings"): "known",
    ("GET", "/settings/account"): "known",
    ("POST", "/settings/account/password"): "known",
    ("POST", "/settings/account/second-factor"): "known",
    ("POST", "/settings/account/second-factor/confirm"): "known",
    ("POST", "/settings/account/second-factor/off"): "known",
    ("POST", "/settings/account/second-factor/recovery-codes"): "known",
    ("POST", "/settings/account/provider"): "known",
    ("POST", "/settings/account/provider/remove"): "known",
    ("POST", "/settings/account/sessions/end-others"): "known",
    ("POST", "/settings/account/sessions/{session_id}/end"): "known",
    ("POST", "/switch-tenant"): "known",
    ("GET", "/welcome"): _P.SIGNALS_READ,
    ("GET", "/welcome/progress"): _P.SIGNALS_READ,
    ("POST", "/welcome/key"): _P.KEYS_WRITE,
    ("POST", "/welcome/rules"): _P.RULES_WRITE,
    ("GET", "/settings/tenant"): _P.TENANT_READ,
    ("POST", "/settings/tenant"): _P.TENANT_WRITE,
    ("GET", "/settings/retention"): _P.TENANT_READ,
    ("POST", "/settings/retention"): _P.TENANT_WRITE,
    ("POST", "/settings/retention/hold"): _P.TENANT_WRITE,
    ("POST", "/settings/retention/release"): _P.TENANT_WRITE,
    ("GET", "/settings/evidence"): _P.TENANT_READ,
    ("GET", "/settings/evidence/new"): _P.TENANT_WRITE,
    ("POST", "/settings/evidence"): _P.TENANT_WRITE,
    ("GET", "/settings/evidence/{target_id}/edit"): _P.TENANT_WRITE,
    ("POST", "/settings/evidence/{target_id}"): _P.TENANT_WRITE,
    ("POST", "/settings/evidence/{target_id}/send"): _P.TENANT_WRITE,
    ("POST", "/settings/evidence/{target_id}/switch"): _P.TENANT_WRITE,
    ("POST", "/settings/evidence/{target_id}/remove"): _P.TENANT_WRITE,
    ("GET", "/settings/data"): _P.TENANT_READ,
    ("GET", "/settings/data/export"): _P.TENANT_EXPORT,
    ("POST", "/settings/data/delete"): _P.TENANT_DELETE,
    ("POST", "/settings/data/keep"): _P.TENANT_DELETE,
    ("GET", "/settings/usage"): _P.TENANT_READ,
    ("GET", "/settings/team"): _P.TENANT_READ,
    ("POST", "/settings/team/invitations"): _P.TENANT_WRITE,
    ("POST", "/settings/team/invitations/{invitation_id}/resend"): _P.TENANT_WRITE,
    ("POST", "/settings/team/invitations/{invitation_id}/cancel"): _P.TENANT_WRITE,
    ("POST", "/settings/team/leave"): "known",
    ("GET", "/settings/team/{member_id}"): _P.TENANT_WRITE,
    ("POST", "/settings/team/{member_id}/role"): _P.TENANT_WRITE,
    ("POST", "/settings/team/{member_id}/remove"): _P.TENANT_WRITE,
    ("GET", "/settings/redaction"): _P.TENANT_READ,
    ("POST", "/settings/redaction"): _P.TENANT_WRITE,
    ("POST", "/settings/redaction/preview"): _P.TENANT_WRITE,
    ("POST", "/settings/redaction/reveal"): _P.REDACTION_REVEAL,
    ("GET", "/settings/keys"): _P.KEYS_WRITE,
    ("GET", "/settings/keys/new"): _P.KEYS_WRITE,
    ("POST", "/settings/keys"): _P.KEYS_WRITE,
    ("GET", "/settings/keys/{key_id}"): _P.KEYS_WRITE,
    ("POST", "/settings/keys/{key_id}/rotate"): _P.KEYS_WRITE,
    ("POST", "/settings/keys/{key_id}/revoke"): _P.KEYS_WRITE,
    ("POST", "/operator/sign-out"): "operator",
    ("GET", "/operator"): "operator",
    ("GET", "/operator/new"): "operator",
    ("POST", "/operator/new"): "operator",
    ("GET", "/operator/tenants/{tenant_id}"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/suspend"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/resume"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/hold"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/release"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/tier"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/quotas"): "operator",
    ("POST", "/operator/tenants/{tenant_id}/bounds"): "operator",
    ("GET", "/audit"): _P.AUDIT_READ,
    ("GET", "/evidence"): _P.EVIDENCE_READ,
    ("GET", "/evidence/controls"): _P.EVIDENCE_READ,
    ("GET", "/evidence/control"): _P.EVIDENCE_READ,
    ("GET", "/evidence/records/{seq}"): _P.EVIDENCE_READ,
    ("GET", "/evidence/verify"): _P.EVIDENCE_READ,
    ("GET", "/evidence/verifications"): _P.EVIDENCE_READ,
    ("POST", "/evidence/verifications"): _P.EVIDENCE_READ,
    ("GET", "/evidence/verifications/{verification_id}"): _P.EVIDENCE_READ,
    ("GET", "/evidence/pack"): _P.EVIDENCE_EXPORT,
    ("GET", "/evidence/export"): _P.EVIDENCE_EXPORT,
    ("GET", "/evidence/oscal"): _P.EVIDENCE_EXPORT,
    ("GET", "/evidence/report"): _P.EVIDENCE_EXPORT,
    ("GET", "/audit/export"): _P.AUDIT_READ,
}
ACCESS: Final[Mapping[Route, Access]] = {
    **dict.fromkeys(PUBLIC, "anybody"),
    **dict.fromkeys(KNOWN, "known"),
    **dict.fromkeys(OPERATORS, "operator"),
    **PERMISSIONS,
    **PAGES,
}
LEFT_TO_THE_VISITOR: Final = frozenset(
    {
        ("POST", "/sign-out"),
        ("POST", "/switch-tenant"),
        ("DELETE", "/api/v1/session"),
        ("POST", "/api/v1/account/tenant"),
    }
)
"""What changes something, needs no permission, and is open to somebody in a person's place."""
FOR_WHO_IS_SIGNED_IN: Final = ("POST", "/api/v1/invitations/accept")
"""Open to everybody, and acting for a person where one is signed in."""
PEOPLE: Final = tuple(role for role in Role if role is not Role.API_CLIENT)
NOT_THERE: Final = {
    "rule_id": "missing",
    "version": "1",
    "signal_id": "f" * 32,
    "other_id": "d" * 32,
    "note_id": "00000000-0000-4000-8000-000000000009",
    "view_id": "00000000-0000-4000-8000-00000000000d",
    "bulk_id": "00000000-0000-4000-8000-00000000000e",
    "ordinal": "0",
    "trace_id": "e" * 32,
    "sample_id": "00000000-0000-4000-8000-00000000000a",
    "case_id": "00000000-0000-4000-8000-00000000000b",
    "run_id": "00000000-0000-4000-8000-00000000000c",
    "letter_id": "1-999",
    "seq": "0",
    "control_id": "soc2.NONE",
    "number": "1",
    "notice_id": "00000000-0000-4000-8000-000000000000",
    "backtest_id": "00000000-0000-4000-8000-000000000001",
    "key_id": "00000000-0000-4000-8000-000000000002",
    "session_id": "00000000-0000-4000-8000-000000000003",
    "member_id": "00000000-0000-4000-8000-000000000004",
    "invitation_id": "00000000-0000-4000-8000-000000000005",
    "target_id": "00000000-0000-4000-8000-000000000007",
    "verification_id": "00000000-0000-4000-8000-000000000008",
    "anchor_id": "00000000-0000-4000-8000-000000000007",
    "tenant_id": "00000000-0000-4000-8000-000000000006",
    "token": "nobodys",
    "path": "nothing.css",
}
BODIES: Final[Mapping[str, Any]] = {
    "/api/v1/rules": {"id": "another", "rule": "when { a } never { b }"},
    "/api/v1/rules/{rule_id}": {"rule": "when { a } never { c }"},
    "/api/v1/rules/{rule_id}/state": {"state": "shadow"},
    "/api/v1/rules/{rule_id}/restore": {"version": 1, "reason": "As it was."},
    "/api/v1/rules/bulk": {"ids": ["promise"], "act": "active"},
    "/api/v1/rules/library": {"ids": ["security-weak-tls"]},
    "/api/v1/rules/validate": {"rule": "when { a } never { b }"},
    "/api/v1/rules/trial": {"rule": "when { a } never { b }", "traces": []},
    "/api/v1/rules/{rule_id}/exceptions/trial": {"where": "service == staging"},
    "/api/v1/rules/{rule_id}/exceptions": {"where": "service == staging", "reason": "Tests."},
    "/api/v1/rules/{rule_id}/snoozes": {"until": "2027-01-15T08:00:00Z", "reason": "Tests."},
    "/api/v1/rules/{rule_id}/cases": {"sample": "retry-storm", "expect": "violated"},
    "/api/v1/samples": {"name": "A sample", "trace_id": "e" * 32},
    "/api/v1/samples/{sample_id}": {"name": "A sample"},
    "/api/v1/rules/trial/stored": {"rule": "when { a } never { b }", "recent": 1},
    "/api/v1/rules/editor/marks": {"text": "when { a } never { b }"},
    "/api/v1/rules/editor/completions": {"text": "when { a", "offset": 8},
    "/api/v1/rules/editor/hover": {"text": "when { a", "offset": 2},
    "/api/v1/traces/{trace_id}/rule": {"picks": [{"span_id": "00" * 8}]},
    "/api/v1/signals/{signal_id}": {"status": "investigating"},
    "/api/v1/signals/bulk": {"status": "investigating"},
    "/api/v1/signals/views": {"name": "Another", "query": "status=open"},
    "/api/v1/signals/views/{view_id}": {"name": "Mine", "query": "status=open"},
    "/api/v1/signals/{signal_id}/notes": {"text": "Seen."},
    "/api/v1/signals/{signal_id}/notes/{note_id}": {"text": "Seen, and corrected."},
    "/api/v1/dead-letters/{letter_id}/discard": {"note": "no use"},
    "/api/v1/members/{member_id}": {"role": "developer"},
    "/api/v1/tenant/retention": {"days": {"signals": 90}},
    "/api/v1/evidence/verifications": {"records": [0]},
    "/api/v1/evidence/targets": {"target": {"kind": "mail", "address": "a@example.com"}},
    "/api/v1/tenant/redaction": {"strategies": {"phone": "hash"}},
    "/api/v1/tenant/redaction/preview": {"strategies": {"phone": "hash"}},
    "/api/v1/tenant/redaction/reveal": {"token": "tok:nobodys"},
    "/api/v1/invitations": {"email": "invited@example.com", "role": "viewer"},
    "/api/v1/invitations/accept": {"token": "nobodys"},
    "/api/v1/operator/tenants": {"name": "matrix", "admin": "ada@example.com"},
    "/api/v1/operator/tenants/{tenant_id}/tier": {"tier": "standard"},
    "/api/v1/operator/tenants/{tenant_id}/quotas": {"max_rules": 5},
    "/api/v1/operator/tenants/{tenant_id}/retention": {"bounds": {}},
    "/api/v1/session": {"email": "nobody@example.com", "password": "wrong"},
}
QUERIES: Final = {
    "/rules/{rule_id}/difference": {"was": "1", "now": "1"},
    "/api/v1/rules/{rule_id}/difference": {"was": "1", "now": "1"},
    "/backtests/{backtest_id}/traces": {"rule_id": "promise", "now": "violated"},
    "/live/signals": {"after": "nonsense"},
}
FORM: Final = {
    "version": "1",
    "restored": "1",
    "reason": "As it was.",
    "state": "shadow",
    "status": "investigating",
    "rule": "when { a }",
    "text": "Seen.",
    "other": "d" * 32,
}

Credential = dict[str, str]
"""The headers that a request carries as its credential."""
Make = Callable[[], Awaitable[Credential]]


@dataclass(frozen=True, slots=True)
class World:
    """An application with a tenant that has one of everything."""

    app: FastAPI
    pool: Pool
    database: Database
    scope: TenantScope
    ids: Mapping[str, str]

    async def key(self, role: Role, scope: TenantScope, **columns: str) -> Credential:
        """Make a key; columns: SQL of what is changed of its row."""
        key = await make_key(self.pool, scope, role)
        for name, value in columns.items():
            self._change(f"update api_keys set {name} = {value} where key_hash = %s", key)
        return {"X-API-Key": key}

    async def session(self, role: Role, scope: TenantScope, **columns: str) -> Credential:
        """Sign a new person in; columns: SQL of what is changed of the session's row."""
        token, csrf, user_id = secrets.token_urlsafe(32), secrets.token_urlsafe(32), uuid4()
        token_hash = self.app.state.services.sessions.hash_of(token)
        with psycopg.connect(self.database.admin) as connection:
            connection.execute(
                "insert into users (id, email, name, password_hash) values (%s, %s, 'A', '')",
                [user_id, f"{user_id}@example.com"],
            )
            connection.execute(
                "insert into memberships (tenant_id, user_id, role, expires_at)"
                " values (%s, %s, %s, now() + interval '1 day')",
                [scope.tenant_id, user_id, role.value],
            )
            connection.execute(
                "insert into sessions (token_hash, user_id, tenant_id, csrf_token, expires_at)"
                " values (%s, %s, %s, %s, now() + %s)",
                [token_hash, user_id, scope.tenant_id, csrf, timedelta(hours=1)],
            )
            for name, value in columns.items():
                connection.execute(
                    f"update sessions set {name} = {value} where token_hash = %s".encode(),
                    [token_hash],
                )
        return {"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: csrf}

    async def ask(
        self, route: Route, credential: Credential, ids: Mapping[str, str]
    ) -> httpx.Response:
        """Send a request that the route can work with."""
        method, path = route
        body: dict[str, Any] = {"json": BODIES.get(path, {})} if "/api/" in path else {"data": FORM}
        async with client_of(self.app) as client:
            return await client.request(
                method,
                path.replace(":path}", "}").format(**ids),
                headers={**credential, "X-Request-ID": "matrix"},
                params=QUERIES.get(path),
                **(body if method in ("POST", "PUT", "PATCH") else {}),
            )

    def _change(self, statement: str, key: str) -> None:
        with psycopg.connect(self.database.admin) as connection:
            connection.execute(statement.encode(), [hash_key(key, pepper=PEPPER)])


@pytest.fixture
def limits() -> RequestLimits:
    """None: one credential tries every route."""
    return NO_LIMITS


@pytest.fixture
async def world(
    app: FastAPI, pool: Pool, shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A tenant with one of everything; live streams end at once."""
    for module in ("api.signals.routes", "api.web.pages.signals"):
        monkeypatch.setattr(f"{module}.STREAM_LIFE_S", 0.01)
    filled = await filled_tenant(pool, shared_database)
    return World(app, pool, shared_database, filled.scope, filled.ids)


async def make_operator(pool: Pool, app: FastAPI, *, means: str) -> Credential:
    """Make an operator; means: a key in a header, or the session of a browser."""
    key = await add_operator(pool)
    if means == "key":
        return {"X-API-Key": key}
    begun = await app.state.services.operators.begin(key, address=None)
    assert begun is not None
    cookie = f"{OPERATOR_COOKIE}={begun.token}"
    return {"Cookie": cookie, CSRF_HEADER: begun.operator.csrf_token}


def verdict(response: httpx.Response) -> str:
    """Return what became of a request: in, or why not."""
    problem = response.headers.get("content-type", "") == "application/problem+json"
    code = response.json()["code"] if problem else ""
    if response.status_code >= 500 and response.status_code != 503:
        return "broken"
    refusals = {
        "auth.unauthenticated": "unknown",
        "auth.forbidden": "forbidden",
        "auth.csrf": "forged",
        "auth.acting": "not in another's place",
    }
    return refusals.get(code, "in")


def expected(route: Route, role: Role | None) -> str:
    """Return what must become of a request of somebody with a role, None: unknown."""
    access = ACCESS[route]
    if access == "anybody":
        return "in"
    if role is None or access == "operator":
        return "unknown"
    return "in" if access == "known" or access in GRANTS[role] else "forbidden"


def expected_of_visitor(route: Route, role: Role) -> str:
    """As `expected`, of somebody who acts in the place of a person with the role."""
    access = ACCESS[route]
    own = access == "known" and route[0] != "GET" and route not in LEFT_TO_THE_VISITOR
    if own or route == FOR_WHO_IS_SIGNED_IN or (access in WITHHELD and access in GRANTS[role]):
        return "not in another's place"
    return expected(route, role)


async def judge(
    world: World,
    make: Make,
    role: Role | None,
    *,
    expecting: Callable[[Route, Any], str] = expected,
) -> tuple[int, list[str]]:
    """Ask every route; return how many requests that were, and what went wrong."""
    wrong = []
    for route in ACCESS:
        response = await world.ask(route, await make(), world.ids)
        if verdict(response) != expecting(route, role):
            wrong.append(
                f"{route}: {verdict(response)} {response.status_code} {response.text[:80]}"
            )
    return len(ACCESS), wrong


def test_every_route_has_an_entry(app: FastAPI) -> None:
    declared = {
        (method, route.path): route.access or "anybody"
        for route in route_access(app)
        for method in route.methods - {"HEAD"}
    }
    assert declared == ACCESS


async def test_without_a_credential(world: World, record_property: Callable[..., None]) -> None:
    async def nothing() -> Credential:
        return {}

    count, wrong = await judge(world, nothing, None)
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
async def test_a_person(role: Role, world: World, record_property: Callable[..., None]) -> None:
    count, wrong = await judge(world, lambda: world.session(role, world.scope), role)
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
async def test_somebody_in_a_persons_place(
    role: Role, world: World, record_property: Callable[..., None]
) -> None:
    count, wrong = await judge(
        world,
        lambda: world.session(role, world.scope, acting="'support@vendor.example'"),
        role,
        expecting=expected_of_visitor,
    )
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", MACHINE_ROLES)
async def test_a_machine_with_and_without_the_permission(
    role: Role, world: World, record_property: Callable[..., None]
) -> None:
    key = await world.key(role, world.scope)

    async def same() -> Credential:
        return key

    count, wrong = await judge(world, same, role)
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("expires_at", "now() - interval '1 second'"),
        ("last_seen_at", "now() - interval '25 hours'"),
    ],
    ids=["over", "idle"],
)
async def test_a_session_that_is_over(
    column: str, value: str, role: Role, world: World, record_property: Callable[..., None]
) -> None:
    over = await world.session(role, world.scope, **{column: value})

    async def same() -> Credential:
        return over

    count, wrong = await judge(world, same, None)
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", MACHINE_ROLES)
@pytest.mark.parametrize(
    ("column", "value"),
    [("revoked_at", "now()"), ("expires_at", "now() - interval '1 second'")],
    ids=["revoked", "expired"],
)
async def test_a_key_that_is_over(
    column: str, value: str, role: Role, world: World, record_property: Callable[..., None]
) -> None:
    over = await world.key(role, world.scope, **{column: value})

    async def same() -> Credential:
        return over

    count, wrong = await judge(world, same, None)
    record_property(matrix.PROPERTY, count)
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
async def test_a_person_whose_request_may_be_forged(
    role: Role, world: World, record_property: Callable[..., None]
) -> None:
    wrong = []
    changing = [r for r in ACCESS if r[0] != "GET" and ACCESS[r] not in ("anybody", "operator")]
    for route in changing:
        session = await world.session(role, world.scope)  # one person may not try as much
        response = await world.ask(route, {"Cookie": session["Cookie"]}, world.ids)
        if verdict(response) != "forged":
            wrong.append(f"{route}: {verdict(response)} {response.status_code}")
    record_property(matrix.PROPERTY, len(changing))
    assert wrong == []


@pytest.mark.parametrize("means", ["key", "session"])
async def test_an_operator_is_nobody_in_any_tenant(
    means: str, world: World, record_property: Callable[..., None]
) -> None:
    """Pages and REST of operators, and nothing else; a key alone is not asked for a proof."""
    operator = await make_operator(world.pool, world.app, means=means)
    wrong = []
    routes = [route for route in ACCESS if route[1] != "/operator/sign-out"]
    for route in routes:
        response = await world.ask(route, operator, world.ids)
        wanted = "unknown" if ACCESS[route] not in ("anybody", "operator") else "in"
        if verdict(response) != wanted:
            wrong.append(f"{route}: {verdict(response)} {response.status_code}")
    record_property(matrix.PROPERTY, len(routes))
    assert wrong == []


async def test_an_operator_whose_request_may_be_forged(
    world: World, record_property: Callable[..., None]
) -> None:
    operator = await make_operator(world.pool, world.app, means="session")
    changing = [r for r in ACCESS if r[0] != "GET" and ACCESS[r] == "operator"]
    answers = [
        await world.ask(route, {"Cookie": operator["Cookie"]}, world.ids) for route in changing
    ]
    record_property(matrix.PROPERTY, len(changing))
    assert {verdict(answer) for answer in answers} == {"forged"}


OF_THINGS: Final = sorted(
    (
        r
        for r in ACCESS
        if "{" in r[1] and "{control_id}" not in r[1] and ACCESS[r] not in ("anybody", "operator")
    ),
    key=lambda route: route[0] == "PUT",
)
"""What makes a thing of the caller's own under an id comes last. Controls are everybody's."""


@pytest.mark.parametrize("role", Role)
async def test_what_is_anothers_is_as_if_it_were_not_there(
    role: Role, world: World, record_property: Callable[..., None]
) -> None:
    """The same status, body and headers for a foreign id and for one that nobody has."""
    makers = [world.session] if role in PEOPLE else []
    makers += [world.key] if role in MACHINE_ROLES else []
    wrong = []
    for make in makers:
        credential = await make(role, await make_tenant(world.pool))
        for route in OF_THINGS:
            foreign = await world.ask(route, credential, world.ids)
            missing = await world.ask(route, credential, NOT_THERE)
            granted = expected(route, role) == "in"
            if _told(foreign, world.ids) != _told(missing, NOT_THERE):
                wrong.append(f"{route}: {foreign.text[:200]} {missing.text[:200]}")
            if granted and route[0] == "GET" and foreign.status_code != 404:
                wrong.append(f"{route}: {foreign.status_code}")
            if not granted and verdict(foreign) != "forbidden":
                wrong.append(f"{route}: {verdict(foreign)}")
    record_property(matrix.PROPERTY, 2 * len(OF_THINGS) * len(makers))
    assert wrong == []


def _told(response: httpx.Response, ids: Mapping[str, str]) -> tuple[object, ...]:
    """Return all that an answer tells, with names in place of the ids that were asked for.

    Of something that was just made for the caller: that it was.
    """
    if response.status_code == 201:
        return (201,)
    headers = sorted(one for one in response.headers.items() if one[0] != "content-length")
    told = [str(headers), response.text]
    for name, value in ids.items():
        if len(value) > 1:
            told = [text.replace(value, f"<{name}>") for text in told]
    return (response.status_code, *told)
