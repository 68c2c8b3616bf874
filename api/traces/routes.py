"""/traces: copies of traces."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of
from api.traces.schemas import TraceBody
from api.traces.service import get_trace

router = APIRouter(prefix="/traces", tags=["traces"])


@router.get("/{trace_id}")
async def read_trace(
    request: Request,
    principal: Annotated[Principal, Depends(require(Permission.TRACES_READ))],
    trace_id: Annotated[str, Path(examples=["5b8aa5a2d2c872e8321cf37308d69df2"])],
) -> TraceBody:
    """Return the copy of a trace: every span, in the order of their starts."""
    trace = await get_trace(services_of(request).pool, principal.scope, trace_id)
    return TraceBody.model_validate(trace)
