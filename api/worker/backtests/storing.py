"""What came out of a part, into rows: the copies of traces one by one, all else at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.worker.backtests.examples import Example, RowKey
from api.worker.backtests.many_rows import many_columns, outcome_json
from api.worker.backtests.part import Judged
from api.worker.backtests.work import Part, Sides, from_ms
from api.worker.database import WorkerConnection, backtest_statement
from api.worker.folding import storable
from api.worker.sweep import Range
from api.worker.trace_store import store_copy
from udfs.backtest.difference import Kind, Row
from udfs.backtest.handed import MEMBERS_MAX, Chunk, TooManyMembers
from udfs.backtest.many_difference import ManyDifference


class PartLost(Exception):
    """Somebody else has the part by now, or it is no longer wanted."""


def store_part(
    connection: WorkerConnection,
    part: Part,
    judged: Judged,
    examples: Mapping[RowKey, Example],
    *,
    runner: str,
) -> None:
    """Write copied traces, then counts and rows, and note that the part is done.

    Doing a part twice leaves the same copies. Raises PartLost, TooManyMembers, and then nothing
    else is written.
    """
    difference = judged.difference
    for row in difference.rows:
        example = examples.get((row.rule_id, row.trace.trace_id))
        if example is not None:
            with connection.transaction():
                _store_trace(connection, part, row, example)
    with connection.transaction():
        done = connection.execute(
            backtest_statement("finish_part"),
            {
                **part.key,
                **judged.progress._asdict(),
                "open_count": difference.open_count,
                "first_ms": judged.first_ms,
                "runner": runner,
            },
        )
        if not done.rowcount:
            raise PartLost
        _store_counts(connection, part, difference.counts)
        for row in difference.rows:
            example = examples.get((row.rule_id, row.trace.trace_id))
            connection.execute(
                backtest_statement("insert_result"), {**part.key, **_columns(row, example)}
            )
        _store_handed(connection, part, judged.handed)


def store_gathered(
    connection: WorkerConnection, part: Part, sides: Sides, gathered: ManyDifference, *, runner: str
) -> None:
    """Write counts and rows of rules over many traces, and note that the last part is done.

    Raises PartLost, and then nothing is written.
    """
    with connection.transaction():
        nothing_read = {"records_read": 0, "span_count": 0, "trace_count": 0, "open_count": 0}
        done = connection.execute(
            backtest_statement("finish_part"),
            {**part.key, **nothing_read, "first_ms": None, "runner": runner},
        )
        if not done.rowcount:
            raise PartLost
        _store_counts(connection, part, gathered.counts)
        for row in gathered.rows:
            connection.execute(
                backtest_statement("insert_result"), {**part.key, **many_columns(row, sides)}
            )


def _store_counts(connection: WorkerConnection, part: Part, counts: Mapping[Kind, int]) -> None:
    for kind, count in counts.items():
        connection.execute(
            backtest_statement("insert_count"),
            {
                **part.key,
                "rule_id": kind.rule_id,
                "was": str(kind.was),
                "now": str(kind.now),
                "trace_count": count,
            },
        )


def _store_handed(
    connection: WorkerConnection, part: Part, handed: Mapping[str, Sequence[Chunk]]
) -> None:
    """Write what the last part will read. Raises TooManyMembers if all parts have too much."""
    for side, chunks in handed.items():
        for number, chunk in enumerate(chunks):
            connection.execute(
                backtest_statement("insert_handed"),
                {**part.key, "side": side, "number": number, **chunk._asdict()},
            )
    if any(handed.values()):
        row = connection.execute(backtest_statement("handed_count"), part.asked.key).fetchone()
        if row is not None and row["item_count"] > MEMBERS_MAX:
            raise TooManyMembers


def _columns(row: Row, example: Example | None) -> dict[str, object]:
    trace = row.trace
    return {
        "rule_id": row.rule_id,
        "trace_id": trace.trace_id,
        "was": str(row.kind.was),
        "now": str(row.kind.now),
        "begin_ms": trace.begin_ms,
        "root_name": storable(trace.root_name),
        "root_service": storable(trace.root_service),
        "span_count": trace.span_count,
        "first_offset": trace.first_offset,
        "last_offset": trace.last_offset,
        "was_outcome": outcome_json(row.was) if row.was else None,
        "now_outcome": outcome_json(row.now),
        "explanations": example.explanations if example else None,
        "copied": example is not None,
        "seen": None,
    }


def _store_trace(connection: WorkerConnection, part: Part, row: Row, example: Example) -> None:
    trace = row.trace
    store_copy(
        connection,
        example.found,
        tenant=part.asked.tenant,
        trace_id=trace.trace_id,
        whole=example.whole,
        first_span_at=from_ms(trace.begin_ms),
        last_span_at=from_ms(trace.last_ms),
        read=Range(part.partition, trace.first_offset, trace.last_offset),
        external_roots=example.external_roots,
    )
