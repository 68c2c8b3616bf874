"""What accounts for the controls: of each rule and each of its controls one interval after another.

An interval tells how often the rule was judged, zeros included, which says that it was looked at.
The numbers are those of `rule_stats_minutes`; of each count is written down that it is in an
interval, so that what the job says only later of a minute is in the next one: every verdict is in
one interval exactly. Late and dropped spans are of the tenant as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog

from api.database import Connection, Pool, one_statement, tenant_transaction
from api.evidence.model import Offer
from api.evidence.offering import offer_async
from api.evidence.sealing import STATEMENT_MS, sealer_of
from api.evidence.statements import statement
from udfs.evidence.records import Coverage, RuleRef

INTERVAL_MS: Final = 3_600_000
GRACE_MS: Final = 5 * 60_000
"""After its end an interval waits for so long for what the job says of its last minutes."""
_AT_ONCE: Final = 24
"""Intervals of a tenant in a round, when the sequencer was away for long."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Covered:
    """A rule and control in force. covered_ms: up to where its intervals go; None: it has none."""

    rule: RuleRef
    control: str
    covered_ms: int | None
    ends: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.rule.id, self.control


class CoverageFeeder:
    """Hands over the intervals of all tenants that are over.

    interval_ms: how long they are; they begin at multiples of it.
    """

    def __init__(self, *, interval_ms: int = INTERVAL_MS, grace_ms: int = GRACE_MS) -> None:
        self._interval_ms = interval_ms
        self._grace_ms = grace_ms

    async def __call__(self, pool: Pool, now_ms: int) -> int:
        """Hand over what is new; return how many intervals that are."""
        to_ms = (now_ms - self._grace_ms) // self._interval_ms * self._interval_ms
        async with one_statement(pool) as connection:
            rows = await connection.execute(statement("tenants_to_cover"), {"to_ms": to_ms})
            tenants = [row["id"] async for row in rows]
        return sum([await self._cover(pool, tenant, to_ms) for tenant in tenants])

    async def _cover(self, pool: Pool, tenant: UUID, to_ms: int) -> int:
        offered = 0
        for _ in range(_AT_ONCE):
            async with tenant_transaction(
                pool, sealer_of(tenant), timeout_ms=STATEMENT_MS
            ) as connection:
                more = await self._step(connection, tenant, to_ms)
            if not more:
                break
            offered += more
        return offered

    async def _step(self, connection: Connection, tenant: UUID, to_ms: int) -> int:
        """Hand over the oldest interval that is due of each rule and control of a tenant."""
        turn = await connection.execute(statement("coverage_turn"), {"tenant_id": tenant})
        row = await turn.fetchone()
        if not (row and next(iter(row.values()))):
            return 0
        in_force = await self._in_force(connection, tenant)
        begun = [one.covered_ms for one in in_force if one.covered_ms is not None]
        until_ms = min([*(each + self._interval_ms for each in begun), to_ms])
        due = [one for one in in_force if one.covered_ms is None or one.covered_ms < until_ms]
        if not due:
            return 0
        if fresh := _not_covered(in_force):
            # What a rule said before it served a control is in no interval.
            await _take_counts(connection, tenant, fresh, until_ms - self._interval_ms)
        counts = await _take_counts(connection, tenant, {one.rule.id for one in due}, until_ms)
        lost = await _lost_spans(connection, tenant, until_ms - self._interval_ms, until_ms)
        offers = [self._offer(tenant, one, until_ms, counts, lost) for one in due]
        for refused in await offer_async(connection, offers):
            log.error("evidence.refused", id=refused.offer.id, detail=refused.detail)
        for one in due:
            await connection.execute(
                statement("move_coverage"),
                {
                    "tenant_id": tenant,
                    "rule_id": one.rule.id,
                    "control": one.control,
                    "rule_version": one.rule.version,
                    "covered_ms": until_ms,
                    "ended": one.ends,
                },
            )
        return len(due)

    async def _in_force(self, connection: Connection, tenant: UUID) -> list[_Covered]:
        """Return what is in force, and what was when its last interval ended."""
        found = await connection.execute(statement("coverage_cursors"), {"tenant_id": tenant})
        live = {
            (row["rule_id"], row["control"]): row
            for row in await found.fetchall()
            if not row["ended"]
        }
        found = await connection.execute(statement("covered_rules"), {"tenant_id": tenant})
        now = {(row["rule_id"], row["control"]): row for row in await found.fetchall()}
        return [
            _Covered(
                rule=RuleRef(key[0], row["version"], row["sha256"]),
                control=key[1],
                covered_ms=live[key]["covered_ms"] if key in live else None,
                ends=key not in now,
            )
            for key, row in sorted({**live, **now}.items())
        ]

    def _offer(
        self,
        tenant: UUID,
        one: _Covered,
        until_ms: int,
        counts: Mapping[str, dict[str, int]],
        lost: Mapping[str, int],
    ) -> Offer:
        begins = one.covered_ms is None
        from_ms = until_ms - self._interval_ms if one.covered_ms is None else one.covered_ms
        verdicts = counts.get(one.rule.id, _NONE)
        return Offer(
            tenant=tenant,
            id=f"{one.rule.id}:{one.control}:{from_ms}",
            time_ms=from_ms,
            controls=(one.control,),
            body=Coverage(
                rule=one.rule,
                from_ms=from_ms,
                to_ms=until_ms,
                judged=sum(verdicts.values()),
                **verdicts,
                late=lost["late"],
                dropped=lost["dropped"],
                begins=begins,
                ends=one.ends,
            ),
        )


def _not_covered(in_force: Iterable[_Covered]) -> set[str]:
    """Return the rules of which no control has intervals yet."""
    begun = {one.rule.id for one in in_force if one.covered_ms is not None}
    return {one.rule.id for one in in_force} - begun


_NONE: Final = {"violated": 0, "satisfied": 0, "inconclusive": 0}


async def _take_counts(
    connection: Connection, tenant: UUID, rules: Iterable[str], to_ms: int
) -> dict[str, dict[str, int]]:
    found = await connection.execute(
        statement("take_counts"), {"tenant_id": tenant, "rules": sorted(rules), "to_ms": to_ms}
    )
    return {row["rule_id"]: {name: row[name] for name in _NONE} for row in await found.fetchall()}


async def _lost_spans(
    connection: Connection, tenant: UUID, from_ms: int, to_ms: int
) -> dict[str, Any]:
    found = await connection.execute(
        statement("lost_spans"), {"tenant_id": tenant, "from_ms": from_ms, "to_ms": to_ms}
    )
    row = await found.fetchone()
    assert row is not None, "an aggregate has a row"
    return row
