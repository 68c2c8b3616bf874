"""Inviting into a tenant that is an organisation of WorkOS, against a stand-in of its API
(`tests.support.workos_stand_in`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, put_grant
from tests.integration.api.provider_browser import Browser, browser_of, log_of
from tests.integration.api.test_workos_sign_in import app, granted, workos, workos_settings
from tests.support.postgres import Database
from tests.support.tenants import make_key, make_tenant
from tests.support.workos_stand_in import WorkosStandIn

__all__ = ["app", "granted", "workos", "workos_settings"]

PATH = "/api/v1/invitations"


@dataclass(frozen=True)
class Admin:
    """An administrator's program in a tenant."""

    http: httpx.AsyncClient
    key: dict[str, str]

    async def post(self, path: str = "", **body: Any) -> httpx.Response:
        return await self.http.post(f"{PATH}{path}", json=body, headers=self.key)

    async def invited(self, role: str = "developer") -> dict[str, Any]:
        made = await self.post(email=_address(), role=role)
        assert made.status_code == 201, made.text
        body: dict[str, Any] = made.json()
        return body

    async def state(self, invitation: dict[str, Any]) -> str:
        listed = await self.http.get(f"{PATH}?ended=true", headers=self.key)
        return next(
            each["state"] for each in listed.json()["items"] if each["id"] == invitation["id"]
        )


@pytest.fixture
async def admin(app: FastAPI, pool: Pool, granted: TenantScope) -> AsyncIterator[Admin]:
    async with browser_of(app) as http:
        yield Admin(http, {"X-API-Key": await make_key(pool, granted)})


def _address() -> str:
    return f"{uuid4().hex}@example.com"


def _only(workos: WorkosStandIn, invitation: dict[str, Any]) -> dict[str, Any]:
    (found,) = [
        each for each in workos.invitations.values() if each["email"] == invitation["email"]
    ]
    return found


async def test_workos_invites_into_the_organisation_with_the_role_that_the_grant_names(
    admin: Admin, workos: WorkosStandIn
) -> None:
    made = await admin.invited()
    there = _only(workos, made)
    assert (there["organization_id"], there["role_slug"]) == ("org_01TEST", "member")
    assert (made["issuer"], made["link"], made["problem"]) == (workos.issuer, None, None)
    assert made["mailed_at"] is not None
    assert made["expires_at"] == there["expires_at"].replace("+00:00", "Z")


async def test_whoever_accepted_there_comes_in_by_the_claims(
    admin: Admin, app: FastAPI, workos: WorkosStandIn, granted: TenantScope,
    shared_database: Database,
) -> None:  # fmt: skip
    made = await admin.invited()
    _only(workos, made)["state"] = "accepted"
    async with browser_of(app) as http:
        browser = Browser(http)
        await browser.come_back(workos.sign_in(await browser.begin(), made["email"]))
        who = await browser.identity() or {}
    assert (who["name"], who["role"]) == (made["email"], "developer")
    assert await admin.state(made) == "accepted"
    told = [action for action, _ in await log_of(shared_database, granted)]
    assert told[-3:] == ["member.changed", "invitation.accepted", "session.began"]


async def test_an_invitation_is_sent_again_after_a_minute_and_anew_once_it_is_over_there(
    admin: Admin, workos: WorkosStandIn, shared_database: Database
) -> None:
    made = await admin.invited()
    first = _only(workos, made)
    assert (await admin.post(f"/{made['id']}/resend")).json()["code"] == "invitation.just_mailed"
    _a_minute_passes(shared_database, made)
    again = await admin.post(f"/{made['id']}/resend")
    assert (again.status_code, again.json()["link"]) == (200, None)
    assert workos.sent.count(first["id"]) == 2
    first["state"] = "expired"
    _a_minute_passes(shared_database, made)
    assert (await admin.post(f"/{made['id']}/resend")).json()["problem"] is None
    assert [each["email"] for each in workos.pending(made["email"], "org_01TEST")] == [
        made["email"]
    ]


