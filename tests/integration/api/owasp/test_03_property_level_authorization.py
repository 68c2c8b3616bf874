"""API3:2023 Broken object property level authorization: no field more in, no secret out."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import make_key

RULE = {"id": "promise", "rule": "when { a } never { b }"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/keys", {"name": "k", "scopes": ["rules.read"], "tenant_id": "x"}),
        ("/api/v1/keys", {"name": "k", "scopes": ["rules.read"], "key_hash": "00"}),
        ("/api/v1/keys", {"name": "k", "scopes": ["rules.read"], "created_by": "somebody"}),
        ("/api/v1/session", {"email": "a@b.c", "password": "x", "role": "admin"}),
    ],
)
async def test_fields_that_are_not_the_callers_to_set_are_refused(
    path: str, body: dict[str, object], caller: Caller
) -> None:
    answer = await caller.client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


async def test_a_rule_cannot_be_given_an_author_or_a_tenant(caller: Caller) -> None:
    for field in ("author", "tenant_id", "version", "created_at"):
        answer = await caller.client.post("/api/v1/rules", json={**RULE, field: "x"})
        assert answer.status_code in (400, 422), field


async def test_nobody_makes_a_key_that_may_more_than_they_may(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    made = await caller.client.post("/api/v1/keys", json={"name": "m", "scopes": ["keys.write"]})
    async with client_of(app, key=made.json()["key"]) as keeper:
        answer = await keeper.post("/api/v1/keys", json={"name": "n", "scopes": ["rules.write"]})
        mine = await keeper.post("/api/v1/keys", json={"name": "o", "role": "admin"})
    assert (answer.status_code, mine.status_code) == (403, 403)


async def test_secrets_are_shown_once_and_hashes_never(caller: Caller, pool: Pool) -> None:
    text = await make_key(pool, caller.scope, Role.VIEWER)
    listed = await caller.client.get("/api/v1/keys")
    assert listed.status_code == 200
    assert text not in listed.text
    for word in ("hash", "pepper", "password", "secret"):
        assert word not in listed.text
