"""Transactions on Postgres: a pool, and the ways to open one.

Every transaction says who is asking; row-level security does the rest. One that forgets sees
nothing. Settings are local to the transaction, so a transaction pooler in between does no harm.

Waiting for Postgres is what costs: a transaction waits twice beside its statements, and what every
request asks first (sql/migrations/0058-at-hand.sql) is a statement that says itself who is asking.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Literal
from uuid import UUID

import aiosql
import psycopg
from aiosql.adapters.apyformat import AsyncPyFormatAdapter
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

import sql
from api.auth.principal import TenantScope
from api.errors import OperatorError

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]
Purpose = Literal["operator", "housekeeping", "audit"]


class DatabaseUnavailable(OperatorError):
    """Postgres cannot be reached, or has no connection left for us."""


class QueryTooSlow(Exception):
    """A statement ran into the statement timeout."""


@asynccontextmanager
async def open_pool(dsn: str, *, size: int = 10, name: str = "betrace") -> AsyncIterator[Pool]:
    """Open a pool of at most `size` connections; they are made when first needed.

    Statements are not prepared: their plans depend on which filters are given, and poolers in
    transaction mode stay possible.
    """
    pool: Pool = AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "row_factory": dict_row,
            "autocommit": True,
            "prepare_threshold": None,
            "application_name": name,
        },
        min_size=1,
        max_size=size,
        timeout=5.0,
        check=_check,
        open=False,
        name=name,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def tenant_transaction(
    pool: Pool, scope: TenantScope, *, timeout_ms: int = 5_000
) -> AsyncIterator[Connection]:
    """Open a transaction that sees the rows of one tenant.

    timeout_ms: limit of each statement.
    Raises DatabaseUnavailable, QueryTooSlow.
    """
    async with _transaction(pool, _of_tenant(scope, timeout_ms)) as connection:
        yield connection


@asynccontextmanager
async def snapshot_transaction(
    pool: Pool, scope: TenantScope, *, timeout_ms: int, idle_ms: int
) -> AsyncIterator[Connection]:
    """Open a transaction that reads the rows of one tenant as they were at its first statement.

    timeout_ms: limit of each statement; idle_ms: of the time between two, after which the server
    ends the connection.
    Raises DatabaseUnavailable, QueryTooSlow.
    """
    async with _transaction(
        pool,
        {
            **_of_tenant(scope, timeout_ms),
            "idle_in_transaction_session_timeout": str(idle_ms),
            "timezone": "UTC",
        },
        mode="isolation level repeatable read, read only",
    ) as connection:
        yield connection


@asynccontextmanager
async def credential_transaction(pool: Pool, credential_hash: bytes) -> AsyncIterator[Connection]:
    """Open a transaction that sees the API key or session with this hash, and no other row."""
    async with _transaction(pool, {"app.credential": credential_hash.hex()}) as connection:
        yield connection


@asynccontextmanager
async def email_transaction(pool: Pool, email: str) -> AsyncIterator[Connection]:
    """Open a transaction that sees the user with this lower-case address, for signing in."""
    async with _transaction(pool, {"app.email": email}) as connection:
        yield connection


@asynccontextmanager
async def user_transaction(pool: Pool, user_id: UUID) -> AsyncIterator[Connection]:
    """Open a transaction that sees what belongs to a person and to no tenant."""
    async with _transaction(pool, {"app.user_id": str(user_id)}) as connection:
        yield connection


@asynccontextmanager
async def vouched_transaction(
    pool: Pool, *, issuer: str, subject: str
) -> AsyncIterator[Connection]:
    """Open a transaction for somebody whom an identity provider has vouched for just now.

    It sees that one identity, and what claims of the provider grant.
    """
    async with _transaction(pool, {"app.issuer": issuer, "app.subject": subject}) as connection:
        yield connection


@asynccontextmanager
async def purpose_transaction(pool: Pool, purpose: Purpose) -> AsyncIterator[Connection]:
    """Open a transaction across tenants, for the few tables whose policies name the purpose."""
    async with _transaction(pool, {"app.purpose": purpose}) as connection:
        yield connection


async def set_local(connection: Connection, **values: str) -> None:
    """Set app.<name> for the rest of the transaction."""
    await _set(connection, {f"app.{name}": value for name, value in values.items()})


@cache
def queries(domain: str, /) -> Any:
    """Return the named queries of sql/queries/<domain>.sql, as async functions of a connection."""
    return aiosql.from_path(
        sql.QUERIES / f"{domain}.sql", _DictRowAdapter, mandatory_parameters=False
    )


class _DictRowAdapter(AsyncPyFormatAdapter):  # type: ignore[misc]
    """aiosql's adapter for psycopg, for rows that are dicts."""

    async def select_value(
        self, conn: Connection, _: str, statement: str, parameters: dict[str, Any]
    ) -> Any:
        """Return the first column of the first row, None if there is no row."""
        cursor = await conn.execute(statement.encode(), parameters)
        row = await cursor.fetchone()
        return next(iter(row.values())) if row else None


