"""What the supervisor is given: parts of a stack, in three kinds, and what each waits for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run. `user`: name to run under when we are root, empty for our own."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str = ""


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process that is to run for as long as the stack does.

    prepare: runs before every start, in a thread; raises StartError if there is no hope.
    command: what to run, asked for after `prepare`.
    ready: True once others may rely on it; asked again and again, raises nothing.
    restarts_with: a service whose death takes this one along (a TaskManager must not go on
    with the attempts of a JobManager that is gone).
    """

    name: str
    command: Callable[[], Command]
    ready: Callable[[], bool]
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = nothing
    stop_signal: signal.Signals = signal.SIGTERM
    stop_patience_s: float = 20
    start_patience_s: float = 300
    restarts_with: str = ""
    at_rest: Callable[[int], None] = lambda _pid: None
    """Called once in a thread, with the process id, when the whole stack has come up."""
    ends: bool = False
    """Ending with exit code 0 is not a failure: it has done what it was for."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something done once at every start: `command`, or `action` in a thread."""

    name: str
    command: Command | None = None
    action: Callable[[], None] = nothing
    needs: tuple[str, ...] = ()
    start_patience_s: float = 300


@dataclass(frozen=True, slots=True)
class Watched:
    """Something that lives inside another process, such as a job on a Flink cluster.

    start: brings it up, or raises StartError.
    healthy: True: it runs; False: it is gone and must be started again; None: cannot tell now.
    stop: ends it in good order; must not raise.
    """

    name: str
    start: Callable[[], None]
    ready: Callable[[], bool]
    healthy: Callable[[], bool | None]
    stop: Callable[[], None]
    needs: tuple[str, ...] = ()
    start_patience_s: float = 300


Component = Service | Task | Watched


class StartError(Exception):
    """A component cannot be started, and trying again will not help; the text says why."""


def in_start_order(components: tuple[Component, ...]) -> tuple[Component, ...]:
    """Components with each one after all it needs; needs that are not there are left out.

    Raises ValueError on a circle.
    """
    names = {component.name for component in components}
    ordered: list[Component] = []
    done: set[str] = set()
    waiting = list(components)
    while waiting:
        free = [c for c in waiting if names.intersection(c.needs) <= done]
        if not free:
            raise ValueError(f"components need each other: {', '.join(c.name for c in waiting)}")
        ordered += free
        done.update(c.name for c in free)
        waiting = [c for c in waiting if c.name not in done]
    return tuple(ordered)
