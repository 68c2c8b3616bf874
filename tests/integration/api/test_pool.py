"""Connections of the pool: replaced unnoticed when the server has ended them, and left as found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from api.auth.client import Client
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Role, TenantScope
from api.auth.sessions import Sessions
from api.database import Pool, open_pool, tenant_transaction
from api.tenants.service import create_user
from api.worker.database import connect
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_key


@pytest.fixture
async def one(shared_database: Database) -> AsyncIterator[Pool]:
    """A pool of one connection, so that the next user of it finds what the last one left."""
    async with open_pool(shared_database.app, size=1) as pool:
        await pool.wait()
        yield pool


async def _backend(pool: Pool, scope: TenantScope) -> int:
    """Use the pool's connection, and return the process at its other end."""
    async with tenant_transaction(pool, scope) as connection:
        return connection.info.backend_pid


async def test_a_connection_that_the_server_has_ended_is_not_handed_out(
    one: Pool, scope: TenantScope, shared_database: Database
) -> None:
    before = await _backend(one, scope)
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        ended = connection.execute("select pg_terminate_backend(%s, 10_000)", [before]).fetchone()
    assert ended == (True,), "it is gone"
    after = await _backend(one, scope)
    assert after != before


async def test_who_asked_is_forgotten_with_the_question(one: Pool, scope: TenantScope) -> None:
    user_id = await create_user(
        one, scope, email=f"{scope.tenant_id}@example.com", name="Ada", role=Role.SRE,
        password=PASSWORD,
    )  # fmt: skip
    sessions = Sessions(one, pepper=PEPPER)
    begun = await sessions.begin(user_id, client=Client("192.0.2.1"))
    assert begun is not None
    assert await sessions.find(begun.token) == begun.principal
    key = await make_key(one, scope)
    assert await KeyVerifier(one, pepper=PEPPER).verify(key, address=None) is not None
    async with one.connection() as connection:
        left = await (
            await connection.execute(
                "select nullif(current_setting('app.' || name, true), '') as setting,"
                " (select count(*) from tenants) + (select count(*) from sessions)"
                " + (select count(*) from api_keys) + (select count(*) from users) as seen"
                " from unnest(array['credential', 'user_id', 'tenant_id']) as name"
            )
        ).fetchall()
    assert left == [{"setting": None, "seen": 0}] * 3


@pytest.mark.parametrize(
    ("asked", "found"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
)
async def test_what_was_committed_is_kept_even_where_others_would_not_wait(
    asked: str, found: str, scope: TenantScope, shared_database: Database
) -> None:
    dsn = make_conninfo(shared_database.app, options=f"-c synchronous_commit={asked}")
    async with (
        open_pool(dsn, size=1) as pool,
        tenant_transaction(pool, scope) as connection,
    ):
        shown = await (await connection.execute("show synchronous_commit")).fetchone()
    assert shown == {"synchronous_commit": found}


def test_what_a_worker_commits_is_kept(shared_database: Database) -> None:
    with closing(connect(shared_database.worker, name="test")) as connection:
        shown = connection.execute("show synchronous_commit").fetchone()
    assert shown == {"synchronous_commit": "on"}


async def test_what_asks_for_credentials_has_no_more_rights_than_the_application(
    shared_database: Database,
) -> None:
    with psycopg.connect(shared_database.admin) as connection:
        functions = connection.execute(
            "select proname, prosecdef, has_function_privilege('betrace_worker', oid, 'execute')"
            " from pg_proc where proname like '%at_hand' or proname = 'granted' order by proname"
        ).fetchall()
    names = ["granted", "holder", "key", "member", "session", "tenant"]
    assert functions == [
        (name if name == "granted" else f"{name}_at_hand", False, False) for name in names
    ]
