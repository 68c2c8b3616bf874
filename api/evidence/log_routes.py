"""/evidence: the log, its checkpoints, single records with their proofs, and packs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.evidence.erasing import erase_payload
from api.evidence.log_schemas import (
    CheckpointBody,
    CheckpointsBody,
    ConsistencyBody,
    ExportBody,
    LogBody,
    RecordBody,
)
from api.evidence.reading import (
    PAGE_MAX,
    find_checkpoint,
    list_checkpoints,
    prove_consistency,
    prove_record,
    read_state,
)
from api.services import services_of
from udfs.evidence.canonical import MAX_INT

router = APIRouter(prefix="/evidence", tags=["evidence"])

Reader = Annotated[Principal, Depends(require(Permission.EVIDENCE_READ))]
Exporting = Annotated[Principal, Depends(require(Permission.EVIDENCE_EXPORT))]
Erasing = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Number = Annotated[int, Path(ge=1, le=MAX_INT)]
Seq = Annotated[int, Path(ge=0, le=MAX_INT)]


@router.get("/log")
async def read_log(request: Request, principal: Reader) -> LogBody:
    """Read what the log is like: size, root, newest checkpoint, what is pending and why."""
    return LogBody.of(await read_state(services_of(request).pool, principal.scope))


@router.get("/checkpoints")
async def read_checkpoints(
    request: Request,
    principal: Reader,
    before: Annotated[int | None, Query(ge=1, le=MAX_INT)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> CheckpointsBody:
    """List signed heads of the log, the newest first. before: with a smaller number."""
    pool = services_of(request).pool
    found = await list_checkpoints(pool, principal.scope, before=before, limit=limit)
    return CheckpointsBody(
        items=[CheckpointBody.of(each) for each in found],
        next_before=found[-1].number if len(found) == limit and found[-1].number > 1 else None,
    )


@router.get("/checkpoints/{number}")
async def read_checkpoint(request: Request, principal: Reader, number: Number) -> CheckpointBody:
    """Read one signed head. 404 if there is none of that number."""
    pool = services_of(request).pool
    return CheckpointBody.of(await find_checkpoint(pool, principal.scope, number))


@router.get("/records/{seq}")
async def read_record(request: Request, principal: Reader, seq: Seq) -> RecordBody:
    """Read one record with its canonical bytes and the proof that it is in the log."""
    return RecordBody.of(await prove_record(services_of(request).pool, principal.scope, seq))


@router.delete("/records/{seq}/payload", status_code=204)
async def erase(request: Request, principal: Erasing, seq: Seq) -> None:
    """Erase what is personal in a record, for ever; the record and its proofs stay valid.

    404 if there is nothing, 409 if it was erased before. It is recorded.
    """
    await erase_payload(services_of(request).pool, principal.scope, seq)


@router.get("/consistency")
async def read_consistency(
    request: Request,
    principal: Reader,
    old: Annotated[int, Query(alias="from", ge=0, le=MAX_INT)],
    size: Annotated[int, Query(alias="to", ge=0, le=MAX_INT)],
) -> ConsistencyBody:
    """Prove that the log of one size begins with what it was at another."""
    pool = services_of(request).pool
    proof = await prove_consistency(pool, principal.scope, old=old, size=size)
    return ConsistencyBody.of(old, size, proof)


@router.post(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_pack(
    request: Request, principal: Exporting, body: ExportBody
) -> StreamingResponse:
    """Export a pack of evidence, which `verify.py` checks offline. It is recorded.

    409 while the period is not sealed up to its end. 503 while too many others are under way.
    """
    pack = await services_of(request).packs.make(principal.scope, body.asked)
    return StreamingResponse(
        pack.pieces(),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{pack.name}"',
            "Content-Length": str(pack.size_bytes),
        },
    )
