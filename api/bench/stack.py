"""The servers that a run is measured on: an embedded stack of its own, or one that runs already.

Everything goes through what any operator has: `python -m deploy.embedded`, the `betrace` command,
the REST API, and the variables of demo.env.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from api.bench.rules import BenchRule

_PORTS = (
    "BETRACE_HTTP_PORT",
    "BETRACE_OTLP_HTTP_PORT",
    "BETRACE_OTLP_GRPC_PORT",
    "BETRACE_KAFKA_PORT",
    "BETRACE_KAFKA_CONTROLLER_PORT",
    "BETRACE_POSTGRES_PORT",
    "BETRACE_FLINK_PORT",
    "BETRACE_FLINK_RPC_PORT",
    "BETRACE_INGEST_METRICS_PORT",
    "BETRACE_WORKER_METRICS_PORT",
)
_GROUPS = ("kafka", "jobmanager", "taskmanager", "worker", "api", "ingest", "postgres")
_HTTP_S = 30.0
_REPOSITORY = Path(__file__).resolve().parents[2]


class StackTrouble(Exception):
    """The stack does not do what a run needs; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How a tenant's traces are closed; None: as for any tenant."""

    settle_ms: int = 2_000
    patience_ms: int = 10_000
    max_life_ms: int | None = None
    lateness_ms: int | None = None

    def options(self) -> Iterator[str]:
        """Return the options of `betrace tenant create`."""
        for name, value_ms in asdict(self).items():
            if value_ms is not None:
                yield from (f"--{name.removesuffix('_ms').replace('_', '-')}", f"{value_ms}ms")


_MANY = "1000000"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant made for a run, and a key with which rules may be written."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack, known by its variables (those of demo.env)."""

    environment: Mapping[str, str]

    def __getitem__(self, variable: str) -> str:
        """Return a variable. Raises StackTrouble if it is not set."""
        value = self.environment.get(variable, "")
        if not value:
            raise StackTrouble(f"{variable} is not set: load the stack's demo.env")
        return value

    @property
    def spans_topic(self) -> str:
        """The topic of spans."""
        return f"{self.environment.get('BETRACE_TOPIC_PREFIX', 'betrace')}.spans"

    @property
    def rules_topic(self) -> str:
        """The rules log."""
        return f"{self.environment.get('BETRACE_TOPIC_PREFIX', 'betrace')}.rules"

    def roots(self) -> dict[str, int]:
        """Return the first process of every component, by name; empty for foreign servers."""
        path = Path(self.environment.get("BETRACE_HOME", "")) / "run" / "state.json"
        try:
            components = json.loads(path.read_text())["components"]
        except (OSError, ValueError, KeyError):
            return {}
        return {
            name: row["process"]["pid"]
            for name, row in components.items()
            if name in _GROUPS and row.get("process")
        }

    def command(self, *arguments: str) -> str:
        """Run the `betrace` command and return its output. Raises StackTrouble if it fails."""
        return _run(
            [sys.executable, "-c", "from api.command import main; main()", *arguments],
            self.environment,
        )

    def make_tenant(self, lifetimes: Lifetimes) -> Tenant:
        """Make a tenant of its own for this run."""
        name = f"bench-{time.time_ns() // 1_000_000}"
        every = (
            *("--fold-after", "never"),  # signals are compared with violations one by one
            *("--requests-per-min", _MANY, "--key-requests-per-min", _MANY),  # a thousand rules
        )
        options = (*lifetimes.options(), *every, "--json")
        made = json.loads(self.command("tenant", "create", name, *options))
        return Tenant(id=made["id"], key=self.make_key(name))

    def make_key(self, tenant: str) -> str:
        """Make an administrator's key of a tenant, by its name or id."""
        wanted = ("--tenant", tenant, "--name", "bench", "--role", "admin", "--json")
        key: str = json.loads(self.command("key", "create", *wanted))["key"]
        return key

    def post_rules(self, rules: Sequence[BenchRule], *, key: str) -> None:
        """Save rules through the API. Raises StackTrouble at the first one refused."""
        with httpx.Client(base_url=self["BETRACE_URL"], timeout=_HTTP_S) as client:
            for rule in rules:
                answer = client.post(
                    "/api/v1/rules",
                    json={
                        "id": rule.rule_id,
                        "name": f"Benchmark rule {rule.number}",
                        "severity": "medium",
                        "rule": rule.text,
                    },
                    headers={"X-API-Key": key},
                )
                if answer.status_code >= 300:
                    raise StackTrouble(f"{rule.rule_id}: {answer.status_code} {answer.text}")


