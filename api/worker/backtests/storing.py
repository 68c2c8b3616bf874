"""What came out of a part, into rows: the copies of traces one by one, all else at once."""

from __future__ import annotations

from collections.abc import Mapping

from api.worker.backtests.examples import Example, RowKey
from api.worker.backtests.part import Judged
from api.worker.backtests.work import Part, from_ms
from api.worker.database import WorkerConnection, backtest_statement
from api.worker.folding import storable
from api.worker.sweep import Range
from api.worker.trace_copy import to_json
from api.worker.trace_store import store_copy
from udfs.backtest.difference import Row
from udfs.backtest.outcomes import Outcome


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

    Doing a part twice leaves the same copies. Raises PartLost, and then nothing else is written.
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
                "runner": runner,
            },
        )
        if not done.rowcount:
            raise PartLost
        for kind, count in difference.counts.items():
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
        for row in difference.rows:
            example = examples.get((row.rule_id, row.trace.trace_id))
            connection.execute(
                backtest_statement("insert_result"), {**part.key, **_columns(row, example)}
            )


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
        "was_outcome": _outcome(row.was) if row.was else None,
        "now_outcome": _outcome(row.now),
        "explanations": example.explanations if example else None,
        "copied": example is not None,
    }


def _outcome(outcome: Outcome) -> str:
    return to_json(
        {
            "broken": outcome.broken,
            "reasons": list(outcome.reasons),
            "incomplete": outcome.incomplete,
            "judged_ms": outcome.judged_ms,
            "signal_id": outcome.signal_id.hex(),
            "revision": outcome.revision,
        }
    )


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
