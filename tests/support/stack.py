"""Embedded stacks for tests: on free ports, in a folder that goes with them.

BETRACE_TEST_KEEP=1 keeps the folder, with the logs of every process.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.embedded.settings import Ports, StackSettings
from deploy.embedded.stack import Stack
from deploy.embedded.supervisor import last_lines

SMALL = {"taskmanager_memory": "3072m", "jobmanager_memory": "1024m", "kafka_heap": "384m"}

_running: list[Stack] = []


@contextmanager
def running_stack(components: Iterable[str], **settings: object) -> Iterator[Stack]:
    """Start a stack and stop it at the end; its processes' last words are printed if the
    start fails. `settings`: fields of StackSettings, over the small sizes used for tests."""
    home = Path(tempfile.mkdtemp(prefix="betrace-test-", dir="/tmp"))
    chosen = StackSettings(home=home, ports=Ports.free(), components=tuple(components))
    stack = Stack(home, settings=replace(chosen, **{**SMALL, **settings}))  # type: ignore[arg-type]
    _running.append(stack)
    try:
        stack.up()
        yield stack
    finally:
        _running.remove(stack)
        stack.down()
        remove_home(home)


@contextmanager
def paused(*pids: int) -> Iterator[None]:
    """Let processes stand still while the body runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def running_stacks() -> tuple[Stack, ...]:
    """Return the stacks that run now, oldest first."""
    return tuple(_running)


def remove_home(home: Path) -> None:
    """Delete a stack's folder, with data kept elsewhere for Postgres' own user."""
    if os.environ.get("BETRACE_TEST_KEEP"):
        return
    postgres = home / "postgres"
    if postgres.is_symlink():
        shutil.rmtree(postgres.resolve(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def last_words(stack: Stack) -> str:
    """The end of every log of a stack, for the report of a test that failed."""
    logs = sorted(stack.layout.log.glob("*.log"))
    return "\n".join(f"{log.name}:\n{last_lines(log, count=25)}" for log in logs)
