"""Sealers of one tenant that are killed with SIGKILL in the middle, again and again.

They are processes that take little at once and sign each time; between two deaths the key is
rotated, and a survivor signs what they left. What dies is the sealers, or the server under them: a
backend that gets SIGKILL takes all others along, and Postgres recovers from its log.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from random import Random
from uuid import uuid4

import psycopg

from api.auth.principal import TenantScope
from api.database import DatabaseUnavailable
from api.evidence.checkpointing import Pace
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.sequencer import now_ms
from api.worker.database import WorkerConnection, connect
from tests.support.evidence import BEGIN_MS, CONTROL, EvidenceLog, verdict
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.sealing import (
    add_tenant,
    assert_sound,
    heads_that_do_not_count,
    sealing,
    stored_log,
)
from tests.support.tenants import scope_of
from udfs.keysource.keys import Purpose
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import read_masters

OFFERS = 600
KILLS = 4
ALWAYS = Pace(interval_ms=0, idle_ms=0)
_FORK = get_context("fork")
_PATIENCE_S = 60.0
_GONE = psycopg.OperationalError
_OFFERING = "whoever hands over"


async def assert_nothing_is_lost(database: Database, *, seed: int, server: bool = False) -> None:
    """Kill sealers, or with `server` what they write to, and look at what they leave."""
    chance, scope = Random(seed), scope_of(uuid4())
    add_tenant(database, scope.tenant_id)
    offered = iter(range(OFFERS))
    for _ in range(KILLS):
        sealers = [_FORK.Process(target=_seal_for_ever, args=(database, scope)) for _ in "ab"]
        for sealer in sealers:
            sealer.start()
        await _until_in_the_middle(database, scope, offered, sealers, chance)
        _kill(database, sealers, server=server)
        async with sealing(database, scope, source=_source()) as world:
            await world.keys.care.rotate(scope.tenant_id, Purpose.SIGNING, by="test")
            world.now_ms = now_ms()
            await world.sign()
    async with sealing(database, scope, source=_source()) as world:
        world.now_ms = now_ms()
        await world.seal()
        await world.sign()
    read = stored_log(database, scope.tenant_id, like=EvidenceLog())
    assert_sound(read)
    assert heads_that_do_not_count(read) == []
    assert len(read.heads) > KILLS
    assert [one.size for one in read.heads] == sorted(one.size for one in read.heads)
    assert read.heads[-1].size == len(read.records)
    numbered = [one.id for one in read.records if one.id.startswith("offer-")]
    assert numbered == [f"offer-{number}" for number in range(OFFERS)]


def _source() -> LocalKeys:
    return LocalKeys(read_masters(MASTER, where="the test"))


def _seal_for_ever(database: Database, scope: TenantScope) -> None:
    """Be a sealer, until killed or left by the database."""

    async def run() -> None:
        async with sealing(database, scope, source=_source(), batch=3, pace=ALWAYS) as world:
            while True:
                world.now_ms = now_ms()
                await world.sequencer.round()

    try:
        asyncio.run(run())
    except DatabaseUnavailable:
        return


async def _until_in_the_middle(
    database: Database,
    scope: TenantScope,
    offered: Iterator[int],
    sealers: Sequence[ForkProcess],
    chance: Random,
) -> None:
    """Hand over, and return at some moment at which more is left to be sealed."""
    with closing(connect(database.worker, name=_OFFERING)) as connection:
        size = _sealed(connection, scope)
        _hand_over(connection, scope, offered)
        wanted = size + chance.randrange(5, 60)
        while _sealed(connection, scope) < wanted:
            assert all(sealer.is_alive() for sealer in sealers)
            await asyncio.sleep(chance.random() / 50)


def _kill(database: Database, sealers: Sequence[ForkProcess], *, server: bool) -> None:
    if server:
        _kill_a_backend(database)
    for sealer in sealers:
        if sealer.is_alive():
            assert sealer.pid is not None
            os.kill(sealer.pid, signal.SIGKILL)
        sealer.join()
    _until_left(database)


def _until_left(database: Database) -> None:
    """Wait until Postgres has noticed that they are dead: a backend may hold the log till then."""
    deadline = time.monotonic() + _PATIENCE_S
    with psycopg.connect(database.admin, autocommit=True) as witness:
        while witness.execute(
            "select from pg_stat_activity where usename = 'betrace_worker'"
            " and datname = current_database()"
        ).fetchone():
            assert time.monotonic() < deadline, "Postgres goes on working for the dead"
            time.sleep(0.01)


def _kill_a_backend(database: Database) -> None:
    """Kill a backend that works for a sealer; return once the server has recovered."""
    deadline = time.monotonic() + _PATIENCE_S
    with psycopg.connect(database.admin, autocommit=True) as witness, suppress(_GONE):
        [(pid, *_), *_] = witness.execute(
            "select pid from pg_stat_activity where usename = 'betrace_worker'"
            " and application_name <> %s order by xact_start nulls last",
            [_OFFERING],  # it has said goodbye, and may be gone any moment
        ).fetchall()
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() < deadline:
            witness.execute("select")
    while True:
        try:
            psycopg.connect(database.admin, connect_timeout=2).close()
        except _GONE:
            assert time.monotonic() < deadline, "Postgres has not recovered"
            time.sleep(0.05)
        else:
            return


def _sealed(connection: WorkerConnection, scope: TenantScope) -> int:
    """Return how many records the log has now."""
    row = connection.execute(
        "select coalesce(max(size), 0) as size from evidence_logs where tenant_id = %s",
        [scope.tenant_id],
    ).fetchone()
    assert row is not None
    size: int = row["size"]
    return size


def _hand_over(connection: WorkerConnection, scope: TenantScope, offered: Iterator[int]) -> None:
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
        with connection.transaction():
            assert not offer(connection, offers[at : at + 10])
