"""Exceptions and suppression windows of rules, asked of signals: what silences a violation.

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
        key = {name: row[name] for name in ("tenant_id", "signal_id", "revision")}
        connection.execute(
            statement("decide_exception"),
            {
                **key,
                "exception": as_json(found)
                or repetition(connection, **key, group_fingerprint=row["group_fingerprint"]),
            },
        )


def repetition(
    connection: WorkerConnection,
    *,
    tenant_id: object,
    signal_id: bytes,
    revision: int,
    group_fingerprint: bytes,
) -> str | None:
    """Return what is stored with a signal that is due and repeats one which alerts, as JSON.

    None: it repeats none within the suppression window of its rule, or its rule has none.
    """
    row = connection.execute(
        statement("repeated"),
        {
            "tenant_id": tenant_id,
            "signal_id": signal_id,
            "revision": revision,
            "group_fingerprint": group_fingerprint,
        },
    ).fetchone()
    if row is None:
        return None
    window = int(row["suppress"].total_seconds())
    return to_json(
        {
            "where": "",
            "reason": f"It repeats a signal of its group: its rule alerts once in {window} s.",
            "repeats": row["id"],
        }
    )
