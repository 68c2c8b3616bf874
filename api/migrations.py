"""Bring a database to the newest schema: the sum of sql/migrations, applied in order by yoyo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql as pgsql
from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations

import sql
from api.database import DatabaseUnavailable

Say = Callable[[str], None]


def migrate(admin_dsn: str, *, say: Say) -> list[str]:
    """Apply every migration that the database lacks; again is harmless.

    say: told the name of each migration before it is applied.
    Returns the names applied. Raises DatabaseUnavailable, psycopg.Error on a failed statement.
    """
    with _backend(admin_dsn) as backend, backend.lock():
        pending = backend.to_apply(read_migrations(str(sql.MIGRATIONS)))
        for migration in pending:
            say(migration.id)
            backend.apply_one(migration)
        return [migration.id for migration in pending]


def pending(admin_dsn: str) -> list[str]:
    """Return the names of migrations that the database lacks."""
    with _backend(admin_dsn) as backend:
        return [m.id for m in backend.to_apply(read_migrations(str(sql.MIGRATIONS)))]


def set_role_password(admin_dsn: str, *, role_dsn: str) -> bool:
    """Give the role named in a DSN the password named there. False if it names none."""
    parts = conninfo_to_dict(role_dsn)
    user, password = parts.get("user"), parts.get("password")
    if not user or not password:
        return False
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            pgsql.SQL("alter role {} password {}").format(
                pgsql.Identifier(str(user)), pgsql.Literal(str(password))
            )
        )
    return True


@contextmanager
def _backend(admin_dsn: str) -> Iterator[Any]:
    try:
        backend = get_backend(_yoyo_uri(admin_dsn))
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(str(error)) from error
    try:
        yield backend
    finally:
        backend.connection.close()


def _yoyo_uri(dsn: str) -> str:
    """Return a DSN of either form as the URI that yoyo takes; the rest become parameters."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    user, password = parts.pop("user", ""), parts.pop("password", "")
    host, port, name = parts.pop("host", ""), parts.pop("port", ""), parts.pop("dbname", "")
    if host.startswith("/"):
        parts["host"], host = host, ""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    address = (f"{login}@" if login else "") + host + (f":{port}" if port else "")
    return f"postgresql+psycopg://{address}/{quote(name, safe='')}?{urlencode(parts)}"
