"""Keeps the parts of one stack alive: starts them as soon as what they need is there,
starts again what dies, and stops everything in the reverse order.

It knows nothing of what the parts are. One coroutine keeps one part; all of them share one
account (`state`), written to disk at every change. Blocking work of the parts runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import pwd
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.embedded.component import (
    Command,
    Component,
    Service,
    StartError,
    Task,
    Watched,
    in_start_order,
)
from deploy.embedded.layout import Layout
from deploy.embedded.process import (
    STACK_VARIABLE,
    ProcessIdentity,
    kill_all,
    kill_leftovers,
    marked,
)
from deploy.embedded.state import ComponentState, Phase, StackState

FIRST_START_TRIES = 3
BACK_OFF_S = (0.2, 1.0, 2.0, 5.0, 10.0, 20.0)
CALM_S = 60  # running this long makes the next death the first one again
LOG_LIMIT_BYTES = 32 << 20


class Supervisor:
    """Runs `components` until told to stop."""

    def __init__(self, layout: Layout, components: tuple[Component, ...]) -> None:
        self._layout = layout
        self._components = in_start_order(components)
        self._by_name = {component.name: component for component in self._components}
        self._good = {name: asyncio.Event() for name in self._by_name}
        self._deaths = {name: asyncio.Event() for name in self._by_name}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._state = StackState(
            supervisor=ProcessIdentity.of(os.getpid()),
            stack_id=uuid.uuid4().hex,
            started=time.time(),
            components={name: ComponentState(since=time.time()) for name in self._by_name},
        )

    def request_stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Keep everything running; returns when all has been stopped."""
        self._save()
        keepers = {c.name: asyncio.create_task(self._keep(c)) for c in self._components}
        for name, keeper in keepers.items():
            keeper.add_done_callback(functools.partial(self._keeper_ended, name))
        housekeeping = [
            asyncio.create_task(self._keep_logs_small()),
            asyncio.create_task(self._come_to_rest()),
        ]
        await self._stopping.wait()
        for task in housekeeping:
            task.cancel()
        for component in reversed(self._components):
            await _ended(keepers[component.name])
            await self._stop(component)
        await asyncio.to_thread(kill_all, marked(self._state.stack_id), grace_s=2)

    # one component

    async def _keep(self, component: Component) -> None:
        for need in component.needs:
            if need in self._good:
                await self._good[need].wait()
        try:
            match component:
                case Service():
                    await self._keep_service(component)
                case Task():
                    await self._run_task(component)
                case Watched():
                    await self._keep_watched(component)
        except StartError as error:
            self._mark(component.name, Phase.FAILED, detail=str(error))

    def _keeper_ended(self, name: str, keeper: asyncio.Task[None]) -> None:
        """A keeper that raised is a bug: say so in the account and in our own log."""
        if keeper.cancelled() or (error := keeper.exception()) is None:
            return
        self._mark(name, Phase.FAILED, detail=f"{type(error).__name__}: {error}")
        traceback.print_exception(error)

    async def _keep_service(self, service: Service) -> None:
        deaths_in_a_row = 0
        ever_ready = False
        while True:
            begun = time.monotonic()
            phase = Phase.RESTARTING if ever_ready else Phase.STARTING
            self._mark(service.name, phase)
            try:
                await asyncio.to_thread(service.prepare)
            except OSError as error:
                deaths_in_a_row += 1
                detail = f"could not be prepared: {error}"
                await self._back_off(service.name, deaths_in_a_row, detail, ever_ready=ever_ready)
                continue
            process = await self._spawn(service.name, service.command())
            if await self._becomes_ready(service, process):
                ever_ready = True
                self._mark_good(service.name, Phase.READY, took_s=time.monotonic() - begun)
                await self._dies(service, process)
            await self._end(service, process)
            code = process.returncode
            if service.ends and code == 0:
                self._mark_good(service.name, Phase.DONE, detail="finished")
                return
            if time.monotonic() - begun > CALM_S:
                deaths_in_a_row = 0
            deaths_in_a_row += 1
            detail = self._why(service.name, code)
            await self._back_off(service.name, deaths_in_a_row, detail, ever_ready=ever_ready)

    async def _back_off(self, name: str, failures: int, detail: str, *, ever_ready: bool) -> None:
        """Wait before the next try. Raises StartError if there have been enough first ones."""
        if not ever_ready and failures >= FIRST_START_TRIES:
            raise StartError(detail)
        self._died(name, detail=detail)
        await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1])

    async def _becomes_ready(self, service: Service, process: asyncio.subprocess.Process) -> bool:
        begun = time.monotonic()
        while (elapsed_s := time.monotonic() - begun) < service.start_patience_s:
            if process.returncode is not None:
                return service.ends and process.returncode == 0
            if await asyncio.to_thread(service.ready):
                return True
            await asyncio.sleep(min(0.5, 0.05 + elapsed_s / 10))
        return False

    async def _dies(self, service: Service, process: asyncio.subprocess.Process) -> None:
        """Return when the process has ended, or when the one it depends on for life has."""
        leader = self._deaths.get(service.restarts_with)
        if leader is None:
            await process.wait()
            return
        leader.clear()
        waits = {asyncio.create_task(process.wait()), asyncio.create_task(leader.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run_task(self, task: Task) -> None:
        begun = time.monotonic()
        self._mark(task.name, Phase.STARTING)
        if task.command is not None:
            process = await self._spawn(task.name, task.command)
            try:
                code = await asyncio.wait_for(process.wait(), task.start_patience_s)
            except TimeoutError:
                await self._kill(task.name, process)
                raise StartError(f"did not finish in {task.start_patience_s:.0f} s") from None
            if code != 0:
                raise StartError(self._why(task.name, code))
        await asyncio.to_thread(task.action)
        self._mark_good(task.name, Phase.DONE, took_s=time.monotonic() - begun)

    async def _keep_watched(self, watched: Watched) -> None:
        failures = 0
        ever_ready = False
        while True:
            begun = time.monotonic()
            self._mark(watched.name, Phase.RESTARTING if ever_ready else Phase.STARTING)
            try:
                await asyncio.to_thread(watched.start)
            except StartError as error:
                failures += 1
                await self._back_off(watched.name, failures, str(error), ever_ready=ever_ready)
                continue
            if await self._until_ready(watched):
                ever_ready = True
                failures = 0
                self._mark_good(watched.name, Phase.READY, took_s=time.monotonic() - begun)
            elif not ever_ready:
                raise StartError(f"not running after {watched.start_patience_s:.0f} s")
            while await asyncio.to_thread(watched.healthy) is not False:
                await asyncio.sleep(1)
            self._died(watched.name, detail="gone")

    async def _until_ready(self, watched: Watched) -> bool:
        deadline = time.monotonic() + watched.start_patience_s
        while time.monotonic() < deadline:
            if await asyncio.to_thread(watched.ready):
                return True
            await asyncio.sleep(0.3)
        return False

    # processes

    async def _spawn(self, name: str, command: Command) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            **command.environment,
            STACK_VARIABLE: self._state.stack_id,
        }
        with self._layout.log_of(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=command.folder,
                start_new_session=True,
                **_as_user(command.user),  # type: ignore[arg-type]  # keywords of Popen
            )
        self._processes[name] = process
        with contextlib.suppress(ProcessLookupError, ValueError):
            self._state.components[name].process = ProcessIdentity.of(process.pid)
        self._save()
        return process

    async def _end(self, service: Service, process: asyncio.subprocess.Process) -> None:
        """Stop a process in its own way, wait, and kill what it leaves behind."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(service.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), service.stop_patience_s)
        await self._kill(service.name, process)

    async def _kill(self, name: str, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.to_thread(kill_leftovers, process.pid)
        self._state.components[name].process = None

    async def _stop(self, component: Component) -> None:
        row = self._state.components[component.name]
        match component:
            case Service():
                process = self._processes.get(component.name)
                if process is not None and row.process is not None:
                    self._mark(component.name, Phase.STOPPING)
                    await self._end(component, process)
            case Watched() if row.phase not in (Phase.WAITING, Phase.FAILED):
                self._mark(component.name, Phase.STOPPING)
                await asyncio.to_thread(component.stop)
            case Task():
                process = self._processes.get(component.name)
                if process is not None and process.returncode is None:
                    await self._kill(component.name, process)
            case _:
                pass
        if row.phase is not Phase.FAILED:
            self._mark(component.name, Phase.STOPPED)

    # the account

    def _mark(self, name: str, phase: Phase, *, detail: str = "") -> None:
        row = self._state.components[name]
        row.phase, row.since, row.detail = phase, time.time(), detail
        self._save()

    def _mark_good(self, name: str, phase: Phase, *, took_s: float = 0, detail: str = "") -> None:
        row = self._state.components[name]
        row.took_s = round(took_s, 2) if not row.restarts else row.took_s
        self._mark(name, phase, detail=detail)
        self._good[name].set()

    def _died(self, name: str, *, detail: str) -> None:
        self._state.components[name].restarts += 1
        self._mark(name, Phase.RESTARTING, detail=detail)
        self._deaths[name].set()
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {name} {detail}", flush=True)

    def _save(self) -> None:
        self._state.save(self._layout.state)

    def _why(self, name: str, code: int | None) -> str:
        if code is None:
            ended = "was not ready in time"
        elif code < 0:
            ended = f"was killed by {signal.Signals(-code).name}"
        else:
            ended = f"ended with exit code {code}"
        return f"{ended}; last words:\n{last_lines(self._layout.log_of(name))}"

    async def _come_to_rest(self) -> None:
        """When all is up, let each service do what it has put off until then."""
        for good in self._good.values():
            await good.wait()
        for component in self._components:
            process = self._state.components[component.name].process
            if isinstance(component, Service) and process is not None:
                await asyncio.to_thread(component.at_rest, process.pid)

    async def _keep_logs_small(self) -> None:
        while True:
            for path in self._layout.log.glob("*.log"):
                await asyncio.to_thread(shorten_log, path)
            await asyncio.sleep(60)


def last_lines(path: Path, *, count: int = 12) -> str:
    """The end of a log, indented; empty if there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines)


def shorten_log(path: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Move a log over its limit aside, in place, since its writer keeps it open to append."""
    if path.stat().st_size > limit_bytes:
        path.with_suffix(".log.1").write_bytes(path.read_bytes())
        os.truncate(path, 0)


def supervise(layout: Layout, components: Callable[[], tuple[Component, ...]]) -> int:
    """Run a supervisor in this process until SIGTERM. Exit code 1 if another one already does."""
    with locked(layout.lock) as ours:
        if not ours:
            print(f"another supervisor runs in {layout.home}", file=sys.stderr)
            return 1
        asyncio.run(_supervise(layout, components()))
    return 0


async def _supervise(layout: Layout, components: tuple[Component, ...]) -> None:
    supervisor = Supervisor(layout, components)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.request_stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    await supervisor.run()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock that the kernel frees when we end; yields False if another holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _as_user(name: str) -> dict[str, object]:
    if not name or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


async def _ended(keeper: asyncio.Task[None]) -> None:
    """Cancel a keeper and wait until it has let go."""
    keeper.cancel()
    await asyncio.wait([keeper])
