"""Filters that people keep under a name: their own, and those of all."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import make_key

VIEWS = "/api/v1/signals/views"


async def save(client: httpx.AsyncClient, name: str, **fields: Any) -> httpx.Response:
    return await client.post(VIEWS, json={"name": name, "query": "status=open", **fields})


async def names(client: httpx.AsyncClient) -> list[str]:
    return [one["name"] for one in (await client.get(VIEWS)).json()["items"]]


async def test_a_view_is_kept_changed_and_removed(caller: Caller) -> None:
    made = await save(caller.client, " Mine ", query="?cursor=x&severity=high&status=open")
    view = made.json()
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert (view["name"], view["query"], view["shared"]) == (
        "Mine", "status=open&severity=high", False,
    )  # fmt: skip
    path = f"{VIEWS}/{view['id']}"
    changed = await caller.client.put(
        path, json={"name": "Mine now", "query": ""}, headers={"If-Match": '"1"'}
    )
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = await caller.client.put(
        path, json={"name": "Lost", "query": ""}, headers={"If-Match": '"1"'}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "request.stale_version")
    assert await names(caller.client) == ["Mine now"]
    assert (await caller.client.delete(path)).status_code == 204
    assert await names(caller.client) == []


async def test_a_view_is_ones_own_unless_it_is_shared(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    own = (await save(caller.client, "Own")).json()
    shared = (await save(caller.client, "Shared", shared=True)).json()
    async with client_of(app, key=await make_key(pool, caller.scope, Role.SRE)) as colleague:
        assert await names(colleague) == ["Shared"]
        draft = {"name": "Taken", "query": ""}
        assert (await colleague.put(f"{VIEWS}/{own['id']}", json=draft)).status_code == 404
        assert (await colleague.delete(f"{VIEWS}/{own['id']}")).status_code == 404
        refused = await colleague.put(f"{VIEWS}/{shared['id']}", json=draft)
        assert (refused.status_code, refused.json()["code"]) == (403, "view.of_somebody_else")
        assert (await colleague.delete(f"{VIEWS}/{shared['id']}")).status_code == 403
        theirs = (await save(colleague, "Theirs", shared=True)).json()
    assert (await caller.client.delete(f"{VIEWS}/{theirs['id']}")).status_code == 204


async def test_who_may_not_change_signals_shares_no_views(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, Role.DEVELOPER)) as client:
        assert (await save(client, "Own")).status_code == 201
        refused = await save(client, "For all", shared=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "view.sharing")


@pytest.mark.parametrize("shared", [False, True])
async def test_a_name_is_used_once(caller: Caller, *, shared: bool) -> None:
    await save(caller.client, "Night shift", shared=shared)
    again = await save(caller.client, "night  SHIFT", shared=shared)
    assert (again.status_code, again.json()["code"]) == (409, "view.name_taken")
    other = await save(caller.client, "Night shift", shared=not shared)
    assert other.status_code == 201


@pytest.mark.parametrize("name", ["", "   "])
async def test_a_view_needs_a_name(caller: Caller, name: str) -> None:
    response = await save(caller.client, name)
    assert (response.status_code, response.json()["code"]) == (400, "view.name")


async def test_views_of_another_tenant_are_not_there(caller: Caller, stranger: Caller) -> None:
    view = (await save(caller.client, "Ours", shared=True)).json()
    assert await names(stranger.client) == []
    assert (await stranger.client.delete(f"{VIEWS}/{view['id']}")).status_code == 404
    assert await names(caller.client) == ["Ours"]
