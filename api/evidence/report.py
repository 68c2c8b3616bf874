"""A report of a framework or a control for an auditor: what goes into it, and that it was taken.

Numbers are those of the matrix and of the lists. How it looks is `report_pdf`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Final

from api.audit.trail import record as put_on_record
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.evidence.matrix import Matrix, read_control, read_matrix
from api.evidence.oscal import Sealed
from api.evidence.reading import key_history_up_to
from api.evidence.search import PATIENCE_MS
from api.problems import not_found

MEDIA_TYPE: Final = "application/pdf"


@dataclass(frozen=True, slots=True)
class Population:
    """How many records there are of a kind with an outcome."""

    kind: str
    outcome: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says.

    control: of which alone it is, empty: all of the matrix's framework. sealed: the log and its
    newest checkpoint; number: of that, 0: there is none; size: records of the log. keys: every
    verifier key of the log under that checkpoint, oldest first.
    """

    tenant: str
    tenant_name: str
    control: str
    matrix: Matrix
    population: tuple[Population, ...]
    sealed: Sealed
    number: int
    size: int
    keys: tuple[str, ...]

    @property
    def records(self) -> int:
        """How many records the population has."""
        return sum(one.records for one in self.population)


async def take_report(
    pool: Pool,
    scope: TenantScope,
    *,
    from_day: date,
    to_day: date,
    framework: str = "",
    control: str = "",
) -> bytes:
    """Return a report as PDF, and put on the record that it was taken.

    Of a control, or of a framework. Raises ApiError 404 for one that is not known.
    """
    # A reader of the matrix alone loads no code that draws.
    from api.evidence.report_pdf import draw_report

    report = await _read(
        pool, scope, from_day=from_day, to_day=to_day, framework=framework, control=control
    )
    return await asyncio.to_thread(draw_report, report)


async def _read(
    pool: Pool,
    scope: TenantScope,
    *,
    from_day: date,
    to_day: date,
    framework: str,
    control: str,
) -> Report:
    matrix = await _matrix(
        pool, scope, from_day=from_day, to_day=to_day, framework=framework, control=control
    )
    days = {"from_day": from_day, "to_day": to_day}
    named = queries("evidence_search")
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        rows = (
            named.population_of_control(connection, **days, control=control)
            if control
            else named.population(connection, **days, framework=matrix.framework)
        )
        population = tuple(
            [Population(row["kind"], row["outcome"], row["record_count"]) async for row in rows]
        )
        state = await queries("evidence").state(connection)
        head = await queries("evidence").newest_checkpoint(connection)
        name = await named.tenant_name(connection)
        keys = await key_history_up_to(connection, head["size"] if head else 0)
        await put_on_record(
            connection,
            scope,
            "evidence.exported",
            format="pdf",
            filters=f"{'control' if control else 'framework'}={control or matrix.framework} "
            f"from={from_day} to={to_day}",
        )
    return Report(
        tenant=str(scope.tenant_id),
        tenant_name=name or "",
        control=control,
        matrix=matrix,
        population=population,
        sealed=Sealed(
            origin=state["origin"] or "",
            size=head["size"] if head else 0,
            time_ms=head["time_ms"] if head else 0,
            note=head["note"] if head else "",
        ),
        number=head["number"] if head else 0,
        size=state["size"] or 0,
        keys=tuple(key.verifier_key for key in keys),
    )


async def _matrix(
    pool: Pool,
    scope: TenantScope,
    *,
    from_day: date,
    to_day: date,
    framework: str,
    control: str,
) -> Matrix:
    if control:
        row = await read_control(pool, scope, control, from_day=from_day, to_day=to_day)
        if row is None:
            raise not_found("control")
        return Matrix(
            framework=control.partition(".")[0], from_day=from_day, to_day=to_day, rows=(row,)
        )
    matrix = await read_matrix(pool, scope, from_day=from_day, to_day=to_day, framework=framework)
    if not framework or not matrix.rows:
        raise not_found("framework")
    return matrix
