"""Operating-system processes: who they are beyond a number, and how to end them wholly.

A pid alone is not an identity, since it is used again; a pid with its start time is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

STACK_VARIABLE = "BETRACE_STACK_ID"
"""Environment variable that marks every process of a stack, grandchildren included."""

_START_TOLERANCE_S = 2.0  # the kernel's boot time, from which start times are told, may be slewed


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for good: `started` is its start in seconds since the epoch."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Identity of a living process. Raises psutil.NoSuchProcess."""
        return cls(pid=pid, started=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        return self.process() is not None


def stop(
    identity: ProcessIdentity, *, first: signal.Signals = signal.SIGTERM, patience_s: float
) -> None:
    """Ask a process to end by `first`, wait `patience_s`, then kill it and all it left behind."""
    process = identity.process()
    family = [] if process is None else _descendants(process)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(first)
        psutil.wait_procs([process], timeout=patience_s)
    kill_leftovers(identity.pid, also=family)


def kill_leftovers(
    session: int, *, also: Iterable[psutil.Process] = (), grace_s: float = 3
) -> None:
    """Kill what outlived the leader of `session`, after `grace_s` to end by itself."""
    family = {*also, *_members(session)}
    _, stubborn = psutil.wait_procs(family, timeout=grace_s)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_s)


def marked(stack_id: str) -> list[psutil.Process]:
    """All processes that carry the mark of a stack, this one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(STACK_VARIABLE) == stack_id:
                found.append(process)
    return found


def kill_all(processes: Iterable[psutil.Process], *, grace_s: float) -> None:
    """Wait `grace_s` for processes to end, terminate, wait again, kill."""
    rest = list(processes)
    for action in (None, psutil.Process.terminate, psutil.Process.kill):
        for process in rest:
            if action is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    action(process)
        _, rest = psutil.wait_procs(rest, timeout=grace_s)


def wait_until(condition: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.1) -> bool:
    """Look again every `interval_s` until `condition` holds; False if `timeout_s` ran out."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.pid != session and os.getsid(process.pid) == session:
                found.append(process)
    return found
