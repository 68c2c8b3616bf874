"""/tenant/export: all that the tenant has, as one archive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of

router = APIRouter(prefix="/tenant", tags=["tenant"])

Exporting = Annotated[Principal, Depends(require(Permission.TENANT_EXPORT))]


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_tenant(request: Request, principal: Exporting) -> StreamingResponse:
    """Export all of the tenant: a ZIP archive of JSON lines, with a manifest. It is recorded.

    Everything in it is as it was at one moment. 503 while too many others are under way.
    """
    return await export(request, principal)


async def export(request: Request, principal: Principal) -> StreamingResponse:
    """Answer with the archive as a file to be saved. Raises ApiError 503."""
    pieces = await services_of(request).exporter.begin(principal.scope)
    name = f"betrace-export-{datetime.now(UTC):%Y%m%d-%H%M}.zip"
    return StreamingResponse(
        pieces,
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
