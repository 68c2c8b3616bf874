"""What people and programs did with BeTrace: the rows of the audit log, in its order.

The log is read below the oldest running transaction, so that no row comes later with an earlier
place; how far it was read moves in the transaction that hands the rows over.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from api.audit.record import Outcome as Decided
from api.database import Pool, one_statement, tenant_transaction
from api.evidence.model import Offer
from api.evidence.offering import offer_async
from api.evidence.sealing import STATEMENT_MS, sealer_of
from api.evidence.statements import statement
from udfs.evidence.records import Act, Outcome

CONTROLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"rule.cases_passed": ("soc2.CC8.1",), "rule.cases_failed": ("soc2.CC8.1",)}
)
"""Acts that are evidence of a control by themselves: tests of a change."""
ROWS: Final = 1_000
"""Of one tenant at once; more follow in the next round."""


async def offer_acts(pool: Pool, now_ms: int) -> int:
    """Hand over what is new in the audit logs of all tenants; return how much that was."""
    async with one_statement(pool) as connection:
        rows = await connection.execute(statement("tenants_with_acts"))
        tenants = [row["id"] async for row in rows]
    return sum([await _offer_of(pool, tenant) for tenant in tenants])


async def _offer_of(pool: Pool, tenant: UUID) -> int:
    async with tenant_transaction(pool, sealer_of(tenant), timeout_ms=STATEMENT_MS) as connection:
        await connection.execute(statement("begin_acts"), {"tenant_id": tenant})
        found = await connection.execute(statement("acts"), {"tenant_id": tenant, "most": ROWS})
        rows = await found.fetchall()
        if not rows:
            return 0
        await offer_async(connection, [_offer(tenant, row) for row in rows])
        last = {name: rows[-1][name] for name in ("xact", "seq")}
        await connection.execute(statement("end_acts"), {"tenant_id": tenant, **last})
    return len(rows)


def _offer(tenant: UUID, row: dict[str, Any]) -> Offer:
    allowed = row["outcome"] == Decided.ALLOWED.value
    return Offer(
        tenant=tenant,
        id=str(row["id"]),
        time_ms=row["time_ms"],
        controls=CONTROLS.get(row["action"], ()),
        body=Act(
            action=row["action"],
            actor=row["actor"],
            target=row["target"],
            outcome=Outcome.SUCCESS if allowed else Outcome.BLOCKED,
        ),
    )
