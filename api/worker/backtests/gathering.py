"""The last part of a backtest with rules over many traces: what all partitions found, together."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from api.worker.backtests.part import ROWS_PER_KIND, TELL_EVERY_S, Progress, Throttle
from api.worker.backtests.work import Part, Sides, to_ms
from api.worker.database import WorkerConnection, backtest_statement
from udfs.backtest.gathering import Gathering, ManyOutcomes
from udfs.backtest.handed import Handed, unpack_chunk
from udfs.backtest.many_difference import ManyDifference, many_difference
from udfs.backtest.rules import GivenRules

_PAUSE_EVERY = 500
"""Contributions between two looks at the clock."""


def gather(
    part: Part,
    sides: Sides,
    connection: WorkerConnection,
    *,
    throttle: Throttle,
    tell: Callable[[Progress], None],
) -> ManyDifference:
    """Judge the rules over many traces of both sides.

    tell: called twice a second; what it raises ends the part. Raises TooManySignals.
    """
    outcomes: dict[str, ManyOutcomes] = {}
    pause = _Pause(throttle, tell)
    begun_ms = _begun_ms(connection, part)
    for side, given in sides.named().items():
        handed = _in_order(connection, part, side=side)
        outcomes[side] = _judge(given, sides, handed, begun_ms, part=part, pause=pause)
    return many_difference(
        outcomes["now"],
        outcomes.get("was"),
        rule_ids=part.asked.over_many_traces(sides),
        compared=part.asked.compared_ids,
        rows_per_kind=ROWS_PER_KIND,
    )


class _Pause:
    """Lets others work, and tells that the part is still in hand."""

    def __init__(self, throttle: Throttle, tell: Callable[[Progress], None]) -> None:
        self._throttle = throttle
        self._tell = tell
        self._told_at = time.monotonic()

    def __call__(self) -> None:
        self._throttle.pay()
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._tell(Progress(0, 0, 0))
            self._told_at = time.monotonic()


def _judge(
    given: GivenRules,
    sides: Sides,
    handed: Iterator[Handed],
    begun_ms: Mapping[int, int],
    *,
    part: Part,
    pause: _Pause,
) -> ManyOutcomes:
    gathering = Gathering(given, sides.window, begun_ms=begun_ms)
    for number, one in enumerate(handed, 1):
        gathering.take(one)
        if number % _PAUSE_EVERY == 0:
            pause()
    return gathering.finish(part.log_end_ms)


def _begun_ms(connection: WorkerConnection, part: Part) -> dict[int, int]:
    rows = connection.execute(backtest_statement("parts_begun"), part.asked.key).fetchall()
    return {row["partition"]: to_ms(row["first_at"]) for row in rows}


def _in_order(connection: WorkerConnection, part: Part, *, side: str) -> Iterator[Handed]:
    """Yield what all partitions handed on, in one order; a chunk of each is held at a time."""
    wanted = {**part.asked.key, "side": side}
    rows = connection.execute(backtest_statement("handed"), wanted).fetchall()
    return heapq.merge(*(_of_partition(connection, {**wanted, **row}) for row in rows))


def _of_partition(connection: WorkerConnection, wanted: dict[str, Any]) -> Iterator[Handed]:
    for number in range(wanted["chunk_count"]):
        chunk = connection.execute(backtest_statement("handed_chunk"), {**wanted, "number": number})
        row = chunk.fetchone()
        assert row is not None, "chunks stay until the part that reads them is done"
        yield from unpack_chunk(bytes(row["packed"]))
