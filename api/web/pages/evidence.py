"""Evidence: the matrix of controls, the list, a record with its proof, and packs verified here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.database import DatabaseUnavailable, QueryTooSlow
from api.evidence.exporting import Form
from api.evidence.matrix import known_frameworks, read_control, read_matrix
from api.evidence.model import SealedRecord
from api.evidence.packing import Asked
from api.evidence.reading import read_unsigned
from api.evidence.search import EvidenceFilter, find_sealed, ms_of, search
from api.evidence.search_routes import TEXT, Days, assessment, export
from api.evidence.verification import Verified, verify_records
from api.problems import not_found
from api.services import services_of
from api.web.render import render
from api.web.views.evidence import EvidenceQuery, Opens, evidence_list, record_page
from api.web.views.evidence_controls import MatrixQuery, control_page, matrix_page
from dsl.controls import misnamed
from udfs.evidence.pack import Disclosure

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
NEWEST: Final = 10
FIRST_FRAMEWORK: Final = "soc2"
Reader = Annotated[Principal, Depends(require(Permission.EVIDENCE_READ))]
Taker = Annotated[Principal, Depends(require(Permission.EVIDENCE_EXPORT))]


def evidence_query(
    framework: Annotated[str, Query(max_length=100, pattern=TEXT)] = "",
    control: Annotated[str, Query(max_length=200, pattern=TEXT)] = "",
    rule: Annotated[str, Query(max_length=255, pattern=TEXT)] = "",
    service: Annotated[str, Query(max_length=300, pattern=TEXT)] = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    outcome: Annotated[str, Query(max_length=20)] = "",
    since: Annotated[str, Query(max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> EvidenceQuery:
    """Read the filters of the address."""
    return EvidenceQuery(
        framework=framework,
        control=control.strip(),
        rule=rule.strip(),
        service=service.strip(),
        kind=kind,
        outcome=outcome,
        since=since,
        until=until,
        cursor=cursor,
    )


def matrix_query(
    framework: Annotated[str, Query(max_length=100, pattern=TEXT)] = "",
    days: Annotated[str, Query(max_length=10)] = "",
    since: Annotated[str, Query(max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
    quiet: Annotated[str, Query(max_length=10)] = "",
) -> MatrixQuery:
    """Read what the address asks of the matrix."""
    return MatrixQuery(framework=framework, days=days, since=since, until=until, quiet=quiet)


Chosen = Annotated[EvidenceQuery, Depends(evidence_query)]
AskedOfMatrix = Annotated[MatrixQuery, Depends(matrix_query)]


@router.get("/evidence")
async def evidence(request: Request, who: Reader, query: Chosen) -> Response:
    """Show a page of the list."""
    pool = services_of(request).pool
    found = await search(
        pool, who.scope, query.chosen(), cursor=query.cursor or None, limit=PAGE_SIZE
    )
    verified = await _looked_at(request, who, found.items)
    page = evidence_list(
        found,
        verified,
        query,
        frameworks=await known_frameworks(pool, who.scope),
        waiting=await read_unsigned(pool, who.scope),
        may_export=who.may(Permission.EVIDENCE_EXPORT),
    )
    return render(request, "evidence/list.html", page=page)


@router.get("/evidence/controls")
async def controls(request: Request, who: Reader, asked: AskedOfMatrix) -> Response:
    """Show the matrix of a framework."""
    pool = services_of(request).pool
    frameworks = await known_frameworks(pool, who.scope)
    framework = asked.framework if asked.framework in frameworks else FIRST_FRAMEWORK
    from_day, to_day = asked.period(today=_today())
    matrix = await read_matrix(
        pool, who.scope, from_day=from_day, to_day=to_day, framework=framework
    )
    page = matrix_page(
        matrix, asked, frameworks=frameworks, may_export=who.may(Permission.EVIDENCE_EXPORT)
    )
    return render(request, "evidence/controls.html", page=page)


@router.get("/evidence/control")
async def control(
    request: Request,
    who: Reader,
    asked: AskedOfMatrix,
    control_id: Annotated[str, Query(alias="id", max_length=200, pattern=TEXT)] = "",
) -> Response:
    """Show one control. Its id stands in the query: names of controls hold almost anything."""
    pool = services_of(request).pool
    from_day, to_day = asked.period(today=_today())
    row = await read_control(pool, who.scope, control_id, from_day=from_day, to_day=to_day)
    if row is None or misnamed(control_id):
        raise not_found("control")
    chosen = EvidenceFilter(control=control_id, from_ms=ms_of(from_day), to_ms=ms_of(to_day))
    newest = await search(pool, who.scope, chosen, limit=NEWEST)
    verified = await _looked_at(request, who, newest.items)
    page = control_page(
        row,
        asked,
        newest,
        verified,
        from_day=from_day,
        to_day=to_day,
        may_export=who.may(Permission.EVIDENCE_EXPORT),
        opens=_opens(who),
    )
    return render(request, "evidence/control.html", page=page)


@router.get("/evidence/records/{seq}")
async def record(
    request: Request, who: Reader, seq: Annotated[int, Path(ge=0, le=2**53)]
) -> Response:
    """Show a record with its bytes and its proof."""
    sealed = await find_sealed(services_of(request).pool, who.scope, seq)
    verified = await _looked_at(request, who, [sealed])
    return render(
        request, "evidence/record.html", page=record_page(sealed, verified, opens=_opens(who))
    )


@dataclass(frozen=True, slots=True)
class VerifyPage:
    """The page on which packs are verified; it knows nothing of them."""


@router.get("/evidence/verify")
async def verify(request: Request, who: Reader) -> Response:
    """Show the page that verifies a pack in the browser."""
    return render(request, "evidence/verify.html", page=VerifyPage())


@router.get("/evidence/pack")
async def pack(
    request: Request, who: Taker, query: Chosen, only: Annotated[bool, Query()] = False
) -> Response:
    """Hand out a pack for auditors. only: hashes in place of what is not asked for."""
    chosen = query.chosen()
    # A day that is not over cannot be sealed to its end: up to now, then.
    today_ms = ms_of(_today())
    asked = Asked(
        from_ms=chosen.from_ms,
        to_ms=None if chosen.to_ms is None or chosen.to_ms > today_ms else chosen.to_ms,
        frameworks=(chosen.framework,) if chosen.framework and not chosen.control else (),
        controls=(chosen.control,) if chosen.control else (),
        disclosure=Disclosure.SELECTED if only else Disclosure.ALL,
    )
    made = await services_of(request).packs.make(who.scope, asked)
    return StreamingResponse(
        made.pieces(),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{made.name}"',
            "Content-Length": str(made.size_bytes),
        },
    )


@router.get("/evidence/export")
async def export_records(
    request: Request,
    who: Taker,
    query: Chosen,
    format: Form = Form.CSV,  # noqa: A002 - of the URL
) -> Response:
    """Hand out what the filters choose as a file."""
    return await export(request, who, query.chosen(), format)


@router.get("/evidence/oscal")
async def export_assessment(
    request: Request,
    who: Taker,
    days: Days,
    framework: Annotated[str, Query(max_length=100, pattern=TEXT)] = "",
) -> Response:
    """Hand out the matrix as OSCAL assessment results."""
    return await assessment(request, who, days, framework)


async def _looked_at(request: Request, who: Principal, records: Sequence[SealedRecord]) -> Verified:
    """Look at records; a database that is too busy for that is no reason to hide them."""
    try:
        return await verify_records(services_of(request).pool, who.scope, records)
    except (DatabaseUnavailable, QueryTooSlow):
        return Verified(None)


def _opens(who: Principal) -> Opens:
    return Opens(
        rules=who.may(Permission.RULES_READ),
        signals=who.may(Permission.SIGNALS_READ),
        traces=who.may(Permission.TRACES_READ),
    )


def _today() -> date:
    return datetime.now(UTC).date()
