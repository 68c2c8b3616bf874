"""/backtests: ask for one, watch it, look at what came out, call it off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.backtests.model import ResultFilter
from api.backtests.schemas import (
    BacktestBody,
    BacktestPageBody,
    BacktestRequestBody,
    ResultPageBody,
)
from api.backtests.service import (
    PAGE_MAX,
    cancel_backtest,
    create_backtest,
    get_backtest,
    list_backtests,
    list_results,
)
from api.services import services_of

router = APIRouter(prefix="/backtests", tags=["backtests"])

Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Word = Annotated[str | None, Query(max_length=20)]
Cursor = Annotated[str | None, Query(max_length=2_000)]


@router.post("", status_code=202)
async def ask_for_backtest(
    request: Request, response: Response, principal: Tester, body: BacktestRequestBody
) -> BacktestBody:
    """Queue a backtest. 409 while another one of the tenant is not over."""
    services = services_of(request)
    now = datetime.now(UTC)
    backtest = await create_backtest(
        services.pool,
        principal.scope,
        body.request(),
        redactors=services.redactors,
        log_times=services.log_times,
        now=now,
        hours_max=services.settings.backtest_hours,
    )
    path = request.url_for("read_backtest", backtest_id=str(backtest.id)).path
    response.headers["Location"] = path
    return BacktestBody.of(backtest, principal, now=now)


@router.get("")
async def read_backtests(
    request: Request,
    principal: Tester,
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BacktestPageBody:
    """List backtests, newest first. They are kept for 30 days."""
    page = await list_backtests(
        services_of(request).pool, principal.scope, rule_id=rule_id, cursor=cursor, limit=limit
    )
    return BacktestPageBody.of(page, principal, now=datetime.now(UTC))


@router.get("/{backtest_id}")
async def read_backtest(request: Request, principal: Tester, backtest_id: UUID) -> BacktestBody:
    """Return a backtest: its progress, and the counts of what is done."""
    backtest = await get_backtest(services_of(request).pool, principal.scope, backtest_id)
    return BacktestBody.of(backtest, principal, now=datetime.now(UTC))


@router.post("/{backtest_id}/cancel")
async def call_off_backtest(request: Request, principal: Tester, backtest_id: UUID) -> BacktestBody:
    """Call a backtest off. It is `cancelling` for up to a second; what is done stays readable."""
    backtest = await cancel_backtest(services_of(request).pool, principal.scope, backtest_id)
    return BacktestBody.of(backtest, principal, now=datetime.now(UTC))


@router.get("/{backtest_id}/results")
async def read_results(
    request: Request,
    principal: Reader,
    backtest_id: UUID,
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    was: Word = None,
    now: Word = None,
    changed: Annotated[bool | None, Query(description="Only differences, or none.")] = None,
    explain: Annotated[bool, Query(description="With what makes each verdict so.")] = False,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> ResultPageBody:
    """List single traces: the first ones of every kind of change, and of what would signal.

    The counts of the backtest are of all traces. `was` and `now` are verdicts.
    """
    page = await list_results(
        services_of(request).pool,
        principal.scope,
        backtest_id,
        ResultFilter(rule_id=rule_id, was=was, now=now, changed=changed),
        explained=explain,
        cursor=cursor,
        limit=limit,
    )
    return ResultPageBody.of(page)
