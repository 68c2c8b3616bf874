"""The supervisor with small programs in place of servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

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
from deploy.embedded.process import marked
from deploy.embedded.state import Phase, StackState
from deploy.embedded.supervisor import Supervisor, last_lines, locked, shorten_log

PATIENCE_S = 20


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.create()
    return layout


@contextlib.asynccontextmanager
async def supervised(layout: Layout, *components: Component) -> AsyncIterator[Supervisor]:
    """A running supervisor, stopped at the end."""
    supervisor = Supervisor(layout, components)
    running = asyncio.create_task(supervisor.run())
    await until(layout.state.exists)
    try:
        yield supervisor
    finally:
        supervisor.request_stop()
        await running


def state_of(layout: Layout) -> StackState:
    state = StackState.load(layout.state)
    assert state is not None
    return state


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def program(name: str, source: str, **options: object) -> Service:
    """A service that runs Python source; ready once the file named like it is there."""
    return Service(
        name=name,
        command=lambda: Command(argv=(sys.executable, "-c", source)),
        **{"ready": lambda: True, "stop_patience_s": 5, **options},  # type: ignore[arg-type]
    )


SLEEP = "import time; time.sleep(600)"


async def test_a_component_starts_after_what_it_needs(layout: Layout) -> None:
    order: list[str] = []
    first = Task(name="first", action=lambda: order.append("first"))
    second = Task(name="second", action=lambda: order.append("second"), needs=("first",))

    async with supervised(layout, second, first):
        await until(lambda: state_of(layout).all_good)

    assert order == ["first", "second"]


async def test_a_killed_service_is_started_again(layout: Layout) -> None:
    async with supervised(layout, program("server", SLEEP)):
        await until(lambda: state_of(layout).all_good)
        killed = state_of(layout).components["server"].process
        assert killed is not None

        os.kill(killed.pid, signal.SIGKILL)

        await until(lambda: state_of(layout).components["server"].restarts == 1)
        await until(lambda: state_of(layout).all_good)
        row = state_of(layout).components["server"]
        assert row.process not in (None, killed)


async def test_a_service_goes_down_with_the_one_it_depends_on_for_life(layout: Layout) -> None:
    leader = program("leader", SLEEP)
    follower = program("follower", SLEEP, restarts_with="leader")
    async with supervised(layout, leader, follower):
        await until(lambda: state_of(layout).all_good)
        rows = state_of(layout).components
        before = rows["leader"].process, rows["follower"].process
        assert before[0] is not None

        os.kill(before[0].pid, signal.SIGKILL)

        await until(lambda: state_of(layout).components["follower"].restarts == 1)
        await until(lambda: state_of(layout).all_good)
        rows = state_of(layout).components
        assert rows["leader"].process != before[0]
        assert rows["follower"].process != before[1]


async def test_a_service_that_never_gets_ready_fails_with_its_last_words(layout: Layout) -> None:
    source = "print('no such table', flush=True); raise SystemExit(3)"
    broken = program("broken", source, ready=lambda: False)
    never = program("never", SLEEP, needs=("broken",), ready=lambda: False)

    async with supervised(layout, broken, never):
        await until(lambda: bool(state_of(layout).failed))
        state = state_of(layout)

    assert state.failed == ["broken"]
    assert "ended with exit code 3" in state.components["broken"].detail
    assert "no such table" in state.components["broken"].detail
    assert state.components["never"].phase is Phase.WAITING


async def test_a_preparation_that_is_hopeless_fails_at_once(layout: Layout) -> None:
    def prepare() -> None:
        raise StartError("install a JDK 17")

    async with supervised(layout, program("server", SLEEP, prepare=prepare)):
        await until(lambda: bool(state_of(layout).failed))

        assert state_of(layout).components["server"].detail == "install a JDK 17"


async def test_a_preparation_that_fails_once_is_tried_again(layout: Layout) -> None:
    tries: list[int] = []

    def prepare() -> None:
        tries.append(1)
        if len(tries) == 2:
            raise FileExistsError("a process that is dying still writes there")

    async with supervised(layout, program("server", SLEEP, prepare=prepare)):
        await until(lambda: state_of(layout).all_good)
        killed = state_of(layout).components["server"].process
        assert killed is not None

        os.kill(killed.pid, signal.SIGKILL)

        await until(lambda: len(tries) == 3 and state_of(layout).all_good)
        assert state_of(layout).components["server"].process != killed


async def test_a_service_that_ends_in_order_is_done(layout: Layout) -> None:
    async with supervised(layout, program("demo", "pass", ends=True)):
        await until(lambda: state_of(layout).components["demo"].phase is Phase.DONE)


async def test_stopping_ends_children_in_the_reverse_order_and_leaves_no_grandchild(
    layout: Layout, tmp_path: Path
) -> None:
    record = tmp_path / "ended"
    source = (
        "import os, signal, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "def end(*_):\n"
        f"    open({str(record)!r}, 'a').write(os.environ['NAME'] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + '/' + os.environ['NAME'], 'w').close()\n"
        "time.sleep(600)\n"
    )

    def parent(name: str, *needs: str) -> Service:
        return Service(
            name=name,
            command=lambda: Command((sys.executable, "-c", source), environment={"NAME": name}),
            ready=(tmp_path / name).exists,
            needs=needs,
        )

    async with supervised(layout, parent("first"), parent("second", "first")):
        await until(lambda: state_of(layout).all_good)
        stack_id = state_of(layout).stack_id
        assert len(marked(stack_id)) == 4

    assert record.read_text() == "second first "
    assert marked(stack_id) == []
    assert {row.phase for row in state_of(layout).components.values()} == {Phase.STOPPED}


async def test_a_service_deaf_to_its_signal_is_killed(layout: Layout) -> None:
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); {SLEEP}"  # noqa: E501
    server = program("deaf", deaf, stop_patience_s=0.2, ready=layout.log_of("deaf").exists)
    async with supervised(layout, server):
        await until(lambda: layout.log_of("deaf").exists())
        await until(lambda: layout.log_of("deaf").read_text() == "1\n")
        stack_id = state_of(layout).stack_id

    assert marked(stack_id) == []


class Lamp:
    """Something that lives elsewhere: switched on, and perhaps going out."""

    def __init__(self) -> None:
        self.on = False
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self.on = True

    def stop(self) -> None:
        self.on = False

    def watched(self) -> Watched:
        return Watched(
            name="lamp",
            start=self.start,
            ready=lambda: self.on,
            healthy=lambda: self.on,
            stop=self.stop,
        )


async def test_something_watched_is_started_again_when_it_is_gone(layout: Layout) -> None:
    lamp = Lamp()
    async with supervised(layout, lamp.watched()):
        await until(lambda: state_of(layout).all_good)

        lamp.on = False

        await until(lambda: lamp.starts == 2)
        await until(lambda: state_of(layout).all_good)
    assert not lamp.on


def test_a_circle_of_needs_is_refused() -> None:
    circle = (Task(name="a", needs=("b",)), Task(name="b", needs=("a",)))

    with pytest.raises(ValueError, match="a, b"):
        in_start_order(circle)


def test_needs_that_are_not_in_the_stack_do_not_hinder() -> None:
    part = Task(name="a", needs=("elsewhere",))

    assert in_start_order((part,)) == (part,)


def test_only_one_holds_the_lock_of_a_home(layout: Layout) -> None:
    with locked(layout.lock) as first, locked(layout.lock) as second:
        assert (first, second) == (True, False)
    with locked(layout.lock) as again:
        assert again


def test_a_state_file_that_is_torn_counts_as_none(layout: Layout) -> None:
    layout.state.write_text('{"supervisor": ')

    assert StackState.load(layout.state) is None


def test_a_long_log_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)

        shorten_log(log, limit_bytes=20)
        writer.write(b"new\n")

    assert log.read_text() == "new\n"
    assert (tmp_path / "kafka.log.1").read_text() == "old\n" * 10
    assert last_lines(log, count=1) == "    new"
