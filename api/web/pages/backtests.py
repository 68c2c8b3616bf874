"""Backtests of a rule: the form, the page that shows how far one is and what came out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

import dsl
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.backtests.model import Backtest, Result, ResultFilter
from api.backtests.service import (
    BacktestRequest,
    cancel_backtest,
    create_backtest,
    get_backtest,
    list_backtests,
    list_results,
)
from api.problems import ApiError
from api.rules.model import Rule
from api.rules.service import get_rule
from api.services import services_of
from api.web.pages.typed import lines_of
from api.web.render import render
from api.web.views.backtests import (
    AGAINST,
    RANGES,
    BacktestDraft,
    Kind,
    backtest_form,
    backtest_href,
    backtest_page,
    shown_kinds,
    traces_page,
)
from api.web.views.words import Message, bad

router = APIRouter(include_in_schema=False)

Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
_SHOWN: Final = 5
"""Traces of each kind on the page of a backtest."""
_KINDS_SHOWN: Final = 40
_PAGE: Final = 50
_EARLIER: Final = 8


def backtest_draft(
    rule: Annotated[str, Form(max_length=100_000)] = "",
    range: Annotated[str, Form(max_length=20)] = "",  # noqa: A002 - a field of the form
    against: Annotated[str, Form(max_length=20)] = "",
    from_exact: Annotated[str, Form(max_length=30)] = "",
    to_exact: Annotated[str, Form(max_length=30)] = "",
    id: Annotated[str, Form(max_length=255)] = "",  # noqa: A002 - a field of the form
    name: Annotated[str, Form(max_length=255)] = "",
) -> BacktestDraft:
    """Read the fields of the form."""
    return BacktestDraft(
        text=lines_of(rule),
        range=range if range in RANGES else "1h",
        against=against if against in AGAINST else "live",
        from_exact=from_exact,
        to_exact=to_exact,
        id=id.strip(),
        name=name.strip(),
    )


Draft = Annotated[BacktestDraft, Depends(backtest_draft)]


@router.post("/rules/new/backtest/draft")
async def bring_new_draft(request: Request, who: Tester, draft: Draft) -> Response:
    """Show the form with the text of a rule that was never saved."""
    return await _form(request, who, None, draft)


@router.post("/rules/new/backtest")
async def start_backtest_of_new(request: Request, who: Tester, draft: Draft) -> Response:
    """Ask for a backtest of a rule that was never saved, or show what is wrong with the request."""
    return await _start(request, who, None, draft)


@router.get("/rules/{rule_id}/backtest")
async def new_backtest(request: Request, who: Tester, rule_id: str) -> Response:
    """Show the form, with the saved text to be changed."""
    rule = await _rule(request, who, rule_id)
    return await _form(request, who, rule, BacktestDraft(text=rule.text))


@router.post("/rules/{rule_id}/backtest/draft")
async def bring_draft(request: Request, who: Tester, rule_id: str, draft: Draft) -> Response:
    """Show the form with a text that somebody is editing elsewhere."""
    return await _form(request, who, await _rule(request, who, rule_id), draft)


@router.post("/rules/{rule_id}/backtest")
async def start_backtest(request: Request, who: Tester, rule_id: str, draft: Draft) -> Response:
    """Ask for a backtest, or show what is wrong with the request."""
    return await _start(request, who, await _rule(request, who, rule_id), draft)


async def _start(
    request: Request, who: Principal, rule: Rule | None, draft: BacktestDraft
) -> Response:
    services = services_of(request)
    wanted = BacktestRequest(
        rules=[{"id": rule.id if rule else draft.rule_id, "rule": draft.text}],
        from_text=_utc(draft.from_exact) or draft.range,
        to_text=_utc(draft.to_exact) or "now",
        against="live" if rule and draft.against == "live" else "nothing",
    )
    try:
        backtest = await create_backtest(
            services.pool,
            who.scope,
            wanted,
            redactors=services.redactors,
            log_times=services.log_times,
            now=datetime.now(UTC),
            hours_max=services.settings.backtest_hours,
        )
    except ApiError as error:
        if error.status == 404:
            raise
        return await _form(request, who, rule, draft, refusal=error)
    return RedirectResponse(backtest_href(backtest.id), 303)


@router.get("/backtests/{backtest_id}")
async def backtest(request: Request, who: Tester, backtest_id: UUID) -> Response:
    """Show how far a backtest is, and what came out of it so far."""
    pool = services_of(request).pool
    found = await get_backtest(pool, who.scope, backtest_id)
    results: dict[Kind, tuple[Result, ...]] = {}
    if who.may(Permission.SIGNALS_READ) and found.state.is_over:
        for kind in shown_kinds(found)[:_KINDS_SHOWN]:
            page = await list_results(
                pool, who.scope, backtest_id, _filter(kind), explained=True, limit=_SHOWN
            )
            results[kind] = page.items
    view = backtest_page(
        found.shown_to(who),
        results,
        now=datetime.now(UTC),
        may_cancel=who.may(Permission.RULES_TEST),
        is_saved=await _is_saved(request, who, found),
    )
    return render(request, "backtests/detail.html", page=view)


@router.post("/backtests/{backtest_id}/cancel")
async def cancel(request: Request, who: Tester, backtest_id: UUID) -> Response:
    """Call a backtest off."""
    await cancel_backtest(services_of(request).pool, who.scope, backtest_id)
    return RedirectResponse(backtest_href(backtest_id), 303)


@router.get("/backtests/{backtest_id}/traces")
async def traces(
    request: Request,
    who: Reader,
    backtest_id: UUID,
    rule_id: Annotated[str, Query(max_length=255)],
    now: Annotated[str, Query(max_length=20)],
    was: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
) -> Response:
    """Show the traces of one kind, page by page."""
    pool = services_of(request).pool
    found = await get_backtest(pool, who.scope, backtest_id)
    kind = (rule_id, was, now)
    page = await list_results(
        pool, who.scope, backtest_id, _filter(kind), explained=True, cursor=cursor, limit=_PAGE
    )
    view = traces_page(found, kind, page.items, next_cursor=page.next_cursor)
    return render(request, "backtests/traces.html", page=view)


async def _is_saved(request: Request, who: Principal, found: Backtest) -> bool:
    """Whether the first rule of a backtest is there to be shown: one that has a version was."""
    first = found.rules[0]
    if first.was is not None:
        return True
    try:
        await _rule(request, who, first.id)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


async def _rule(request: Request, who: Principal, rule_id: str) -> Rule:
    return await get_rule(services_of(request).pool, who.scope, rule_id)


async def _form(
    request: Request,
    who: Principal,
    rule: Rule | None,
    draft: BacktestDraft,
    *,
    refusal: ApiError | None = None,
) -> Response:
    """Show the form: problems of the text in their place, other refusals on top."""
    if refusal is not None and refusal.status >= 500 and refusal.code != "kafka.unavailable":
        raise refusal
    pool = services_of(request).pool
    rule_id = rule.id if rule else draft.rule_id
    earlier = await list_backtests(pool, who.scope, rule_id=rule_id, limit=_EARLIER)
    checked = await asyncio.to_thread(dsl.check, draft.text)
    page = backtest_form(
        rule,
        draft,
        earlier=earlier.items,
        problems=checked.problems,
        warnings=checked.warnings,
        message=_message(refusal, text_is_wrong=bool(checked.problems)),
        running=refusal.members.get("running") if refusal else None,
    )
    return render(
        request, "backtests/form.html", page=page, status=refusal.status if refusal else 200
    )


def _message(refusal: ApiError | None, *, text_is_wrong: bool) -> Message | None:
    if refusal is None:
        return None
    problems: list[dict[str, Any]] = refusal.members.get("problems", [])
    if text_is_wrong or not problems:
        return bad(refusal.detail)
    return bad("; ".join(str(problem["message"]) for problem in problems))


def _filter(kind: Kind) -> ResultFilter:
    rule_id, was, now = kind
    return ResultFilter(rule_id=rule_id, was=was, now=now)


def _utc(typed: str) -> str:
    """Return a time typed into a field of the browser, which knows no offset, as one in UTC."""
    return f"{typed}Z" if typed else ""
