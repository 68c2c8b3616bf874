"""The live feed for many: open streams, many signals a second, some streams broken and taken up.

The API is a process of its own on a Postgres of its own. Signals are written as the worker writes
them, in small transactions by one writer; a signal's delivery is the time from just before its
transaction commits until a stream has been told of it, by itself or in the number of those that
came at once. Each stream is to be told of every signal once, in the order in which they were
written: what it was told of is counted against what was written.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import re
import resource
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg

from api.bench.machine import usage_by_group
from api.bench.signal_store import fill, make_tenant, now, rows
from api.bench.stack import Stack, StackTrouble

TARGET_MS: Final = 500
MOST: Final = 20
"""As the console asks for."""
_TICK_S: Final = 0.1
_OPENING: Final = 50
"""Streams opened at the same time."""
_PATIENCE_S: Final = 60.0
_BREAK_EVERY_S: Final = 5.0
_MORE: Final = re.compile(rb'event: more\r?\ndata: \{"count": (\d+)\}')
_ID: Final = re.compile(rb"(?m)^id: ([0-9-]+)")
_SIGNAL: Final = re.compile(rb"(?m)^event: (?:raised|changed)")
_RECENT: Final = 8
"""Chunks whose telling is remembered: streams in step are sent the same bytes."""


@dataclass(frozen=True, slots=True)
class FeedFigures:
    """What was measured. lost: signals that streams were not told of, over all streams; twice: told
    more often. rss: of the API, when all streams were open, at most, and at the end."""

    connections: int
    rate: int
    seconds: int
    written: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    chunks: int
    broken: int
    lost: int
    twice: int
    rss_begin_bytes: int
    rss_most_bytes: int
    rss_end_bytes: int
    api_cpu_share: float
    target_ms: int = TARGET_MS

    @property
    def within_target(self) -> bool:
        """Whether delivery stays below the target and nothing is lost."""
        return self.p95_ms <= self.target_ms and self.lost == self.twice == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**asdict(self), "within_target": self.within_target}


@dataclass(slots=True)
class _Clock:
    """How many signals were written, and when their transactions were about to commit."""

    a_tick: int = 1
    ticks: list[float] = field(default_factory=list)
    written: int = 0
    over: bool = False

    def waited(self, begin: int, end: int, at: float) -> Iterator[tuple[int, int]]:
        """Yield for the signals begin to end (exclusive) how many waited so many milliseconds."""
        while begin < end:
            tick = begin // self.a_tick
            until = min(end, (tick + 1) * self.a_tick)
            if tick < len(self.ticks):
                yield until - begin, round((at - self.ticks[tick]) * 1_000)
            begin = until


@dataclass(frozen=True, slots=True)
class _Told:
    """What a chunk tells. last_id: empty if it is a comment, which tells nothing."""

    chunk: bytes
    signals: int
    last_id: str


@dataclass(slots=True)
class _Stream:
    """One client. told: of how many signals. last_id: to come back with."""

    number: int
    told: int = 0
    last_id: str = ""
    opened: bool = False
    broken: int = 0
    chunks: int = 0
    writer: asyncio.StreamWriter | None = None


def measure_feed(
    stack: Stack,
    *,
    key_of: Callable[[UUID], str],
    connections: int,
    rate: int,
    seconds: int,
    say: Callable[[str], None],
) -> FeedFigures:
    """Open so many streams and write so many signals a second. Raises StackTrouble.

    stack: a Postgres with a migrated database. key_of: makes an API key of the tenant.
    """
    _allow_files(2 * connections + 200)
    tenant, people, _ = make_tenant(stack["BETRACE_DATABASE_ADMIN_URL"])
    key = key_of(tenant)
    with _api(stack) as pid:
        say("opening streams")
        run = _Run(stack, tenant, people, key, pid, say)
        return asyncio.run(run.measure(connections=connections, rate=rate, seconds=seconds))


class _Run:
    def __init__(
        self,
        stack: Stack,
        tenant: UUID,
        people: tuple[UUID, ...],
        key: str,
        pid: int,
        say: Callable[[str], None],
    ) -> None:
        self._stack = stack
        self._tenant = tenant
        self._people = people
        self._key = key
        self._pid = pid
        self._say = say
        self._clock = _Clock()
        self._took_ms: Counter[int] = Counter()
        self._turn = asyncio.Semaphore(_OPENING)
        self._recent: deque[_Told] = deque(maxlen=_RECENT)

    async def measure(self, *, connections: int, rate: int, seconds: int) -> FeedFigures:
        streams = [_Stream(number) for number in range(connections)]
        tasks = [asyncio.create_task(self._follow(stream)) for stream in streams]
        try:
            await self._all(streams, lambda stream: stream.opened, "opened", tasks)
            begin = usage_by_group({"api": self._pid})["api"]
            begun_s = time.monotonic()
            watching = asyncio.create_task(self._watch(streams))
            self._say(f"writing {rate:,} signals a second for {seconds} s")
            await asyncio.to_thread(self._write, rate, seconds)
            self._clock.over = True
            with suppress(StackTrouble):
                await self._all(streams, self._is_complete, "told of everything", tasks)
            most_bytes = await watching
            end = usage_by_group({"api": self._pid})["api"]
            spent_s = time.monotonic() - begun_s
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        written = self._clock.written
        took = self._took_ms
        return FeedFigures(
            connections=connections,
            rate=rate,
            seconds=seconds,
            written=written,
            p50_ms=_at(took, 0.5),
            p95_ms=_at(took, 0.95),
            p99_ms=_at(took, 0.99),
            chunks=sum(stream.chunks for stream in streams),
            broken=sum(stream.broken for stream in streams),
            lost=sum(max(0, written - stream.told) for stream in streams),
            twice=sum(max(0, stream.told - written) for stream in streams),
            rss_begin_bytes=begin.rss_bytes,
            rss_most_bytes=max(most_bytes, end.rss_bytes),
            rss_end_bytes=end.rss_bytes,
            api_cpu_share=round((end.cpu_s - begin.cpu_s) / spent_s, 2),
        )

    def _is_complete(self, stream: _Stream) -> bool:
        return stream.told >= self._clock.written

    async def _all(
        self,
        streams: list[_Stream],
        done: Callable[[_Stream], bool],
        what: str,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        """Wait until it is so of every stream. Raises StackTrouble."""
        until_s = time.monotonic() + _PATIENCE_S
        while not all(done(stream) for stream in streams):
            if any(task.done() for task in tasks):
                broken = next(task for task in tasks if task.done())
                raise StackTrouble(f"a stream ended: {broken.exception()!r}")
            if time.monotonic() > until_s:
                count = sum(done(stream) for stream in streams)
                raise StackTrouble(f"only {count} of {len(streams)} streams are {what}")
            await asyncio.sleep(0.05)

    async def _watch(self, streams: list[_Stream]) -> int:
        """Break some streams now and then, and return the most memory the API had."""
        most_bytes, breaking = 0, itertools.cycle(range(20))
        next_s = time.monotonic() + _BREAK_EVERY_S
        while not self._clock.over:
            await asyncio.sleep(0.5)
            most_bytes = max(most_bytes, usage_by_group({"api": self._pid})["api"].rss_bytes)
            if time.monotonic() >= next_s and not self._clock.over:
                next_s += _BREAK_EVERY_S
                part = next(breaking)
                for stream in streams[part::20]:
                    if stream.writer is not None:
                        stream.broken += 1
                        stream.writer.transport.abort()
        return most_bytes

    async def _follow(self, stream: _Stream) -> None:
        """Be told, and come back when the stream breaks."""
        while True:
            try:
                await self._listen(stream)
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    async def _listen(self, stream: _Stream) -> None:
        url = urlsplit(self._stack["BETRACE_URL"])
        lines = [
            f"GET /api/v1/signals/stream?most={MOST} HTTP/1.1",
            f"Host: {url.netloc}",
            f"X-API-Key: {self._key}",
            "Accept: text/event-stream",
        ]
        if stream.last_id:
            lines.append(f"Last-Event-ID: {stream.last_id}")
        async with self._turn:
            reader, writer = await asyncio.open_connection(
                url.hostname, url.port, limit=4 * 1024 * 1024
            )
            stream.writer = writer
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise StackTrouble(f"the stream answers {head[:200]!r}")
        try:
            while True:
                size = int((await reader.readuntil(b"\r\n")).strip() or b"0", 16)
                if not size:
                    raise ConnectionResetError("the stream ended")
                chunk = await reader.readexactly(size + 2)
                self._hear(stream, chunk)
        finally:
            writer.close()

    def _hear(self, stream: _Stream, chunk: bytes) -> None:
        """Count what a chunk tells."""
        at = time.perf_counter()
        stream.opened = True
        told = self._told_by(chunk)
        if not told.last_id:
            return
        stream.chunks += 1
        stream.last_id = told.last_id
        before = stream.told
        stream.told += told.signals
        for count, took_ms in self._clock.waited(before, stream.told, at):
            self._took_ms[took_ms] += count

    def _told_by(self, chunk: bytes) -> _Told:
        """Read a chunk, unless another stream was sent the same bytes a moment ago.

        Comparing costs a microsecond, reading a hundred: a thousand clients on their own machines
        would read each for itself, here one process plays them all beside what it measures.
        """
        for told in self._recent:
            if told.chunk == chunk:
                return told
        ids = _ID.findall(chunk)
        signals = len(_SIGNAL.findall(chunk)) + sum(int(count) for count in _MORE.findall(chunk))
        told = _Told(chunk, signals, ids[-1].decode() if ids else "")
        self._recent.appendleft(told)
        return told

    def _write(self, rate: int, seconds: int) -> None:
        """Let a process of its own write, and keep its clock. In a thread.

        Raises StackTrouble if it did not write everything.
        """
        a_tick = self._clock.a_tick = max(1, round(rate * _TICK_S))
        told, tells = multiprocessing.Pipe(duplex=False)
        dsn = self._stack["BETRACE_DATABASE_WORKER_URL"]
        process = multiprocessing.get_context("spawn").Process(
            target=_write_signals,
            args=(tells, dsn, self._tenant, self._people, a_tick, rate * seconds // a_tick),
        )
        process.start()
        tells.close()  # here, so that its end is seen
        with told, suppress(EOFError):
            while True:
                self._clock.ticks.append(told.recv())
                self._clock.written += a_tick
        process.join()
        if process.exitcode:
            raise StackTrouble(f"the process that writes signals ended with {process.exitcode}")


def _write_signals(
    tells: Connection, dsn: str, tenant: UUID, people: tuple[UUID, ...], a_tick: int, ticks: int
) -> None:
    """Write signals, a tenth of a second's worth at a time, and tell when each is to be committed.

    In a process of its own: beside a thousand streams it would wait for them.
    """
    made = rows(tenant, people, count=a_tick * ticks, newest=now())
    begun_s = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for tick in range(ticks):
            # The rate is kept by the clock: what one tick is late, the next ones catch up.
            time.sleep(max(0.0, begun_s + tick * _TICK_S - time.monotonic()))
            batch = list(itertools.islice(made, a_tick))
            with connection.transaction():
                fill(connection, iter(batch), batch=a_tick)
                tells.send(time.perf_counter())


def _at(took_ms: Counter[int], share: float) -> float:
    """Return the percentile of a histogram of milliseconds."""
    left = took_ms.total() * share
    for each_ms in sorted(took_ms):
        left -= took_ms[each_ms]
        if left <= 0:
            return float(each_ms)
    return float("inf")


@contextmanager
def _api(stack: Stack) -> Iterator[int]:
    """Start the API without limits; return its process id. Raises StackTrouble."""
    limits = {
        f"BETRACE_LIMIT_{name}_PER_MIN": "0" for name in ("TENANT", "PERSON", "KEY", "ADDRESS")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.command import main; main()", "api"],
        env={**stack.environment, **limits, "BETRACE_LOG_LEVEL": "error"},
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for(stack, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(stack: Stack, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise StackTrouble(f"the API ended: {said[-500:]}")
        with suppress(httpx.HTTPError):
            if httpx.get(f"{stack['BETRACE_URL']}/health/live", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    raise StackTrouble("the API does not answer")


def _allow_files(count: int) -> None:
    """Let this process and its children have so many files open. Raises StackTrouble."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise StackTrouble(f"{count} files cannot be open at once: `ulimit -Hn` says {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
