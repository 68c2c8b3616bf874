"""Members by REST: lists, roles, removal and leaving, and that a tenant keeps an admin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Permission, Role, TenantScope
from api.database import Pool
from api.problems import ApiError
from api.tenants.service import add_member
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, add_key, insert_member, make_user


@dataclass
class Person:
    """Somebody signed in."""

    client: httpx.AsyncClient
    email: str
    id: str = ""

    async def send(self, method: str, path: str, **body: Any) -> httpx.Response:
        return await self.client.request(method, f"/api/v1{path}", json=body or None)

    async def is_in(self) -> bool:
        return (await self.client.get("/api/v1/session")).status_code == 200


@asynccontextmanager
async def signed_in(app: FastAPI, pool: Pool, scope: TenantScope, role: Role) -> Any:
    async with client_of(app) as client:
        email = await make_user(pool, scope, role)
        answer = await client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        person = Person(client, email)
        found = await client.get("/api/v1/members?limit=1000")
        person.id = next(m["id"] for m in found.json()["items"] if m["email"] == email)
        yield person


@pytest.fixture
async def admin(app: FastAPI, pool: Pool, scope: TenantScope) -> AsyncIterator[Person]:
    """The only admin of the tenant."""
    async with signed_in(app, pool, scope, Role.ADMIN) as person:
        yield person


@pytest.fixture
async def sre(app: FastAPI, pool: Pool, scope: TenantScope) -> AsyncIterator[Person]:
    """An SRE of the same tenant."""
    async with signed_in(app, pool, scope, Role.SRE) as person:
        yield person


async def audited(client: httpx.AsyncClient, action: str) -> list[dict[str, Any]]:
    found = await client.get("/api/v1/audit", params={"action": action})
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def test_members_are_listed_by_address_and_in_pages(admin: Person, sre: Person) -> None:
    first = (await admin.send("GET", "/members?limit=1")).json()
    rest = (await admin.send("GET", f"/members?cursor={first['next_cursor']}")).json()
    found = [*first["items"], *rest["items"]]
    assert [m["email"] for m in found] == sorted([admin.email, sre.email])
    assert {m["email"]: m["role"] for m in found} == {admin.email: "admin", sre.email: "sre"}
    assert all(m["last_seen_at"] and m["until"] is None and not m["ended"] for m in found)
    assert rest["next_cursor"] is None


async def test_another_role_holds_from_the_next_request_on_and_is_on_record(
    admin: Person, sre: Person
) -> None:
    changed = await admin.send("PUT", f"/members/{sre.id}", role="viewer")
    assert (changed.status_code, changed.json()["role"]) == (200, "viewer")
    identity = (await sre.client.get("/api/v1/session")).json()
    assert identity["permissions"] == [Permission.TENANT_READ.value]
    (row,) = await audited(admin.client, "member.changed")
    assert row["target"] == f"user:{sre.id}"
    assert row["details"] == {"before": "sre", "role": "viewer"}
    assert row["actor"] == f"user:{admin.id}"


async def test_a_removed_member_is_out_at_once_and_others_stay(
    admin: Person, sre: Person, app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    removed = await admin.send("DELETE", f"/members/{sre.id}")
    assert (removed.status_code, removed.json()) == (200, {"keys": 0})
    assert not await sre.is_in()
    assert await admin.is_in()
    async with client_of(app) as client:
        again = await client.post(
            "/api/v1/session", json={"email": sre.email, "password": PASSWORD}
        )
    assert again.status_code == 401
    (row,) = await audited(admin.client, "member.removed")
    assert row["details"] == {"role": "sre", "sessions_ended": "1"}
    assert (await admin.send("DELETE", f"/members/{sre.id}")).status_code == 404


async def test_removal_leaves_the_sessions_in_other_tenants(
    admin: Person, sre: Person, stranger: Caller, pool: Pool
) -> None:
    await add_member(pool, stranger.scope, email=sre.email, role=Role.SRE)
    await sre.send("POST", "/account/tenant", tenant_id=str(stranger.scope.tenant_id))
    assert (await admin.send("DELETE", f"/members/{sre.id}")).status_code == 200
    assert (await sre.client.get("/api/v1/session")).json()["tenant_id"] == str(
        stranger.scope.tenant_id
    )


async def test_the_answer_tells_of_keys_that_a_removed_member_made(
    admin: Person, app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    async with signed_in(app, pool, scope, Role.ADMIN) as second:
        made = await second.send("POST", "/keys", name="theirs", scopes=["spans.ingest"])
        assert made.status_code == 201
        assert (await admin.send("DELETE", f"/members/{second.id}")).json() == {"keys": 1}


async def test_the_last_admin_can_neither_leave_nor_be_removed_nor_change(
    admin: Person, caller: Caller, pool: Pool, scope: TenantScope, app: FastAPI
) -> None:
    refused = [
        await admin.send("POST", "/account/leave"),
        await admin.send("PUT", f"/members/{admin.id}", role="developer"),
        await admin.send(
            "PUT",
            f"/members/{admin.id}",
            role="admin",
            until=(datetime.now(UTC) + timedelta(days=3)).isoformat(),
        ),
    ]
    key = await add_key(pool, scope, role=Role.ADMIN)
    async with client_of(app, key=key.text) as machine:
        refused.append(await machine.delete(f"/api/v1/members/{admin.id}"))
    assert {(r.status_code, r.json()["code"]) for r in refused} == {(409, "member.last_admin")}
    with pytest.raises(ApiError, match="another member an admin"):
        await add_member(pool, scope, email=admin.email, role=Role.VIEWER)
    assert (await admin.send("GET", f"/members/{admin.id}")).json()["role"] == "admin"


async def test_of_two_admins_who_remove_each_other_at_once_one_stays(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(signed_in(app, pool, scope, Role.ADMIN))
            for _ in range(2)
        ]
        for _ in range(5):
            answers = await asyncio.gather(
                both[0].send("PUT", f"/members/{both[1].id}", role="sre"),
                both[1].send("PUT", f"/members/{both[0].id}", role="sre"),
            )
            codes = sorted(answer.status_code for answer in answers)
            assert codes in ([200, 403], [200, 409])
            admins = [p for p in both if await _role(p) == "admin"]
            assert len(admins) == 1
            other = next(p for p in both if p is not admins[0])
            await admins[0].send("PUT", f"/members/{other.id}", role="admin")


async def _role(person: Person) -> str:
    identity = (await person.client.get("/api/v1/session")).json()
    role: str = identity["role"]
    return role


async def test_two_admins_who_leave_at_once_do_not_both(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(signed_in(app, pool, scope, Role.ADMIN))
            for _ in range(2)
        ]
        answers = await asyncio.gather(*(p.send("POST", "/account/leave") for p in both))
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_an_auditor_needs_an_end_and_is_nothing_after_it(
    admin: Person, sre: Person, shared_database: Database, scope: TenantScope
) -> None:
    refused = await admin.send("PUT", f"/members/{sre.id}", role="auditor")
    assert refused.status_code == 400
    assert "say until when" in refused.text
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    assert (
        await admin.send("PUT", f"/members/{sre.id}", role="auditor", until=until)
    ).status_code == 200
    assert await sre.is_in()
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update memberships set expires_at = now() - interval '1 second' where user_id = %s",
            [UUID(sre.id)],
        )
    assert not await sre.is_in()
    listed = (await admin.send("GET", f"/members/{sre.id}")).json()
    assert (listed["role"], listed["ended"]) == ("auditor", True)


@pytest.mark.parametrize(
    "until", ["2020-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "2030-01-01T00:00:00", "soon"]
)
async def test_an_end_that_cannot_be_is_refused(admin: Person, sre: Person, until: str) -> None:
    refused = await admin.send("PUT", f"/members/{sre.id}", role="sre", until=until)
    assert refused.status_code == 400


async def test_nobody_removes_themselves(admin: Person) -> None:
    refused = await admin.send("DELETE", f"/members/{admin.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "member.self")


async def test_whoever_leaves_is_signed_out(admin: Person, sre: Person) -> None:
    assert (await sre.send("POST", "/account/leave")).status_code == 204
    assert not await sre.is_in()
    (row,) = await audited(admin.client, "member.left")
    assert (row["actor"], row["target"]) == (f"user:{sre.id}", f"user:{sre.id}")


async def test_a_key_that_may_change_members_decides_about_no_role_beyond_it(
    app: FastAPI, pool: Pool, scope: TenantScope, admin: Person, shared_database: Database
) -> None:
    scopes = frozenset({Permission.TENANT_WRITE, Permission.TENANT_READ})
    viewer = insert_member(shared_database, scope, Role.VIEWER)
    key = await add_key(pool, scope, scopes=scopes)
    async with client_of(app, key=key.text) as machine:
        promoted = await machine.put(f"/api/v1/members/{viewer}", json={"role": "admin"})
        demoted = await machine.put(f"/api/v1/members/{admin.id}", json={"role": "viewer"})
        removed = await machine.delete(f"/api/v1/members/{admin.id}")
        invited = await machine.post(
            "/api/v1/invitations", json={"email": "eve@example.com", "role": "developer"}
        )
        allowed = await machine.delete(f"/api/v1/members/{viewer}")
    refused = {(r.status_code, r.json()["code"]) for r in (promoted, demoted, removed, invited)}
    assert refused == {(403, "member.exceeds")}
    assert allowed.status_code == 200


async def test_a_key_bound_to_a_time_makes_no_membership_that_outlasts_it(
    app: FastAPI, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    member = insert_member(shared_database, scope)
    ends_at = datetime.now(UTC) + timedelta(days=2)
    key = await add_key(pool, scope, role=Role.ADMIN, expires_at=ends_at)
    async with client_of(app, key=key.text) as machine:
        path = f"/api/v1/members/{member}"
        refused = await machine.put(path, json={"role": "sre"})
        earlier = (ends_at - timedelta(hours=1)).isoformat()
        allowed = await machine.put(path, json={"role": "sre", "until": earlier})
    assert (refused.status_code, refused.json()["code"]) == (403, "member.exceeds")
    assert allowed.status_code == 200
