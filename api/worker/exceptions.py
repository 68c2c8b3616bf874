"""Exceptions of rules, asked of signals: which one silences a violation.

Of a promise the copier asks, which has the spans; of a rule over many traces the intake, since the
signal carries its key. Both ask the exceptions that the rule had when the violation was judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.worker.database import WorkerConnection, statement
from api.worker.trace_copy import to_json
from dsl.exceptions import RuleException, silencing, span_of_key
from udfs.wire import betrace_pb2 as wire

EXCEPTION_PATIENCE_S: Final = 60
"""A signal that nobody could decide about for so long alerts."""


def exceptions_of(stored: Sequence[Mapping[str, Any]] | None) -> tuple[RuleException, ...]:
    """Return the exceptions that Postgres holds as JSON."""
    return tuple(map(RuleException.from_dict, stored or ()))


def as_json(exception: RuleException | None) -> str | None:
    """Return an exception as it is stored with a signal."""
    return None if exception is None else to_json(exception.to_dict())


def decide_many(connection: WorkerConnection, signals: Sequence[wire.Signal]) -> None:
    """Ask the exceptions about signals of rules over many traces that have just been stored."""
    due = connection.execute(
        statement("due_of_many"),
        {
            "tenant_ids": [signal.tenant for signal in signals],
            "signal_ids": [signal.id for signal in signals],
        },
    ).fetchall()
    for row in due:
        found = silencing(
            exceptions_of(row["exceptions"]), span_of_key(row["group_values"]), at=row["judged_at"]
        )
        connection.execute(
            statement("decide_exception"),
            {
                "tenant_id": row["tenant_id"],
                "signal_id": row["signal_id"],
                "revision": row["revision"],
                "exception": as_json(found),
            },
        )