@contextmanager
def own_stack(
    *, slots: int, arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Start an embedded stack in a temporary home on free ports; stop and forget it at the end.

    arguments: further ones for `deploy.embedded up`; variables: of its environment. Raises
    StackTrouble if it does not start.
    SIGTERM ends it in the same order as Ctrl-C does.
    """
    home = Path(tempfile.mkdtemp(prefix="betrace-bench-"))
    ports = dict(zip(_PORTS, map(str, _free_ports(len(_PORTS))), strict=True))
    known = {k: v for k, v in os.environ.items() if not k.startswith(("BETRACE_", "DATABASE_"))}
    chosen = {k: os.environ[k] for k in os.environ if k.endswith(("_MEMORY", "_HEAP"))}
    environment = {
        **known,
        **chosen,
        **ports,
        "BETRACE_HOME": str(home),
        "BETRACE_FLINK_SLOTS": str(slots),
        "BETRACE_TOPIC_PREFIX": "bench",
        **(variables or {}),
    }
    embedded = [sys.executable, "-m", "deploy.embedded"]
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        _run([*embedded, "up", *arguments], environment)
        yield Stack({**environment, **read_variables(home / "demo.env")})
    finally:
        signal.signal(signal.SIGTERM, before)
        subprocess.run(
            [*embedded, "down"], env=environment, cwd=_REPOSITORY, check=False, capture_output=True
        )
        # As root, Postgres runs as a user of its own, whose data lie elsewhere.
        shutil.rmtree((home / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def own_postgres() -> AbstractContextManager[Stack]:
    """Start a Postgres of its own with an empty database; stop and forget it at the end."""
    return own_stack(slots=1, arguments=("--postgres",))


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Use the stack whose variables this process has."""
    yield Stack(dict(os.environ))


def stack_of(
    slots: int, *, running: bool, variables: Mapping[str, str] | None = None
) -> AbstractContextManager[Stack]:
    """Return the stack of this process's variables if that is wanted, else one of its own.

    variables: of the environment of its own. Raises StackTrouble where one that runs has others.
    """
    if running and variables:
        raise StackTrouble(f"a stack that runs cannot be given {', '.join(variables)}")
    return running_stack() if running else own_stack(slots=slots, variables=variables)


def read_variables(path: Path) -> dict[str, str]:
    """Read NAME=value lines as a shell does. Raises StackTrouble if there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise StackTrouble(f"{path} cannot be read: {error}") from error
    words = [word for line in lines for word in shlex.split(line, comments=True)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def checkpoints(flink_url: str, *, job_name: str = "betrace detect") -> dict[str, Any]:
    """Return what Flink says of the job's checkpoints: REST /jobs/:id/checkpoints.

    Raises StackTrouble if no such job runs, or Flink does not answer.
    """
    try:
        with httpx.Client(base_url=flink_url, timeout=_HTTP_S) as client:
            jobs = client.get("/jobs/overview").raise_for_status().json()["jobs"]
            running = [
                job["jid"]
                for job in jobs
                if job["state"] == "RUNNING" and job["name"].startswith(job_name)
            ]
            if not running:
                raise StackTrouble(f"no job {job_name!r} is running at {flink_url}")
            found: dict[str, Any] = client.get(f"/jobs/{running[0]}/checkpoints").json()
            return found
    except httpx.HTTPError as error:
        raise StackTrouble(f"Flink at {flink_url} does not answer: {error}") from error


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        arguments,
        env=dict(environment),
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise StackTrouble(f"{' '.join(arguments[1:])}: {' / '.join(told[-5:])}")
    return done.stdout
