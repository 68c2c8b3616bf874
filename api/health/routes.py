"""/health/live and /health/ready, open to everybody and saying little; /condition for tenants."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from api.auth.access import anyone, require
from api.auth.principal import Permission, Principal
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


class TroubleBody(BaseModel):
    """One thing that does not work: what it means for its readers, and what they can do."""

    model_config = ConfigDict(from_attributes=True)
    code: str
    what: str
    step: str


class ConditionBody(BaseModel):
    """What does not work right now, worst first; nothing if all is well."""

    troubles: list[TroubleBody]


condition_router = APIRouter(tags=["health"])


@condition_router.get("/condition")
async def condition(
    request: Request,
    principal: Annotated[Principal, Depends(require(Permission.SIGNALS_READ))],
) -> ConditionBody:
    """Say what does not work right now, as far as it concerns the tenant's signals.

    Codes: kafka, job, worker, sealing, ingest.
    """
    found = await services_of(request).condition.troubles(principal.scope)
    return ConditionBody(troubles=[TroubleBody.model_validate(one) for one in found])
