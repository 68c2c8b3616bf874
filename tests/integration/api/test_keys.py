"""Keys over REST: made, listed, rotated, revoked, and never more than their maker may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.auth.addresses import parse_networks
from api.auth.principal import GRANTS, MACHINE_ROLES, Permission, Role
from api.database import Pool
from api.main import create_app
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import add_key, make_key

SENDS = {"name": "collectors", "scopes": ["spans.ingest"]}
KEYS = "/api/v1/keys"


@asynccontextmanager
async def app_with(settings: Settings, **changes: object) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update=changes), rules_log=MemoryRulesLog())
    async with app.router.lifespan_context(app):
        yield app


async def make(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = await caller.client.post(KEYS, json={**SENDS, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def names(caller: Caller, **query: Any) -> list[str]:
    items = (await caller.client.get(KEYS, params=query)).json()["items"]
    return [item["name"] for item in items if not item["name"].startswith("key-")]


async def test_a_made_key_is_shown_once_and_works(app: FastAPI, caller: Caller) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    made = await make(
        caller, expires_at=expires_at.isoformat(), networks=["127.0.0.1", "2001:db8::/32"]
    )
    key = made.pop("key")
    assert made == {
        **made,
        "name": "collectors",
        "kind": "live",
        "state": "active",
        "role": None,
        "scopes": ["spans.ingest"],
        "permissions": ["spans.ingest"],
        "shown": key[:19],
        "networks": ["127.0.0.1/32", "2001:db8::/32"],
        "created_by": made["created_by"],
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
        "last_used_at": None,
        "revoked_at": None,
        "replaced_by": None,
    }
    assert made["created_by"].startswith("key:key-")
    listed = await caller.client.get(KEYS)
    read = await caller.client.get(f"{KEYS}/{made['id']}")
    assert read.json() == made
    assert made in listed.json()["items"]
    assert key not in listed.text + read.text
    async with client_of(app, key=key) as client:
        identity = (await client.get("/api/v1/session")).json()
    assert (identity["role"], identity["permissions"]) == (None, ["spans.ingest"])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"role": "admin"}, "either a role or scopes"),
        ({"scopes": None}, "either a role or scopes"),
        ({"scopes": []}, "could do nothing"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"name": " "}, "1 to 50"),
        ({"name": "x" * 51}, "50"),
        ({"networks": ["10.0.0.7/8"]}, "bits beyond the prefix"),
        ({"networks": ["localhost"]}, "no address or network"),
        ({"expires_at": "2026-12-01T00:00:00"}, "timezone"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at is over"),
        ({"expires_at": "9999-12-31T00:00:00Z"}, "ten years"),
        ({"key": "betrace_live_mine"}, "Extra inputs"),
    ],
)
async def test_what_no_key_can_be_is_refused_with_the_reason(
    fields: dict[str, Any], says: str, caller: Caller
) -> None:
    answer = await caller.client.post(KEYS, json={**SENDS, **fields})
    assert answer.status_code == 400
    assert says in answer.text
    assert await names(caller) == []


async def test_a_test_key_is_not_made_where_it_would_be_good_for_nothing(
    settings: Settings, caller: Caller, pool: Pool
) -> None:
    refused = await caller.client.post(KEYS, json={**SENDS, "kind": "test"})
    assert (refused.status_code, refused.json()["code"]) == (400, "key.test")
    async with (
        app_with(settings, accept_test_keys=True) as app,
        client_of(app, key=await make_key(pool, caller.scope)) as admin,
    ):
        made = (await admin.post(KEYS, json={**SENDS, "kind": "test"})).json()
        async with client_of(app, key=made["key"]) as client:
            status = (await client.get("/api/v1/session")).status_code
    assert (made["kind"], made["key"][:13], status) == ("test", "betrace_test_", 200)


@pytest.mark.parametrize("permission", sorted(Permission))
async def test_a_key_with_one_scope_may_make_keys_only_of_that(
    permission: Permission, app: FastAPI, caller: Caller, pool: Pool
) -> None:
    held = frozenset({Permission.KEYS_WRITE, permission})
    maker = await add_key(pool, caller.scope, scopes=held)
    async with client_of(app, key=maker.text) as client:
        answers = {
            wanted: (
                await client.post(KEYS, json={"name": wanted.value, "scopes": [wanted]})
            ).status_code
            for wanted in Permission
        }
        as_role = await client.post(KEYS, json={"name": "r", "role": "admin"})
    assert answers == {wanted: 201 if wanted in held else 403 for wanted in Permission}
    assert (as_role.status_code, as_role.json()["code"]) == (403, "key.exceeds")


@pytest.mark.parametrize("role", [role for role in MACHINE_ROLES if role is not Role.ADMIN])
async def test_who_may_not_keep_keys_sees_and_does_nothing(
    role: Role, app: FastAPI, caller: Caller, pool: Pool
) -> None:
    assert Permission.KEYS_WRITE not in GRANTS[role]
    made = await make(caller)
    async with client_of(app, key=await make_key(pool, caller.scope, role)) as client:
        answers = [
            await client.get(KEYS),
            await client.post(KEYS, json=SENDS),
            await client.get(f"{KEYS}/{made['id']}"),
            await client.post(f"{KEYS}/{made['id']}/rotate", json={}),
            await client.post(f"{KEYS}/{made['id']}/revoke"),
        ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (403, "auth.forbidden")
    }


async def test_a_bound_key_makes_only_keys_that_are_bound_as_tightly(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    ends_at = datetime.now(UTC) + timedelta(days=2)
    maker = await add_key(
        pool,
        caller.scope,
        role=Role.ADMIN,
        networks=parse_networks(["127.0.0.0/8"]),
        expires_at=ends_at,
    )
    bound = {"networks": ["127.0.0.1"], "expires_at": ends_at.isoformat()}
    async with client_of(app, key=maker.text) as client:
        statuses = [
            (await client.post(KEYS, json={**SENDS, **bound, **change})).status_code
            for change in (
                {"networks": []},
                {"networks": ["127.0.0.1", "10.0.0.0/8"]},
                {"expires_at": None},
                {"expires_at": (ends_at + timedelta(seconds=1)).isoformat()},
                {},
            )
        ]
    assert statuses == [403, 403, 403, 403, 201]


async def test_a_rotated_key_has_the_same_rights_and_the_old_one_ends_after_the_overlap(
    app: FastAPI, caller: Caller
) -> None:
    old = await make(caller, networks=["127.0.0.1"])
    answer = await caller.client.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 600})
    new = answer.json()
    before = (await caller.client.get(f"{KEYS}/{old['id']}")).json()
    same = ("name", "role", "scopes", "networks", "kind")
    assert answer.status_code == 201
    assert {field: new[field] for field in same} == {field: old[field] for field in same}
    assert (before["state"], before["replaced_by"]) == ("replaced", new["id"])
    left = datetime.fromisoformat(before["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=540) < left <= timedelta(seconds=600)
    for key in (old["key"], new["key"]):
        async with client_of(app, key=key) as client:
            assert (await client.get("/api/v1/session")).status_code == 200


async def test_without_overlap_the_old_key_has_ended_at_once(caller: Caller) -> None:
    old = await make(caller)
    await caller.client.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 0})
    assert (await caller.client.get(f"{KEYS}/{old['id']}")).json()["state"] == "expired"
    assert await names(caller) == ["collectors"]
    assert await names(caller, ended=True) == ["collectors", "collectors"]


async def test_an_overlap_does_not_lengthen_a_key_and_the_new_one_lasts_as_long_again(
    caller: Caller,
) -> None:
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    old = await make(caller, expires_at=ends_at.isoformat())
    new = (await caller.client.post(f"{KEYS}/{old['id']}/rotate", json={})).json()
    before = (await caller.client.get(f"{KEYS}/{old['id']}")).json()
    lasts = datetime.fromisoformat(new["expires_at"]) - datetime.fromisoformat(new["created_at"])
    assert before["expires_at"] == old["expires_at"]
    assert abs(lasts - timedelta(hours=1)) < timedelta(seconds=60)


async def test_rotating_is_no_way_to_more_rights(app: FastAPI, caller: Caller, pool: Pool) -> None:
    admin = await add_key(pool, caller.scope, role=Role.ADMIN)
    keeper = await add_key(pool, caller.scope, scopes=frozenset({Permission.KEYS_WRITE}))
    async with client_of(app, key=keeper.text) as client:
        answer = await client.post(f"{KEYS}/{admin.key.id}/rotate", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "key.exceeds")
    assert (await caller.client.get(f"{KEYS}/{admin.key.id}")).json()["state"] == "active"


async def test_what_has_ended_or_was_replaced_is_not_rotated(caller: Caller) -> None:
    replaced, revoked = await make(caller), await make(caller, name="other")
    await caller.client.post(f"{KEYS}/{replaced['id']}/rotate", json={})
    await caller.client.post(f"{KEYS}/{revoked['id']}/revoke")
    answers = [
        await caller.client.post(f"{KEYS}/{key['id']}/rotate", json={})
        for key in (replaced, revoked)
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (409, "key.not_active"), (409, "key.not_active"),
    ]  # fmt: skip


@pytest.mark.parametrize("overlap_seconds", [-1, 30 * 86_400 + 1])
async def test_an_overlap_is_bounded(overlap_seconds: int, caller: Caller) -> None:
    made = await make(caller)
    body = {"overlap_seconds": overlap_seconds}
    answer = await caller.client.post(f"{KEYS}/{made['id']}/rotate", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


async def test_a_revoked_key_is_refused_and_stays_on_record(app: FastAPI, caller: Caller) -> None:
    made = await make(caller)
    revoked = await caller.client.post(f"{KEYS}/{made['id']}/revoke")
    again = await caller.client.post(f"{KEYS}/{made['id']}/revoke")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert revoked.json()["revoked_by"].startswith("key:key-")
    assert again.json() == revoked.json()
    async with client_of(app, key=made["key"]) as client:
        refused = await client.get("/api/v1/session")
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.unauthenticated")
    assert await names(caller) == []
    assert await names(caller, ended=True) == ["collectors"]


async def test_a_name_is_taken_while_its_key_is_in_use(caller: Caller) -> None:
    made = await make(caller)
    taken = await caller.client.post(KEYS, json=SENDS)
    await caller.client.post(f"{KEYS}/{made['id']}/revoke")
    assert (taken.status_code, taken.json()["code"]) == (409, "key.exists")
    await make(caller)


async def test_a_key_that_has_ended_by_itself_gives_its_name_back(caller: Caller) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = await make(caller, expires_at=soon.isoformat())
    async with asyncio.timeout(60):
        while (await caller.client.get(f"{KEYS}/{made['id']}")).json()["state"] == "active":
            await asyncio.sleep(0.05)
    await make(caller)
    ended = (await caller.client.get(f"{KEYS}/{made['id']}")).json()
    assert (ended["state"], ended["revoked_at"]) == ("expired", None)


async def test_a_tenant_has_so_many_keys_and_no_more_however_fast_it_asks(
    settings: Settings, caller: Caller, stranger: Caller, pool: Pool
) -> None:
    async with (
        app_with(settings, max_api_keys=4) as app,
        client_of(app, key=await make_key(pool, caller.scope)) as client,
    ):
        before = len((await client.get(KEYS)).json()["items"])
        answers = await asyncio.gather(
            *(client.post(KEYS, json={**SENDS, "name": f"n{n}"}) for n in range(6))
        )
        made = [answer.json() for answer in answers if answer.status_code == 201]
        rotated = await client.post(f"{KEYS}/{made[0]['id']}/rotate", json={})
        async with client_of(app, key=await make_key(pool, stranger.scope)) as other:
            unharmed = await other.post(KEYS, json=SENDS)
    refused = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert (before, len(made), refused) == (2, 2, ["key.too_many"] * 4)
    assert (rotated.status_code, unharmed.status_code) == (201, 201)


async def test_keys_come_in_pages_newest_first(caller: Caller) -> None:
    for name in "abc":
        await make(caller, name=name)
    first = (await caller.client.get(KEYS, params={"limit": 2})).json()
    rest = await caller.client.get(KEYS, params={"cursor": first["next_cursor"]})
    assert [item["name"] for item in first["items"]] == ["c", "b"]
    assert rest.json()["items"][0]["name"] == "a"
    wrong = await caller.client.get(KEYS, params={"cursor": "eA"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "request.cursor")


async def test_a_key_bound_elsewhere_is_refused_with_the_address_that_was_seen(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    made = await add_key(
        pool, caller.scope, role=Role.ADMIN, networks=parse_networks(["203.0.113.0/24"])
    )
    async with client_of(app, key=made.text) as client:
        answer = await client.get("/api/v1/rules", headers={"X-Forwarded-For": "203.0.113.9"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.address")
    assert "127.0.0.1" in answer.json()["detail"]


async def test_behind_a_trusted_proxy_the_caller_it_names_counts(
    settings: Settings, caller: Caller, pool: Pool
) -> None:
    made = await add_key(
        pool, caller.scope, role=Role.ADMIN, networks=parse_networks(["203.0.113.0/24"])
    )
    async with (
        app_with(settings, trusted_proxies="127.0.0.1, ::1") as app,
        client_of(app, key=made.text) as client,
    ):
        statuses = [
            (await client.get("/api/v1/rules", headers={"X-Forwarded-For": header})).status_code
            for header in ("203.0.113.9", "203.0.113.9, 198.51.100.1", "198.51.100.1, 203.0.113.9")
        ]
    assert statuses == [200, 403, 200]


@pytest.mark.parametrize("key_id", ["nonsense", "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"])
async def test_a_key_that_is_not_there_is_not_found(key_id: str, caller: Caller) -> None:
    answers: list[httpx.Response] = [
        await caller.client.get(f"{KEYS}/{key_id}"),
        await caller.client.post(f"{KEYS}/{key_id}/rotate", json={}),
        await caller.client.post(f"{KEYS}/{key_id}/revoke"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (404, "request.not_found")
    }
