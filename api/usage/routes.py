"""/usage: how many spans came in a month, and how many are meant to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.services import services_of
from api.tiers.allowance import read_allowance
from api.usage.model import month_of, parse_month
from api.usage.service import read_usage

router = APIRouter(prefix="/usage", tags=["tenant"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
_EXAMPLE: Final[JsonDict] = {
    "month": "2026-11",
    "spans": 1_204_118,
    "quota": 10_000_000,
    "percent": 12,
    "days": [{"day": "2026-11-26", "spans": 1_204_118}],
    "tier": "team",
    "quotas": [{"name": "max_rules", "most": 100, "used": 12, "own": False}],
    "counted_at": "2026-11-27T08:05:00Z",
}


class DayBody(BaseModel):
    """The spans of one day in UTC."""

    day: date
    spans: int


class QuotaBody(BaseModel):
    """What the tenant may have. most: null: no quota, or the installation's. used: null: a rate.

    own: set for this tenant alone; else it is the tier's.
    """

    name: str
    most: int | None
    used: int | None
    own: bool


class UsageBody(BaseModel):
    """A month in UTC. quota and percent: null without one. counted_at: null before the first count.

    What goes over a quota is taken and judged all the same.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    month: str
    spans: int
    quota: int | None
    percent: int | None
    days: list[DayBody]
    tier: str
    quotas: list[QuotaBody]
    counted_at: datetime | None


@router.get("")
async def read_month(
    request: Request,
    principal: Reader,
    month: Annotated[str, Query(max_length=7, examples=["2026-11"])] = "",
) -> UsageBody:
    """Read a month's spans, of this month without one, and what the tenant may have.

    Spans are counted every five minutes.
    """
    pool = services_of(request).pool
    usage = await read_usage(pool, principal.scope, month_in(month))
    allowance = await read_allowance(pool, principal.scope)
    return UsageBody(
        month=f"{usage.month:%Y-%m}",
        spans=usage.spans,
        quota=usage.quota,
        percent=usage.percent,
        days=[DayBody(day=each.day, spans=each.spans) for each in usage.days],
        tier=allowance.tier,
        quotas=[
            QuotaBody(name=each.name, most=each.most, used=each.used, own=each.own)
            for each in allowance.quotas
        ],
        counted_at=usage.counted_at,
    )


def month_in(text: str) -> date:
    """Return the month of an address, this one if it names none. Raises ApiError 400."""
    if not text:
        return month_of(datetime.now(UTC).date())
    try:
        return parse_month(text)
    except ValueError as error:
        raise ApiError(400, "usage.month", f"{error}.") from error
