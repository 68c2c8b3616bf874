"""What one stack is told: where it lives, which ports it takes, which servers exist already.

Everything here is plain data that survives a trip through JSON, because the command that
starts a stack and the supervisor that runs it are two processes.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from deploy.embedded.envfile import read_env_file

REPOSITORY = Path(__file__).resolve().parents[2]

SERVERS = ("postgres", "kafka", "jobmanager", "taskmanager")
APPS = ("ingest", "worker", "api", "job")
DEMO = ("demo",)
EVERYTHING = (*SERVERS, *APPS, *DEMO)


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on the loopback interface; each default can be changed by its variable."""

    http: int = 8080
    otlp_http: int = 4318
    otlp_grpc: int = 4317
    kafka: int = 19092
    kafka_controller: int = 19093
    postgres: int = 15432
    flink: int = 18081
    flink_rpc: int = 16123
    ingest_metrics: int = 19464
    worker_metrics: int = 19465

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ports:
        """Read `BETRACE_HTTP_PORT` and its like; raises ValueError naming a bad variable."""
        defaults = cls()
        chosen = {
            port.name: _number(
                environment,
                port_variable(port.name),
                getattr(defaults, port.name),
                least=1,
                most=65535,
            )
            for port in fields(cls)
        }
        return cls(**chosen)

    @classmethod
    def free(cls) -> Ports:
        """Ports that are free at this moment, for tests and for stacks side by side."""
        sockets = [socket.socket() for _ in fields(cls)]
        try:
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return cls(*(each.getsockname()[1] for each in sockets))
        finally:
            for each in sockets:
                each.close()


def port_variable(name: str) -> str:
    """Name of the environment variable that sets the port `name`."""
    return f"BETRACE_{name.upper()}_PORT"


@dataclass(frozen=True, slots=True)
class External:
    """Addresses of servers that exist already; an empty text means: start our own."""

    database_url: str = ""
    database_admin_url: str = ""
    database_worker_url: str = ""
    kafka: str = ""
    flink: str = ""
    keys_provider: str = ""
    """What wraps the keys of tenants, if not a file of ours."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """One stack. `components`: names out of EVERYTHING that are to run."""

    home: Path
    ports: Ports = Ports()
    components: tuple[str, ...] = EVERYTHING
    external: External = External()
    topic_prefix: str = "betrace"
    slots: int = 2
    taskmanager_memory: str = "4096m"
    jobmanager_memory: str = "1024m"
    kafka_heap: str = "512m"
    checkpoint_interval_s: int = 10
    demo_seconds: int = 1800
    demo_rate: float = 2.0
    environment: dict[str, str] = field(default_factory=dict)
    """Extra variables for our own processes (ingest, worker, api, job, demo)."""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, components: Iterable[str] = EVERYTHING
    ) -> StackSettings:
        """Settings of the stack that this shell means. Raises ValueError for bad values."""
        env = os.environ if environment is None else environment
        home = Path(env.get("BETRACE_HOME") or REPOSITORY / ".betrace").resolve()
        defaults = cls(home=home)
        return cls(
            home=home,
            ports=Ports.from_environment(env),
            components=tuple(components),
            external=_external(env, home=home),
            topic_prefix=env.get("BETRACE_TOPIC_PREFIX", defaults.topic_prefix),
            slots=_number(env, "BETRACE_FLINK_SLOTS", defaults.slots, least=1),
            taskmanager_memory=env.get("BETRACE_TASKMANAGER_MEMORY", defaults.taskmanager_memory),
            jobmanager_memory=env.get("BETRACE_JOBMANAGER_MEMORY", defaults.jobmanager_memory),
            kafka_heap=env.get("BETRACE_KAFKA_HEAP", defaults.kafka_heap),
            demo_seconds=_number(env, "BETRACE_DEMO_SECONDS", defaults.demo_seconds, least=0),
        )

    def starts(self, server: str) -> bool:
        """Whether this stack runs `server` itself."""
        elsewhere = {
            "postgres": self.external.database_url,
            "kafka": self.external.kafka,
            "jobmanager": self.external.flink,
            "taskmanager": self.external.flink,
        }
        return server in self.components and not elsewhere.get(server)

    @property
    def kafka(self) -> str:
        return self.external.kafka or f"127.0.0.1:{self.ports.kafka}"

    @property
    def flink(self) -> str:
        return self.external.flink or f"http://127.0.0.1:{self.ports.flink}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    def to_json(self) -> str:
        return json.dumps(asdict(replace(self, home=self.home)), default=str, indent=1)

    @classmethod
    def from_json(cls, text: str) -> StackSettings:
        values = json.loads(text)
        return cls(
            **{
                **values,
                "home": Path(values["home"]),
                "ports": Ports(**values["ports"]),
                "external": External(**values["external"]),
                "components": tuple(values["components"]),
            }
        )


def _number(
    env: Mapping[str, str], variable: str, default: int, *, least: int, most: int = 1 << 31
) -> int:
    text = env.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"{variable}={text!r} is not a number from {least} to {most}")
    return int(text)


def _external(env: Mapping[str, str], *, home: Path) -> External:
    """Servers named by the shell, less those that are this stack's own.

    A shell that has loaded `.betrace/demo.env` names the embedded servers by the same
    variables; those must not be taken for somebody else's.
    """
    own = read_env_file(home / "demo.env")

    def given(variable: str) -> str:
        value = env.get(variable, "")
        return "" if value == own.get(variable) else value

    return External(
        database_url=given("DATABASE_URL"),
        database_admin_url=given("BETRACE_DATABASE_ADMIN_URL"),
        database_worker_url=given("BETRACE_DATABASE_WORKER_URL"),
        kafka=given("BETRACE_KAFKA"),
        flink=given("BETRACE_FLINK"),
        keys_provider=given("BETRACE_KEYS_PROVIDER"),
    )
