"""/rules/{rule_id}/cases and /test-runs: cases that rules are held to, and their history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.cases.schemas import (
    AskedRunBody,
    CaseBody,
    CasesBody,
    NewCaseBody,
    RunPageBody,
    RunWithResultsBody,
)
from api.cases.service import PAGE_MAX
from api.services import services_of
from api.traces.answers import WITHOUT_NUL

router = APIRouter(tags=["cases"])

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
RuleId = Annotated[
    str, Path(max_length=255, pattern=WITHOUT_NUL, examples=["large-payments-are-checked"])
]
Id = Annotated[str, Path(max_length=64, pattern=WITHOUT_NUL)]


@router.get("/rules/{rule_id}/cases")
async def read_cases(request: Request, principal: Reader, rule_id: RuleId) -> CasesBody:
    """List what a rule has to say of which samples, with what came of it the last time."""
    found = await services_of(request).cases.of_rule(principal.scope, rule_id)
    return CasesBody(items=[CaseBody.model_validate(case) for case in found])


@router.post("/rules/{rule_id}/cases", status_code=201)
async def add_case(
    request: Request, principal: Writer, rule_id: RuleId, body: NewCaseBody
) -> CaseBody:
    """Keep a case: what the rule has to say of a sample. 409 for a name that it has already."""
    case = await services_of(request).cases.add(principal.scope, rule_id, body.new_case())
    return CaseBody.model_validate(case)


@router.delete("/rules/{rule_id}/cases/{case_id}", status_code=204)
async def delete_case(request: Request, principal: Writer, rule_id: RuleId, case_id: Id) -> None:
    """Delete a case. What came of it stays on record."""
    await services_of(request).cases.delete(principal.scope, rule_id, case_id)


@router.post("/rules/{rule_id}/test-runs", status_code=201)
async def run_cases_of_rule(
    request: Request, principal: Tester, rule_id: RuleId, body: AskedRunBody
) -> RunWithResultsBody:
    """Judge the cases of a rule by its current version, or by a draft, and keep what came of it.

    A case that fails is an answer (201), with its explanation. 409 if the rule has no case.
    """
    run = await services_of(request).cases.run(principal.scope, rule_id, draft=body.rule)
    return RunWithResultsBody.model_validate(run)


@router.post("/test-runs", status_code=201)
async def run_all_cases(request: Request, principal: Tester) -> RunWithResultsBody:
    """Judge the cases of all rules by their current versions, and keep what came of it."""
    run = await services_of(request).cases.run(principal.scope)
    return RunWithResultsBody.model_validate(run)


@router.get("/test-runs")
async def read_runs(
    request: Request,
    principal: Reader,
    rule_id: Annotated[str, Query(max_length=255, pattern=WITHOUT_NUL)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> RunPageBody:
    """List runs, newest first: all of them, or those in which a rule had a case."""
    page = await services_of(request).cases.runs(
        principal.scope, rule_id=rule_id, cursor=cursor, limit=limit
    )
    return RunPageBody.model_validate(page)


@router.get("/test-runs/{run_id}")
async def read_run(request: Request, principal: Reader, run_id: Id) -> RunWithResultsBody:
    """Return a run with what came of each case, and why those failed that did."""
    run = await services_of(request).cases.read_run(principal.scope, run_id)
    return RunWithResultsBody.model_validate(run)
