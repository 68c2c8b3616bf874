"""/health/live and /health/ready, open to everybody and saying little."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from api.auth.access import anyone
from api.health.service import State, ask_all
from api.services import services_of

router = APIRouter(prefix="/health", tags=["health"], dependencies=[Depends(anyone)])


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """What the servers we depend on say."""

    status: State
    checks: dict[str, State]


@router.get("/live")
async def live() -> Live:
    """Say that the process answers."""
    return Live()


@router.get("/ready", responses={503: {"model": Ready}})
async def ready(request: Request, response: Response) -> Ready:
    """Say whether Postgres and Kafka answer; 503 if one does not."""
    checks = await ask_all(services_of(request).checks)
    fine = all(state == "ok" for state in checks.values())
    if not fine:
        response.status_code = 503
    return Ready(status="ok" if fine else "unavailable", checks=checks)
