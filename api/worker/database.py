"""The worker's connections to Postgres, and its named statements.

One connection per thread, no pool: the temporary tables that batches are copied into belong to a
connection.
"""

from __future__ import annotations

from functools import cache
from typing import Any, LiteralString, cast

import aiosql
import psycopg
from psycopg import Connection, errors
from psycopg.rows import DictRow, dict_row

import sql
from api.database import lasting

WorkerConnection = Connection[DictRow]

_CONNECT_TIMEOUT_S = 5
_LIMITS = (
    # A statement that waits for longer than this waits for something broken; it is tried again.
    "-c statement_timeout=60s -c lock_timeout=20s "
    "-c idle_in_transaction_session_timeout=300s -c timezone=UTC"
)
BAD_DATA = (
    errors.DataError,
    errors.IntegrityError,
    errors.ProgramLimitExceeded,
    errors.UntranslatableCharacter,
)
"""What Postgres says of a row that it will never take, however often it is offered."""


def connect(dsn: str, *, name: str) -> WorkerConnection:
    """Open a connection of the worker's role and make its temporary tables.

    name: shown in pg_stat_activity. Raises psycopg.OperationalError when there is no answer.
    """
    connection = psycopg.connect(
        dsn,
        application_name=name,
        connect_timeout=_CONNECT_TIMEOUT_S,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        options=_LIMITS,
        autocommit=True,
        row_factory=dict_row,
    )
    connection.execute(f"select {lasting(transaction=False)}".encode())
    connection.execute(statement("make_incoming"))
    return connection


def statement(name: str) -> LiteralString:
    """Return the text of a statement of sql/queries/worker.sql, without its prefix."""
    return cast("LiteralString", getattr(_statements("worker"), f"worker_{name}").sql)


def backtest_statement(name: str) -> LiteralString:
    """Return the text of a statement of sql/queries/backtest_runs.sql, without its prefix."""
    return cast("LiteralString", getattr(_statements("backtest_runs"), f"run_{name}").sql)


@cache
def _statements(file: str) -> Any:
    return aiosql.from_path(sql.QUERIES / f"{file}.sql", "psycopg")