@asynccontextmanager
async def one_statement(pool: Pool) -> AsyncIterator[Connection]:
    """Give a connection for one statement that says by itself who is asking: `…_at_hand`.

    It is a transaction of its own. Raises DatabaseUnavailable, QueryTooSlow.
    """
    cancels = cancel_count()
    try:
        async with pool.connection() as connection:
            raise_if_cancelled(cancels)
            yield connection
    except psycopg.errors.QueryCanceled as error:
        raise_if_cancelled(cancels)
        raise QueryTooSlow from error
    except (psycopg.OperationalError, PoolTimeout, PoolClosed, TooManyRequests) as error:
        raise_if_cancelled(cancels)
        if isinstance(error, psycopg.errors.Error) and error.sqlstate in _CONFLICTS:
            raise
        raise DatabaseUnavailable(f"Postgres does not answer: {error}") from error


def _of_tenant(scope: TenantScope, timeout_ms: int) -> dict[str, str]:
    return {
        "app.tenant_id": str(scope.tenant_id),
        "app.actor": scope.actor,
        "app.acting": scope.acting,
        "statement_timeout": str(timeout_ms),
    }


@asynccontextmanager
async def _transaction(
    pool: Pool, values: dict[str, str], *, mode: str = ""
) -> AsyncIterator[Connection]:
    """Begin and say who is asking in one go; giving the connection back ends what was begun.

    mode: as `begin` takes it.
    """
    async with one_statement(pool) as connection:
        async with connection.pipeline():
            await connection.execute(f"begin {mode}".encode())
            await _set(connection, values, lasting(transaction=True))
        yield connection


async def _check(connection: Connection) -> None:
    """Ask a connection whether it is good only if the server has said something unasked.

    What it says unasked is that it ends, by a message or by closing; then the question fails, and
    the pool makes another connection. Raises psycopg.OperationalError.
    """
    unasked = select.poll()
    unasked.register(connection.fileno(), select.POLLIN)
    if unasked.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def cancel_count() -> int:
    """Return how often the current task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def raise_if_cancelled(cancels: int) -> None:
    """Raise CancelledError if the task was asked to end since it counted so many requests.

    psycopg cancels the query of a task that is cancelled, and raises what the server says to that
    in place of CancelledError; its pool takes that for a broken connection and tries another.
    """
    if cancel_count() > cancels:
        raise asyncio.CancelledError


async def _set(connection: Connection, values: dict[str, str], *more: str) -> None:
    calls = ", ".join(["set_config(%s, %s, true)"] * len(values) + list(more))
    parameters = [part for pair in values.items() for part in pair]
    await connection.execute(f"select {calls}".encode(), parameters)


def lasting(*, transaction: bool) -> str:
    """Return the SQL by which what is committed is kept, even where the server's default is not so.

    Offsets in Kafka are moved on after a commit, and heads of evidence are told to others.
    transaction: for the rest of one, not of the session.
    """
    return (
        "set_config('synchronous_commit', case current_setting('synchronous_commit')"
        " when 'off' then 'on' else current_setting('synchronous_commit') end,"
        f" {'true' if transaction else 'false'})"
    )


_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: operational by class, yet no outage."""
