"""What signals say for controls: each stored revision of a signal of a rule that serves some.

It is handed over in the transaction that stores the signal, so that there is never one without the
other. Signals that a storm folded are in the counts of coverage.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from api.evidence.model import Offer
from api.evidence.offering import Refused, offer
from api.evidence.statements import statement
from dsl import Verdict
from udfs.evidence.records import RuleRef, RuleVerdict


def offer_verdicts(connection: Connection[Any]) -> list[Refused]:
    """Hand over the batch of signals that is in incoming_signals and was merged just now.

    connection: of the worker, in the transaction of the batch. Returns what cannot be a record.
    """
    rows = connection.execute(statement("verdicts")).fetchall()
    return offer(connection, [_offer(row) for row in rows])


def _offer(row: dict[str, Any]) -> Offer:
    return Offer(
        tenant=row["tenant_id"],
        id=f"{row['signal']}.{row['revision']}",
        time_ms=row["judged_ms"],
        controls=tuple(row["controls"]),
        body=RuleVerdict(
            rule=RuleRef(row["rule_id"], row["rule_version"], row["sha256"]),
            verdict=Verdict(row["verdict"]),
            signal=row["signal"],
            revision=row["revision"],
            trace_id=row["trace_id"],
            incomplete=row["incomplete"],
            reasons=tuple(sorted(set(row["reasons"]))),
        ),
    )