async def test_one_that_workos_knows_and_we_do_not_is_taken_up(
    admin: Admin, workos: WorkosStandIn
) -> None:
    """Sent, and we were killed before we could write so down."""
    email = _address()
    body = {"email": email, "organization_id": "org_01TEST", "role_slug": "member"}
    workos.invite({**body, "expires_in_days": 7})
    made = await admin.post(email=email, role="developer")
    assert (made.status_code, made.json()["problem"]) == (201, None)
    assert workos.sent.count(_only(workos, made.json())["id"]) == 2


async def test_a_cancelled_invitation_opens_nothing_there_either(
    admin: Admin, workos: WorkosStandIn
) -> None:
    made = await admin.invited()
    assert (await admin.post(f"/{made['id']}/cancel")).json()["state"] == "cancelled"
    assert _only(workos, made)["state"] == "revoked"
    assert (await admin.post(f"/{made['id']}/cancel")).status_code == 200, "again does no harm"


async def test_nothing_is_cancelled_that_workos_has_not_taken_back(
    admin: Admin, workos: WorkosStandIn
) -> None:
    made, accepted = await admin.invited(), await admin.invited()
    workos.away = True
    try:
        refused = await admin.post(f"/{made['id']}/cancel")
    finally:
        workos.away = False
    assert (refused.status_code, refused.json()["code"]) == (503, "identity.unavailable")
    _only(workos, accepted)["state"] = "accepted"
    late = await admin.post(f"/{accepted['id']}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "invitation.over")
    assert [await admin.state(each) for each in (made, accepted)] == ["pending", "pending"]


async def test_one_that_was_not_sent_stays_and_can_be_sent_again(
    admin: Admin, workos: WorkosStandIn
) -> None:
    workos.away = True
    try:
        made = await admin.invited()
    finally:
        workos.away = False
    assert (made["link"], "WorkOS does not answer" in made["problem"]) == (None, True)
    assert made["mailed_at"] is None
    again = await admin.post(f"/{made['id']}/resend")
    assert (again.status_code, again.json()["problem"]) == (200, None)
    assert _only(workos, made)["state"] == "pending"


async def test_an_organisation_that_workos_does_not_know_is_the_operators_to_mend(
    admin: Admin, workos: WorkosStandIn, granted: TenantScope, pool: Pool
) -> None:
    unknown = Grant(
        issuer=workos.issuer, organisation="org_GONE", kind=Kind.GROUP, value="sre", role=Role.SRE
    )
    await put_grant(pool, granted, unknown)
    made = await admin.invited(role="sre")
    assert "Organization not found" in made["problem"]


async def test_what_claims_cannot_give_is_invited_here(admin: Admin, workos: WorkosStandIn) -> None:
    """A role that no group has there, and a membership for a time."""
    viewer = await admin.invited(role="viewer")
    until = "2027-01-01T00:00:00Z"
    auditor = (await admin.post(email=_address(), role="auditor", member_until=until)).json()
    for made in (viewer, auditor):
        assert (made["issuer"], made["link"] is not None) == (None, True)
        assert not [each for each in workos.invitations.values() if each["email"] == made["email"]]


async def test_another_tenant_invites_here_and_sees_none_of_it(
    admin: Admin, app: FastAPI, workos: WorkosStandIn, pool: Pool
) -> None:
    made = await admin.invited()
    other = Admin(admin.http, {"X-API-Key": await make_key(pool, await make_tenant(pool))})
    assert (await other.invited())["issuer"] is None
    for what in ("resend", "cancel"):
        assert (await other.post(f"/{made['id']}/{what}")).status_code == 404
    assert _only(workos, made)["state"] == "pending"


def _a_minute_passes(database: Database, invitation: dict[str, Any]) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "update invitations set mailed_at = mailed_at - interval '61 seconds' where id = %s",
            [invitation["id"]],
        )
