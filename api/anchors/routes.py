"""/evidence/targets and /evidence/anchors: where checkpoints go, and what became of them there."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.anchors.schemas import (
    AnchoredBody,
    AnchoredPageBody,
    MadeTargetBody,
    TargetBody,
    TargetChangeBody,
    TargetDraftBody,
    TargetListBody,
    TriedBody,
)
from api.anchors.service import (
    PAGE_MAX,
    change_target,
    list_anchored,
    list_targets,
    make_target,
    read_stamp,
    read_target,
    remove_target,
    send_now,
)
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.ids import id_of
from api.services import services_of

router = APIRouter(prefix="/evidence", tags=["evidence"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Examiner = Annotated[Principal, Depends(require(Permission.EVIDENCE_READ))]
_ID = "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"


def target_id_of(target_id: Annotated[str, Path(examples=[_ID])]) -> UUID:
    """Return the id in a path. Raises ApiError 404."""
    return id_of(target_id, "target")


def anchor_id_of(anchor_id: Annotated[str, Path(examples=[_ID])]) -> UUID:
    """Return the id in a path. Raises ApiError 404."""
    return id_of(anchor_id, "time stamp")


TargetId = Annotated[UUID, Depends(target_id_of)]
AnchorId = Annotated[UUID, Depends(anchor_id_of)]


@router.get("/targets")
async def read_targets(request: Request, principal: Reader) -> TargetListBody:
    """List where checkpoints of the evidence log go, with how that goes."""
    found = await list_targets(services_of(request).pool, principal.scope)
    return TargetListBody(items=[TargetBody.of(target) for target in found])


@router.post("/targets", status_code=201)
async def make_one_target(
    request: Request, response: Response, principal: Keeper, body: TargetDraftBody
) -> MadeTargetBody:
    """Let checkpoints go to a time-stamping authority or to a sink of yours from now on.

    409 if there is one to that place, or ten already. 503 if secrets cannot be kept here.
    """
    services = services_of(request)
    made = await make_target(
        services.pool, principal.scope, body.draft, secrets=services.anchor_secrets
    )
    where = request.url_for("read_one_target", target_id=made.target.id)
    response.headers["Location"] = str(where.path)
    return MadeTargetBody.made(made)


@router.get("/targets/{target_id}")
async def read_one_target(request: Request, principal: Reader, target_id: TargetId) -> TargetBody:
    """Read a target."""
    return TargetBody.of(await read_target(services_of(request).pool, principal.scope, target_id))


@router.patch("/targets/{target_id}")
async def change_one_target(
    request: Request, principal: Keeper, target_id: TargetId, body: TargetChangeBody
) -> MadeTargetBody:
    """Change how often checkpoints go there, its credentials or certificates, or switch it off.

    The place itself stays: make another target. One that fails is tried at once.
    """
    services = services_of(request)
    return MadeTargetBody.made(
        await change_target(
            services.pool,
            principal.scope,
            target_id,
            body.change,
            secrets=services.anchor_secrets,
        )
    )


@router.delete("/targets/{target_id}", status_code=204)
async def remove_one_target(request: Request, principal: Keeper, target_id: TargetId) -> None:
    """Hand nothing to a target any more, and forget its secret. What was done stays on record."""
    await remove_target(services_of(request).pool, principal.scope, target_id)


@router.post("/targets/{target_id}/send")
async def send_newest(request: Request, principal: Keeper, target_id: TargetId) -> TriedBody:
    """Hand the newest checkpoint over now, to see that it works; what was given up waits again.

    409 if nothing was sealed yet, or the target is being served at this moment.
    """
    services = services_of(request)
    return TriedBody.of(
        await send_now(services.pool, principal.scope, target_id, anchoring=services.anchoring)
    )


@router.get("/anchors")
async def read_anchored(
    request: Request,
    principal: Examiner,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> AnchoredPageBody:
    """List checkpoints, newest first, with what became of each at each target."""
    page = await list_anchored(
        services_of(request).pool, principal.scope, cursor=cursor, limit=limit
    )
    return AnchoredPageBody(
        items=[AnchoredBody.of(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/anchors/{anchor_id}/stamp",
    response_class=Response,
    responses={200: {"content": {"application/timestamp-reply": {}}}},
)
async def read_one_stamp(request: Request, principal: Examiner, anchor_id: AnchorId) -> Response:
    """Read the answer of the time-stamping authority (DER TimeStampResp, RFC 3161)."""
    number, stamp = await read_stamp(services_of(request).pool, principal.scope, anchor_id)
    name = f"checkpoint-{number}.tsr"
    return Response(
        stamp,
        media_type="application/timestamp-reply",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
