"""Sealers that are killed with SIGKILL in the middle leave no gap, no fork, and lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from random import Random
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from api.auth.principal import TenantScope
from api.evidence.checkpointing import Pace
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.sequencer import now_ms
from tests.support.evidence import BEGIN_MS, CONTROL, EvidenceLog, verdict
from tests.support.postgres import Database
from tests.support.sealing import add_tenant, assert_sound, sealing, stored_log
from tests.support.tenants import scope_of

OFFERS = 600
KILLS = 4
ALWAYS = Pace(interval_ms=0, idle_ms=0)
_FORK = get_context("fork")


def seal_for_ever(database: Database, scope: TenantScope) -> None:
    """Be a sealer that takes little at once and signs each time, until killed."""

    async def run() -> None:
        async with sealing(database, scope, batch=3, pace=ALWAYS, numbers=[1] * 50) as world:
            while True:
                world.now_ms = now_ms()
                await world.sequencer.round()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
async def test_sealers_that_are_killed_leave_no_gap_and_no_fork(
    seed: int, database: Database
) -> None:
    chance, scope = Random(seed), scope_of(uuid4())
    add_tenant(database, scope.tenant_id)
    offered = iter(range(OFFERS))
    with psycopg.connect(database.worker, row_factory=dict_row) as connection:
        for _ in range(KILLS):
            sealers = [_FORK.Process(target=seal_for_ever, args=(database, scope)) for _ in "ab"]
            for sealer in sealers:
                sealer.start()
            size = sealed(connection, scope)
            _hand_over(connection, scope, offered)
            wanted = size + chance.randrange(5, 60)
            while sealed(connection, scope) < wanted:
                assert all(sealer.is_alive() for sealer in sealers)
                await asyncio.sleep(chance.random() / 50)
            for sealer in sealers:
                assert sealer.pid is not None
                os.kill(sealer.pid, signal.SIGKILL)
                sealer.join()
    async with sealing(database, scope, numbers=[1]) as world:
        world.now_ms = now_ms()
        await world.seal()
        await world.sign()
    read = stored_log(database, scope.tenant_id, like=EvidenceLog())
    assert_sound(read)
    assert len(read.heads) > KILLS
    assert [one.size for one in read.heads] == sorted(one.size for one in read.heads)
    assert read.heads[-1].size == len(read.records)
    numbered = [one.id for one in read.records if one.id.startswith("offer-")]
    assert numbered == [f"offer-{number}" for number in range(OFFERS)]


def sealed(connection: psycopg.Connection[dict[str, object]], scope: TenantScope) -> int:
    """Return how many records the log has now."""
    row = connection.execute(
        "select coalesce(max(size), 0) as size from evidence_logs where tenant_id = %s",
        [scope.tenant_id],
    ).fetchone()
    connection.commit()
    assert row is not None
    size = row["size"]
    assert isinstance(size, int)
    return size


def _hand_over(
    connection: psycopg.Connection[dict[str, object]], scope: TenantScope, offered: Iterator[int]
) -> None:
    numbers = [next(offered) for _ in range(OFFERS // KILLS)]
    offers = [
        Offer(
            tenant=scope.tenant_id,
            id=f"offer-{number}",
            time_ms=BEGIN_MS,
            controls=(CONTROL,),
            body=verdict(number),
        )
        for number in numbers
    ]
    for at in range(0, len(offers), 10):
        assert not offer(connection, offers[at : at + 10])
        connection.commit()
