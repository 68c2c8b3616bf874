"""Evidence: the matrix of controls, the list, a record with its proof, and packs verified here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.database import DatabaseUnavailable, QueryTooSlow
from api.evidence.exporting import Form as FileForm
from api.evidence.matrix import known_frameworks, read_control, read_matrix
from api.evidence.model import SealedRecord
from api.evidence.packing import Asked
from api.evidence.quiet import read_quiet
from api.evidence.reading import read_unsigned
from api.evidence.search import EvidenceFilter, find_sealed, ms_of, search
from api.evidence.search_routes import TEXT, Days, assessment, export, report
from api.evidence.verification import Verified, verify_records
from api.evidence.verifying import (
    history_of,
    list_verifications,
    read_verification,
    verify_chosen,
    verify_named,
)
from api.ids import id_of
from api.problems import not_found
from api.services import services_of
from api.web.render import render
from api.web.views.evidence import (
    VERIFICATIONS_HREF,
    EvidenceQuery,
    Opens,
    evidence_list,
    record_href,
    record_page,
    verification_href,
)
from api.web.views.evidence_controls import MatrixQuery, control_page, matrix_page
from api.web.views.verifications import verification_list, verification_page
from dsl.controls import misnamed
from udfs.evidence.canonical import MAX_INT
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
    text: Annotated[str, Query(max_length=200, pattern=TEXT)] = "",
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
        text=text.strip(),
        kind=kind,
        outcome=outcome,
        since=since,
        until=until,
        cursor=cursor,
    )


def form_query(
    framework: Annotated[str, Form(max_length=100, pattern=TEXT)] = "",
    control: Annotated[str, Form(max_length=200, pattern=TEXT)] = "",
    rule: Annotated[str, Form(max_length=255, pattern=TEXT)] = "",
    service: Annotated[str, Form(max_length=300, pattern=TEXT)] = "",
    text: Annotated[str, Form(max_length=200, pattern=TEXT)] = "",
    kind: Annotated[str, Form(max_length=20)] = "",
    outcome: Annotated[str, Form(max_length=20)] = "",
    since: Annotated[str, Form(max_length=20)] = "",
    until: Annotated[str, Form(max_length=20)] = "",
    cursor: Annotated[str, Form(max_length=200)] = "",
) -> EvidenceQuery:
    """Read the filters of a form, as the address has them."""
    return evidence_query(
        framework, control, rule, service, text, kind, outcome, since, until, cursor
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
    quiet = await read_quiet(pool, who.scope, now=datetime.now(UTC))
    page = matrix_page(
        matrix,
        asked,
        frameworks=frameworks,
        quiet=quiet,
        may_export=who.may(Permission.EVIDENCE_EXPORT),
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
    history = await history_of(services_of(request).pool, who.scope, seq, limit=NEWEST)
    page = record_page(sealed, verified, history, opens=_opens(who))
    return render(request, "evidence/record.html", page=page)


@router.get(VERIFICATIONS_HREF)
async def verifications(
    request: Request, who: Reader, cursor: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """Show verifications that are on record, newest first."""
    page = await list_verifications(
        services_of(request).pool, who.scope, cursor=cursor or None, limit=PAGE_SIZE
    )
    return render(
        request, "evidence/verifications.html", page=verification_list(page, cursor=cursor)
    )


@router.get(f"{VERIFICATIONS_HREF}/{{verification_id}}")
async def verification(request: Request, who: Reader, verification_id: str) -> Response:
    """Show a verification with what it found."""
    wanted = id_of(verification_id, "verification")
    found = await read_verification(services_of(request).pool, who.scope, wanted)
    return render(request, "evidence/verification.html", page=verification_page(found))


@router.post(VERIFICATIONS_HREF)
async def verify_many(
    request: Request,
    who: Reader,
    query: Annotated[EvidenceQuery, Depends(form_query)],
    seq: Annotated[int | None, Form(ge=0, le=MAX_INT)] = None,
) -> Response:
    """Verify a record, or the newest that the filters of a form choose, on the record."""
    pool = services_of(request).pool
    if seq is not None:
        await verify_named(pool, who.scope, [seq])
        return RedirectResponse(f"{record_href(seq)}#verifications", 303)
    found = await verify_chosen(pool, who.scope, query.chosen(), cursor=query.cursor or None)
    return RedirectResponse(verification_href(str(found.verification.id)), 303)


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
    format: FileForm = FileForm.CSV,  # noqa: A002 - of the URL
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


@router.get("/evidence/report")
async def export_report(
    request: Request,
    who: Taker,
    days: Days,
    framework: Annotated[str, Query(max_length=100, pattern=TEXT)] = "",
    control: Annotated[str, Query(max_length=200, pattern=TEXT)] = "",
) -> Response:
    """Hand out a report of a framework or a control as PDF."""
    return await report(request, who, days, framework=framework, control_id=control)


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
