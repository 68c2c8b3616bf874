"""Verifying API keys: what is remembered, for how long, and what is asked of the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from api.auth.addresses import AddressRefused, parse_address, parse_networks
from api.auth.key_uses import KeyUses
from api.auth.key_verifier import KeyVerifier
from api.auth.keys import KeyKind, new_key
from api.auth.principal import ApiKeyPrincipal, Permission, Role, TenantScope
from api.database import DatabaseUnavailable, Pool, open_pool
from api.ingest.credentials import KeysUnavailable
from api.ingest.stored_keys import StoredKeys
from api.keys.authority import OPERATOR
from api.keys.service import KeyMaker, read_key, revoke_key, rotate_key
from tests.support.tenants import PEPPER, add_key, make_key

HOME = parse_address("203.0.113.9")
BROKEN = "host=127.0.0.1 port=1 user=x dbname=x connect_timeout=1"
REVOKED_FOR_S = 5.0
"""The bound of the manual: so long a revoked key may go on."""
GRACE_S = 900.0


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


async def verify(verifier: KeyVerifier, key: str) -> ApiKeyPrincipal | None:
    return await verifier.verify(key, address=HOME)


async def tenant_of(keys: StoredKeys, key: str) -> str | None:
    """Return the tenant that a key may send spans for, None if it is not good."""
    sender = await keys.sender(key, address=HOME)
    return sender.tenant if sender else None


async def test_a_key_names_its_tenant_and_role(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    made = await add_key(pool, scope, name="collector", role=Role.API_CLIENT)
    principal = await verify(verifier, made.text)
    assert principal is not None
    assert (
        principal.key_id, principal.name, principal.role,
        principal.scope.tenant_id, principal.scope.actor,
    ) == (made.key.id, "collector", Role.API_CLIENT, scope.tenant_id, "key:collector")  # fmt: skip


async def test_a_key_may_do_what_its_scopes_name_and_nothing_else(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    scopes = frozenset({Permission.SIGNALS_READ, Permission.TRACES_READ})
    made = await add_key(pool, scope, scopes=scopes)
    principal = await verify(verifier, made.text)
    assert principal is not None
    assert frozenset(filter(principal.may, Permission)) == scopes


@pytest.mark.parametrize("key", ["", "betrace_live_", "x" * 62, "🗝" * 62])
async def test_what_is_no_key_is_nobodys(verifier: KeyVerifier, key: str) -> None:
    assert await verify(verifier, key) is None


async def test_a_key_nobody_made_is_nobodys(verifier: KeyVerifier) -> None:
    assert await verify(verifier, new_key()) is None


async def test_a_key_under_another_pepper_is_nobodys(pool: Pool, scope: TenantScope) -> None:
    key = await make_key(pool, scope)
    assert await verify(KeyVerifier(pool, pepper=b"another" * 8), key) is None


async def test_a_test_key_is_good_only_where_test_keys_are_accepted(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    made = await add_key(pool, scope, role=Role.API_CLIENT, kind=KeyKind.TEST)
    accepting = KeyVerifier(pool, pepper=PEPPER, accept_test=True)
    assert await verify(verifier, made.text) is None
    assert await verify(accepting, made.text) is not None
    assert await verify(accepting, made.text.replace("_test_", "_live_")) is None


async def test_a_revoked_key_is_refused_by_every_replica_within_the_bound(
    pool: Pool, clock: Clock, scope: TenantScope
) -> None:
    made = await add_key(pool, scope, role=Role.API_CLIENT)
    asked_at_s = (0.0, 1.5, 4.0)
    replicas = [StoredKeys(KeyVerifier(pool, pepper=PEPPER, clock=clock)) for _ in asked_at_s]
    for at_s, replica in zip(asked_at_s, replicas, strict=True):
        clock.now_s = at_s
        assert await tenant_of(replica, made.text) == str(scope.tenant_id)
    await revoke_key(pool, scope, made.key.id)
    revoked_s = clock.now_s
    assert await tenant_of(replicas[-1], made.text) == str(scope.tenant_id)
    clock.now_s = revoked_s + REVOKED_FOR_S
    answers = [await tenant_of(replica, made.text) for replica in replicas]
    assert answers == [None, None, None]
    fresh = KeyVerifier(pool, pepper=PEPPER, clock=clock)
    assert await verify(fresh, made.text) is None


async def test_a_key_ends_by_itself_although_it_is_remembered(
    verifier: KeyVerifier, clock: Clock, pool: Pool, scope: TenantScope
) -> None:
    made = await add_key(
        pool, scope, role=Role.API_CLIENT, expires_at=datetime.now(UTC) + timedelta(seconds=3)
    )
    principal = await verify(verifier, made.text)
    assert principal is not None
    assert principal.expires_at == made.key.expires_at
    clock.now_s = 3.0
    assert await verify(verifier, made.text) is None


async def test_a_rotated_key_goes_on_for_the_overlap_and_then_ends(
    verifier: KeyVerifier, clock: Clock, pool: Pool, scope: TenantScope
) -> None:
    old = await add_key(pool, scope, role=Role.API_CLIENT)
    new = await rotate_key(
        pool,
        scope,
        old.key.id,
        maker=KeyMaker(PEPPER),
        authority=OPERATOR,
        overlap=timedelta(seconds=4),
    )
    assert await verify(verifier, old.text) is not None
    clock.now_s = 4.0
    assert await verify(verifier, old.text) is None
    assert await verify(verifier, new.text) is not None


async def test_a_key_bound_to_networks_is_refused_from_anywhere_else(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    networks = parse_networks(["203.0.113.0/24", "2001:db8::/32"])
    key = (await add_key(pool, scope, role=Role.API_CLIENT, networks=networks)).text
    for good in ("203.0.113.9", "2001:db8::7", "::ffff:203.0.113.1"):
        assert await verifier.verify(key, address=parse_address(good)) is not None
    for bad in ("203.0.114.9", "2001:db9::7", ""):
        with pytest.raises(AddressRefused):
            await verifier.verify(key, address=parse_address(bad))


async def test_many_requests_at_once_ask_the_database_once(
    verifier: KeyVerifier, pool: Pool, scope: TenantScope
) -> None:
    key = await make_key(pool, scope)
    before = pool.get_stats().get("requests_num", 0)
    principals = await asyncio.gather(*(verify(verifier, key) for _ in range(50)))
    assert {principal.scope.tenant_id for principal in principals if principal} == {scope.tenant_id}
    assert pool.get_stats()["requests_num"] - before == 1


async def test_the_memory_is_bounded(pool: Pool, scope: TenantScope) -> None:
    verifier = KeyVerifier(pool, pepper=PEPPER, capacity=3)
    for _ in range(10):
        await verify(verifier, new_key())
    assert len(verifier._entries) == 3


async def test_an_outage_is_not_remembered_as_a_refusal(scope: TenantScope, pool: Pool) -> None:
    key = await make_key(pool, scope)
    async with open_pool(BROKEN) as broken:
        broken.timeout = 0.2
        verifier = KeyVerifier(broken, pepper=PEPPER)
        with pytest.raises(DatabaseUnavailable):
            await verify(verifier, key)
        verifier._pool = pool
        assert await verify(verifier, key) is not None


async def test_an_outage_is_borne_for_the_grace_and_no_longer(
    clock: Clock, scope: TenantScope, pool: Pool
) -> None:
    key = await make_key(pool, scope)
    verifier = KeyVerifier(pool, pepper=PEPPER, grace_s=GRACE_S, clock=clock)
    keys = StoredKeys(verifier)
    assert await tenant_of(keys, key) == str(scope.tenant_id)
    async with open_pool(BROKEN) as broken:
        broken.timeout = 0.2
        verifier._pool = broken
        for at_s in (REVOKED_FOR_S, 400.0, GRACE_S - REVOKED_FOR_S, GRACE_S - 0.1):
            clock.now_s = at_s
            assert await tenant_of(keys, key) == str(scope.tenant_id)
        clock.now_s = GRACE_S
        with pytest.raises(KeysUnavailable):
            await tenant_of(keys, key)


async def test_no_grace_takes_a_key_past_its_own_end_or_to_another_place(
    clock: Clock, scope: TenantScope, pool: Pool
) -> None:
    made = await add_key(
        pool,
        scope,
        role=Role.API_CLIENT,
        networks=parse_networks(["203.0.113.0/24"]),
        expires_at=datetime.now(UTC) + timedelta(seconds=60),
    )
    verifier = KeyVerifier(pool, pepper=PEPPER, grace_s=GRACE_S, clock=clock)
    assert await verify(verifier, made.text) is not None
    async with open_pool(BROKEN) as broken:
        broken.timeout = 0.2
        verifier._pool = broken
        clock.now_s = 30.0
        assert await verify(verifier, made.text) is not None
        with pytest.raises(AddressRefused):
            await verifier.verify(made.text, address=parse_address("198.51.100.1"))
        clock.now_s = 60.0
        assert await verify(verifier, made.text) is None


async def test_the_last_use_is_written_once_for_many_requests_and_never_goes_back(
    pool: Pool, scope: TenantScope
) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    times = iter([noon, noon + timedelta(seconds=1), noon - timedelta(hours=1)])
    uses = KeyUses(now=lambda: next(times))
    verifier = KeyVerifier(pool, pepper=PEPPER, uses=uses)
    made = await add_key(pool, scope, role=Role.API_CLIENT)
    assert made.key.last_used_at is None
    await verify(verifier, made.text)
    await verify(verifier, made.text)
    before = pool.get_stats()["requests_num"]
    await uses.write(pool)
    await uses.write(pool)
    assert pool.get_stats()["requests_num"] - before == 1
    await verify(verifier, made.text)
    await uses.write(pool)
    key = await read_key(pool, scope, made.key.id)
    assert key.last_used_at == noon + timedelta(seconds=1)


async def test_a_refused_key_was_not_used(pool: Pool, scope: TenantScope) -> None:
    uses = KeyUses()
    verifier = KeyVerifier(pool, pepper=PEPPER, uses=uses)
    made = await add_key(
        pool, scope, role=Role.API_CLIENT, networks=parse_networks(["198.51.100.1"])
    )
    with pytest.raises(AddressRefused):
        await verify(verifier, made.text)
    await uses.write(pool)
    assert (await read_key(pool, scope, made.key.id)).last_used_at is None


async def test_uses_that_cannot_be_written_wait_for_the_next_time(
    pool: Pool, scope: TenantScope
) -> None:
    uses = KeyUses()
    made = await add_key(pool, scope, role=Role.API_CLIENT)
    await verify(KeyVerifier(pool, pepper=PEPPER, uses=uses), made.text)
    async with open_pool(BROKEN) as broken:
        broken.timeout = 0.2
        with pytest.raises(DatabaseUnavailable):
            await uses.write(broken)
    await uses.write(pool)
    assert (await read_key(pool, scope, made.key.id)).last_used_at is not None
