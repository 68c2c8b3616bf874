"""What the job folded of storms of signals, into Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from api.worker.database import WorkerConnection, statement
from api.worker.folding import storable
from udfs.wire import betrace_pb2 as wire

_EMPTY_ARRAY = "{}"


def write_storms(
    connection: WorkerConnection, storms: Sequence[wire.Signal], refused: Counter[str]
) -> int:
    """Merge records of storms inside the caller's transaction. Returns how many rows changed.

    storms: at most one for each row. refused: what may not be stored is added here, by reason.
    Doing it again, or in another order, leaves the same rows.
    """
    with connection.cursor().copy(statement("copy_folds")) as copy:
        for signal in storms:
            copy.write_row(_row(signal))
    for row in connection.execute(statement("refuse_folds")):
        refused[row["reason"]] += row["count"]
    return connection.execute(statement("merge_folds")).rowcount


def _row(signal: wire.Signal) -> tuple[object, ...]:
    """Return a row in the order of the columns of statement copy_folds."""
    fold = signal.fold
    return (
        signal.tenant,
        signal.rule_id,
        signal.rule_version,
        fold.minute_ms,
        fold.lane,
        signal.revision,
        storable(signal.rule_name),
        signal.severity,
        signal.shadow,
        fold.raised,
        fold.renewed,
        fold.withdrawn,
        fold.first_judged_ms,
        fold.last_judged_ms,
        list(fold.example_trace_ids) or _EMPTY_ARRAY,
    )
