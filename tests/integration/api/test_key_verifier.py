"""Verifying API keys: what is remembered, for how long, and what is asked of the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from api.auth.keys import KeyVerifier, new_key
from api.auth.principal import Role, TenantScope
from api.database import DatabaseUnavailable, Pool, open_pool
from api.tenants.service import create_key, list_keys, revoke_key
from tests.support.tenants import PEPPER, make_key


@dataclass
class Clock:
    """Time moved by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(pool: Pool, clock: Clock) -> KeyVerifier:
    return KeyVerifier(pool, pepper=PEPPER, clock=clock)


async def test_a_key_names_its_tenant_and_role(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    made = await create_key(pool, scope, "collector", role=Role.API_CLIENT, pepper=PEPPER)
    principal = await verifier.verify(made.key)
    assert principal is not None
    assert (
        principal.key_id, principal.name, principal.role,
        principal.scope.tenant_id, principal.scope.actor,
    ) == (made.id, "collector", Role.API_CLIENT, scope.tenant_id, "key:collector")  # fmt: skip


@pytest.mark.parametrize("key", ["", "betrace_live_", "x" * 62, "🗝" * 62])
async def test_what_is_no_key_is_nobodys(verifier: KeyVerifier, key: str) -> None:
    assert await verifier.verify(key) is None


async def test_a_key_nobody_made_is_nobodys(verifier: KeyVerifier) -> None:
    assert await verifier.verify(new_key()) is None


async def test_a_key_under_another_pepper_is_nobodys(pool: Pool, scope: TenantScope) -> None:
    key = await make_key(pool, scope)
    assert await KeyVerifier(pool, pepper=b"another" * 8).verify(key) is None


async def test_a_revoked_key_is_refused_within_ten_seconds(
    verifier: KeyVerifier, clock: Clock, pool: Pool, scope: TenantScope
) -> None:
    key = await make_key(pool, scope)
    assert await verifier.verify(key) is not None
    await revoke_key(pool, scope, (await list_keys(pool, scope))[0]["id"])
    clock.now_s = 9.9
    assert await verifier.verify(key) is not None
    clock.now_s = 10.0
    assert await verifier.verify(key) is None


async def test_many_requests_at_once_ask_the_database_once(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    key = await make_key(pool, scope)
    before = pool.get_stats().get("requests_num", 0)
    principals = await asyncio.gather(*(verifier.verify(key) for _ in range(50)))
    assert {principal.scope.tenant_id for principal in principals if principal} == {scope.tenant_id}
    assert pool.get_stats()["requests_num"] - before == 1


async def test_the_memory_is_bounded(pool: Pool, scope: TenantScope) -> None:
    verifier = KeyVerifier(pool, pepper=PEPPER, capacity=3)
    for _ in range(10):
        await verifier.verify(new_key())
    assert len(verifier._entries) == 3


async def test_an_outage_is_not_remembered_as_a_refusal(scope: TenantScope, pool: Pool) -> None:
    key = await make_key(pool, scope)
    async with open_pool("host=127.0.0.1 port=1 user=x dbname=x connect_timeout=1") as broken:
        broken.timeout = 0.2
        verifier = KeyVerifier(broken, pepper=PEPPER)
        with pytest.raises(DatabaseUnavailable):
            await verifier.verify(key)
        verifier._pool = pool
        assert await verifier.verify(key) is not None
