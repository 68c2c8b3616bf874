"""/evidence: found by filters, summed by control, exported; /controls: the catalogues."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from api.auth.access import authenticated, require
from api.auth.principal import Permission, Principal
from api.evidence.exporting import MEDIA_TYPES, Exporter, Form, export_oscal
from api.evidence.matrix import RANGE_MAX_DAYS, read_control, read_matrix
from api.evidence.report import MEDIA_TYPE as REPORT_TYPE
from api.evidence.report import take_report
from api.evidence.search import OUTCOMES, PAGE_MAX, EvidenceFilter, find_sealed, search
from api.evidence.search_schemas import (
    CatalogueBody,
    CataloguesBody,
    ControlBody,
    ControlRowBody,
    EvidencePageBody,
    MatrixBody,
    ProofBody,
    ms_of_moment,
)
from api.evidence.verification import verify_records
from api.problems import ApiError, not_found
from api.services import services_of
from dsl.controls import catalogues, control
from udfs.evidence.records import Kind

router = APIRouter(prefix="/evidence", tags=["evidence"])
controls_router = APIRouter(prefix="/controls", tags=["controls"])

Reader = Annotated[Principal, Depends(require(Permission.EVIDENCE_READ))]
Taker = Annotated[Principal, Depends(require(Permission.EVIDENCE_EXPORT))]
TEXT: Final = r"^[^\x00]*$"
"""Postgres knows no NUL."""
ControlId = Annotated[str, Path(max_length=200, pattern=TEXT, examples=["soc2.CC6.1"])]
Framework = Annotated[str, Query(max_length=100, pattern=TEXT, examples=["soc2"])]

USUAL_DAYS: Final = 30


def evidence_filter(
    framework: Framework = "",
    control_id: Annotated[
        str, Query(alias="control", max_length=200, pattern=TEXT, examples=["soc2.CC6.1"])
    ] = "",
    rule: Annotated[str, Query(max_length=255, pattern=TEXT)] = "",
    service: Annotated[
        str, Query(max_length=300, pattern=TEXT, description="That sent a compliance span.")
    ] = "",
    text: Annotated[
        str,
        Query(
            max_length=200,
            pattern=TEXT,
            description="Words that a record says, each perhaps only begun: kind, outcome, "
            "control, rule and its name, service, operation, action. Not ids, numbers or anything "
            "personal.",
        ),
    ] = "",
    kind: Annotated[list[Kind] | None, Query()] = None,
    outcome: Annotated[list[str] | None, Query(description=", ".join(OUTCOMES))] = None,
    from_at: Annotated[AwareDatetime | None, Query(alias="from", description="inclusive")] = None,
    to_at: Annotated[AwareDatetime | None, Query(alias="to", description="exclusive")] = None,
) -> EvidenceFilter:
    """Read the filters of the query."""
    if from_at and to_at and from_at > to_at:
        raise ApiError(400, "request.range", "`from` lies after `to`.")
    unknown = sorted(set(outcome or ()) - set(OUTCOMES))
    if unknown:
        raise ApiError(
            400, "request.outcome", f"There is no outcome {unknown[0]!r}: {', '.join(OUTCOMES)}."
        )
    return EvidenceFilter(
        framework=framework,
        control=control_id,
        rule=rule,
        service=service,
        text=text.strip(),
        kinds=tuple(kind or ()),
        outcomes=tuple(outcome or ()),
        from_ms=ms_of_moment(from_at),
        to_ms=ms_of_moment(to_at),
    )


@dataclass(frozen=True, slots=True)
class Period:
    """Days in UTC, from inclusive, to exclusive."""

    from_day: date
    to_day: date


def period(
    from_day: Annotated[
        date | None, Query(alias="from", description="inclusive; 30 days before the end if empty")
    ] = None,
    to_day: Annotated[
        date | None, Query(alias="to", description="exclusive; tomorrow if empty")
    ] = None,
) -> Period:
    """Read a period of days."""
    to_day = to_day or datetime.now(UTC).date() + timedelta(days=1)
    if from_day is None:
        from_day = max(date.min, to_day - min(timedelta(days=USUAL_DAYS), to_day - date.min))
    if from_day > to_day:
        raise ApiError(400, "request.range", "`from` lies after `to`.")
    if (to_day - from_day).days > RANGE_MAX_DAYS:
        raise ApiError(400, "request.range", f"A period has at most {RANGE_MAX_DAYS} days.")
    return Period(from_day, to_day)


Chosen = Annotated[EvidenceFilter, Depends(evidence_filter)]
Days = Annotated[Period, Depends(period)]


@router.get("/records")
async def read_records(
    request: Request,
    principal: Reader,
    chosen: Chosen,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    verify: Annotated[bool, Query(description="Look at each whether it is as sealed.")] = True,
) -> EvidencePageBody:
    """List sealed records, newest first by event time, with how many there are."""
    pool = services_of(request).pool
    page = await search(pool, principal.scope, chosen, cursor=cursor, limit=limit)
    verified = await verify_records(pool, principal.scope, page.items) if verify else None
    return EvidencePageBody.of(page, verified)


@router.get("/records/{seq}/verification")
async def verify_record(
    request: Request, principal: Reader, seq: Annotated[int, Path(ge=0, le=2**53)]
) -> ProofBody:
    """Verify a record; return what proves it: bytes, audit path, checkpoint, keys of the log."""
    pool = services_of(request).pool
    sealed = await find_sealed(pool, principal.scope, seq)
    return ProofBody.of(sealed, await verify_records(pool, principal.scope, [sealed]))


@router.get("/controls")
async def read_controls(
    request: Request,
    principal: Reader,
    days: Days,
    framework: Framework = "",
    without_days: Annotated[
        int | None,
        Query(ge=0, le=RANGE_MAX_DAYS, description="Only those without evidence for so long."),
    ] = None,
) -> MatrixBody:
    """Return what was seen of each control, those without any evidence among them."""
    matrix = await read_matrix(
        services_of(request).pool,
        principal.scope,
        from_day=days.from_day,
        to_day=days.to_day,
        framework=framework,
    )
    rows = matrix.rows if without_days is None else matrix.without_since(without_days)
    return MatrixBody.of(matrix, rows)


@router.get("/controls/{control_id}")
async def read_one_control(
    request: Request, principal: Reader, control_id: ControlId, days: Days
) -> ControlRowBody:
    """Return what was seen of one control."""
    row = await read_control(
        services_of(request).pool,
        principal.scope,
        control_id,
        from_day=days.from_day,
        to_day=days.to_day,
    )
    if row is None:
        raise not_found("control")
    return ControlRowBody.of(row)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {}, "application/json": {}, "application/x-ndjson": {}}}
    },
)
async def export_records(
    request: Request,
    principal: Taker,
    chosen: Chosen,
    format: Form = Form.JSONL,  # noqa: A002 - of the URL
) -> StreamingResponse:
    """Export sealed records under the newest checkpoint, in the order of the log.

    JSON and JSON lines end with a manifest and its signature. 422 for more than 1,000,000 records.
    It is recorded.
    """
    return await export(request, principal, chosen, format)


@router.get("/oscal")
async def export_assessment(
    request: Request, principal: Taker, days: Days, framework: Framework
) -> Response:
    """Export the matrix of a framework as OSCAL assessment results (JSON). It is recorded."""
    return await assessment(request, principal, days, framework)


@router.get(
    "/report",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def export_report(
    request: Request,
    principal: Taker,
    days: Days,
    framework: Framework = "",
    control_id: Annotated[
        str, Query(alias="control", max_length=200, pattern=TEXT, examples=["soc2.CC6.1"])
    ] = "",
) -> Response:
    """Export a report of a framework, or of one control, as PDF: numbers, and how to verify them.

    It is recorded.
    """
    return await report(request, principal, days, framework=framework, control_id=control_id)


async def report(
    request: Request, principal: Principal, days: Period, *, framework: str, control_id: str
) -> Response:
    """Answer with a report as a file to be saved."""
    document = await take_report(
        services_of(request).pool,
        principal.scope,
        from_day=days.from_day,
        to_day=days.to_day,
        framework=framework,
        control=control_id,
    )
    return Response(document, media_type=REPORT_TYPE, headers=_file("report", "pdf"))


async def export(
    request: Request, principal: Principal, chosen: EvidenceFilter, form: Form
) -> StreamingResponse:
    """Answer with records as a file to be saved."""
    services = services_of(request)
    exporter = Exporter(services.pool, services.keys, now_ms=_now_ms)
    begun = await exporter.begin(principal.scope, chosen, form)

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in exporter.write(begun):
            yield piece

    return StreamingResponse(
        pieces(), media_type=MEDIA_TYPES[form], headers=_file("evidence", form.value)
    )


async def assessment(
    request: Request, principal: Principal, days: Period, framework: str
) -> Response:
    """Answer with assessment results as a file to be saved."""
    matrix = await read_matrix(
        services_of(request).pool,
        principal.scope,
        from_day=days.from_day,
        to_day=days.to_day,
        framework=framework,
    )
    if not framework or not matrix.rows:
        raise not_found("framework")
    document = await export_oscal(services_of(request).pool, principal.scope, matrix)
    return Response(
        document, media_type="application/json", headers=_file(f"oscal-{framework}", "json")
    )


@controls_router.get("", dependencies=[Depends(authenticated)])
async def read_catalogues() -> CataloguesBody:
    """Return every catalogue of controls."""
    return CataloguesBody(items=[CatalogueBody.of(one) for one in catalogues()])


@controls_router.get("/{control_id}", dependencies=[Depends(authenticated)])
async def read_described(control_id: ControlId) -> ControlBody:
    """Return what a control asks for, and what traces can show of it."""
    found = control(control_id)
    if found is None:
        raise not_found("control")
    return ControlBody.of(found)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _file(name: str, ending: str) -> dict[str, str]:
    made = f"betrace-{name}-{datetime.now(UTC):%Y%m%d-%H%M}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{made}"'}
