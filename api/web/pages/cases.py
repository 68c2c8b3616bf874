"""Cases of a rule, and runs of cases."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.cases.service import NewCase
from api.problems import ApiError
from api.rules.service import get_rule
from api.samples.library import library
from api.services import services_of
from api.traces.answers import WITHOUT_NUL
from api.web.pages.typed import lines_of
from api.web.render import render
from api.web.views.cases import BARS, cases_page, run_page, runs_page
from api.web.views.links import rule_href
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False)

RUNS: Final = BARS
SAMPLES: Final = 200
Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
RuleId = Annotated[str, Path(max_length=255, pattern=WITHOUT_NUL)]
Id = Annotated[str, Path(max_length=64, pattern=WITHOUT_NUL)]
Line = Annotated[str, Form(max_length=1_000)]
_DONE: Final = {"added": "The case is kept.", "deleted": "The case is deleted."}
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_SAID: Final = frozenset({400, 409})


@router.get("/rules/{rule_id}/cases")
async def cases(
    request: Request,
    who: Reader,
    rule_id: RuleId,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show what a rule is held to. done: what a form has just done."""
    message = good(_DONE[done]) if done in _DONE else None
    return await _cases(request, who, rule_id, message=message)


@router.post("/rules/{rule_id}/cases")
async def add(
    request: Request,
    who: Writer,
    rule_id: RuleId,
    sample: Line = "",
    expect: Line = "",
    name: Line = "",
) -> Response:
    """Keep a case."""
    try:
        if not sample:
            raise ApiError(400, "case.sample", "Choose a sample.")
        await services_of(request).cases.add(who.scope, rule_id, NewCase(sample, expect, name))
    except ApiError as error:
        if error.status not in _SAID:
            raise
        chosen = {"sample": sample, "expect": expect, "name": name}
        told = bad(error.detail)
        return await _cases(request, who, rule_id, chosen=chosen, message=told, status=error.status)
    return RedirectResponse(f"{rule_href(rule_id)}/cases?done=added", 303)


@router.post("/rules/{rule_id}/cases/run")
async def run(
    request: Request,
    who: Tester,
    rule_id: RuleId,
    draft: Annotated[str, Form(max_length=262_144)] = "",
) -> Response:
    """Run the cases of a rule, by its own text or by a draft."""
    text = lines_of(draft)
    services = services_of(request)
    rule = await get_rule(services.pool, who.scope, rule_id)
    try:
        done = await services.cases.run(
            who.scope, rule_id, draft="" if text.strip() == rule.text.strip() else text
        )
    except ApiError as error:
        if error.status not in _SAID:
            raise
        told = bad(error.detail)
        return await _cases(request, who, rule_id, draft=text, message=told, status=error.status)
    return RedirectResponse(f"/test-runs/{done.id}", 303)


@router.post("/rules/{rule_id}/cases/{case_id}/delete")
async def delete(request: Request, who: Writer, rule_id: RuleId, case_id: Id) -> Response:
    """Delete a case."""
    await services_of(request).cases.delete(who.scope, rule_id, case_id)
    return RedirectResponse(f"{rule_href(rule_id)}/cases?done=deleted", 303)


@router.get("/test-runs")
async def runs(
    request: Request,
    who: Reader,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show runs of all rules."""
    return await _runs(request, who, cursor=cursor)


@router.post("/test-runs")
async def run_all(request: Request, who: Tester) -> Response:
    """Run the cases of all rules."""
    try:
        done = await services_of(request).cases.run(who.scope)
    except ApiError as error:
        if error.status not in _SAID:
            raise
        return await _runs(request, who, message=bad(error.detail), status=error.status)
    return RedirectResponse(f"/test-runs/{done.id}", 303)


@router.get("/test-runs/{run_id}")
async def one_run(request: Request, who: Reader, run_id: Id) -> Response:
    """Show a run with what came of each case."""
    found = await services_of(request).cases.read_run(who.scope, run_id)
    return render(request, "cases/run.html", page=run_page(found))


async def _cases(
    request: Request,
    who: Principal,
    rule_id: str,
    *,
    chosen: Mapping[str, str] = _NOTHING,
    draft: str = "",
    message: Message | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    rule = await get_rule(services.pool, who.scope, rule_id)
    own = await services.samples.page(who.scope, limit=SAMPLES)
    history = await services.cases.runs(who.scope, rule_id=rule_id, limit=RUNS)
    page = cases_page(
        rule,
        await services.cases.of_rule(who.scope, rule_id),
        history.items,
        (*own.items, *library().values()),
        may_write=who.may(Permission.RULES_WRITE),
        may_test=who.may(Permission.RULES_TEST),
        chosen=chosen,
        draft=draft,
        message=message,
    )
    return render(request, "cases/of_rule.html", page=page, status=status)


async def _runs(
    request: Request,
    who: Principal,
    *,
    cursor: str = "",
    message: Message | None = None,
    status: int = 200,
) -> Response:
    found = await services_of(request).cases.runs(who.scope, cursor=cursor or None, limit=RUNS)
    page = runs_page(
        found.items,
        cursor=cursor,
        next_cursor=found.next_cursor,
        may_test=who.may(Permission.RULES_TEST),
        message=message,
    )
    return render(request, "cases/runs.html", page=page, status=status)
