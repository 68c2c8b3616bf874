"""A stack as a library: start it, ask for its processes, stop it. Tests and benchmarks use
this; the command line is a thin coat over it.

    stack = Stack(home=Path("/tmp/one"), ports=Ports.free(), components=SERVERS)
    stack.up()
    os.kill(stack.pid("kafka"), signal.SIGKILL)   # and the supervisor brings it back
    stack.down()
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path

import psutil

from deploy.embedded.assembly import write_connection_data
from deploy.embedded.envfile import read_env_file
from deploy.embedded.layout import Layout
from deploy.embedded.process import ProcessIdentity, kill_all, marked, stop, wait_until
from deploy.embedded.settings import (
    EVERYTHING,
    REPOSITORY,
    Ports,
    StackSettings,
    port_variable,
)
from deploy.embedded.state import Phase, StackState
from deploy.embedded.supervisor import last_lines

DOWN_PATIENCE_S = 240
UP_PATIENCE_S = 900

Listener = Callable[[StackState], None]


class StackError(Exception):
    """The stack did not do what was asked; the text says what to do about it."""


class Stack:
    """One stack, by its home folder. Safe to make again for a stack that runs already."""

    def __init__(
        self,
        home: Path,
        ports: Ports | None = None,
        components: Iterable[str] = EVERYTHING,
        settings: StackSettings | None = None,
    ) -> None:
        self.settings = settings or StackSettings(
            home=home.resolve(), ports=ports or Ports(), components=tuple(components)
        )
        self.layout = Layout(self.settings.home)

    # orders

    def up(self, *, on_change: Listener | None = None) -> None:
        """Start what is not running and return when all of it is ready.

        on_change: called with every new account while we wait.
        Raises StackError: a port is taken, a component did not come up (then everything that
        was started is stopped again), or a stack with other parts runs in this home.
        """
        self.layout.create()
        state = self.state()
        if state is not None and state.supervisor.alive():
            self._check_same(StackSettings.from_json(self.layout.settings.read_text()))
        else:
            self.clear_leftovers()
            self._check_ports()
            self.layout.settings.write_text(self.settings.to_json())
            write_connection_data(self.settings, self.layout)
            state = self._spawn_supervisor()
        self._follow(state.stack_id, on_change=on_change)

    def down(self, *, on_change: Listener | None = None) -> bool:
        """Stop exactly what `up` started; False if nothing ran.

        Raises StackError if the supervisor did not end in time; then all is killed.
        """
        state = self.state()
        if state is None:
            return False
        if not state.supervisor.alive():
            return self.clear_leftovers()
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.supervisor.pid, signal.SIGTERM)
        supervisor = state.supervisor

        def gone() -> bool:
            account = self.state()
            if account is not None and on_change is not None:
                on_change(account)
            return not supervisor.alive()

        in_time = wait_until(gone, timeout_s=DOWN_PATIENCE_S)
        if not in_time:
            os.kill(supervisor.pid, signal.SIGKILL)
            wait_until(lambda: not supervisor.alive(), timeout_s=10)
        self.clear_leftovers()
        if not in_time:
            raise StackError(f"stopping took over {DOWN_PATIENCE_S} s; what was left was killed")
        return True

    def clear_leftovers(self) -> bool:
        """End what a dead supervisor left running, last started first; True if there was any."""
        state = self.state()
        if state is None:
            return False
        found = False
        for row in reversed(state.components.values()):
            if row.process is not None and row.process.alive():
                found = True
                stop(row.process, first=signal.SIGINT, patience_s=20)
        rest = marked(state.stack_id)
        kill_all(rest, grace_s=3)
        self.layout.state.unlink(missing_ok=True)
        return found or bool(rest)

    # questions

    def state(self) -> StackState | None:
        """The account of the supervisor, or of the last one if it died."""
        return StackState.load(self.layout.state)

    def running(self) -> bool:
        state = self.state()
        return state is not None and state.supervisor.alive()

    def environment(self) -> dict[str, str]:
        """The variables of `demo.env`: addresses, credentials, API key."""
        return read_env_file(self.layout.env_file)

    def pid(self, component: str) -> int:
        """Process id of a running component. Raises StackError if it has none."""
        return self._process(component).pid

    def worker_pids(self) -> list[int]:
        """Process ids of the TaskManager's Python workers."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.pid("taskmanager")).children(recursive=True)
            return [p.pid for p in family if "beam" in " ".join(p.cmdline())]
        return []

    def ready(self, component: str) -> bool:
        state = self.state()
        return state is not None and state.components[component].phase is Phase.READY

    def wait_ready(self, *names: str, timeout_s: float = 120) -> None:
        """Wait until components (all, if none is named) are ready. Raises StackError."""

        def good() -> bool:
            state = self.state()
            wanted = names or (tuple(state.components) if state else ())
            return state is not None and all(self.ready(name) for name in wanted)

        if not wait_until(good, timeout_s=timeout_s):
            raise StackError(f"{', '.join(names) or 'the stack'} not ready in {timeout_s:.0f} s")

    def wait_restarted(self, component: str, *, after_pid: int, timeout_s: float = 120) -> int:
        """Wait until a component that was killed is ready as another process; its new pid."""

        def back() -> bool:
            state = self.state()
            row = state.components[component] if state else None
            return (
                row is not None
                and row.phase is Phase.READY
                and row.process is not None
                and row.process.pid != after_pid
            )

        if not wait_until(back, timeout_s=timeout_s):
            raise StackError(f"{component} did not come back in {timeout_s:.0f} s")
        return self.pid(component)

    # ways

    def _process(self, component: str) -> ProcessIdentity:
        state = self.state()
        process = state.components[component].process if state else None
        if process is None:
            raise StackError(f"{component} does not run")
        return process

    def _check_same(self, running: StackSettings) -> None:
        missing = set(self.settings.components) - set(running.components)
        if missing or replace(running, components=()) != replace(self.settings, components=()):
            raise StackError(
                f"a stack with other settings runs in {self.settings.home}"
                + (f" (without {', '.join(sorted(missing))})" if missing else "")
                + ": run `make down` first"
            )

    def _check_ports(self) -> None:
        """Raises StackError naming every port that is taken, by whom, and its variable."""
        busy = [
            f"  {name}: port {port} is taken{_holder(port)}; free it or set"
            f" {port_variable(name)} to another"
            for name, port in self._ports().items()
            if not _is_free(port)
        ]
        if busy:
            raise StackError("\n".join(["some ports are in use:", *busy]))

    def _ports(self) -> dict[str, int]:
        """Ports that this stack will listen on."""
        owners = {
            "postgres": "postgres",
            "kafka": "kafka",
            "kafka_controller": "kafka",
            "flink": "jobmanager",
            "flink_rpc": "jobmanager",
        }
        apps = {"http": "api", "otlp_http": "ingest", "otlp_grpc": "ingest"}
        apps |= {"ingest_metrics": "ingest", "worker_metrics": "worker"}
        ours = {name for name, server in owners.items() if self.settings.starts(server)}
        ours |= {name for name, app in apps.items() if app in self.settings.components}
        every = {port.name: getattr(self.settings.ports, port.name) for port in fields(Ports)}
        return {name: number for name, number in every.items() if name in ours}

    def _spawn_supervisor(self) -> StackState:
        log = self.layout.log_of("supervisor")
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.embedded", "supervise", str(self.settings.home)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                start_new_session=True,
            )

        def accounted() -> bool:
            if process.poll() is not None:
                raise StackError(f"the supervisor ended at once:\n{last_lines(log)}")
            state = self.state()
            return state is not None and state.supervisor.pid == process.pid

        if not wait_until(accounted, timeout_s=30, interval_s=0.05):
            raise StackError(f"the supervisor did not start; see {log}")
        state = self.state()
        assert state is not None
        return state

    def _follow(self, stack_id: str, *, on_change: Listener | None) -> None:
        """Wait until the stack is up. On failure or interruption nothing is left running."""
        deadline = time.monotonic() + UP_PATIENCE_S
        try:
            while True:
                state = self.state()
                if state is None or state.stack_id != stack_id or not state.supervisor.alive():
                    log = self.layout.log_of("supervisor")
                    raise StackError(f"the supervisor died:\n{last_lines(log)}")
                if on_change is not None:
                    on_change(state)
                if state.failed:
                    raise StackError(self._failure(state))
                if state.all_good:
                    return
                if time.monotonic() > deadline:
                    raise StackError(f"not up after {UP_PATIENCE_S} s")
                time.sleep(0.1)
        except (StackError, KeyboardInterrupt):
            with contextlib.suppress(StackError):
                self.down()
            raise

    def _failure(self, state: StackState) -> str:
        parts = [
            f"{name} did not start: {state.components[name].detail}\n"
            f"    (all of it: {self.layout.log_of(name)})"
            for name in state.failed
        ]
        return "\n".join([*parts, "Everything that had been started was stopped again."])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _holder(port: int) -> str:
    """Who listens on a port, as far as we are allowed to see it."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
