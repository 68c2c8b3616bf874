"""The list of rules, a rule, and the form that writes one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.database import Pool
from api.notices.model import OVER_BUDGET
from api.notices.service import list_notices
from api.problems import ApiError
from api.rules import definitions
from api.rules.figures import rule_figures
from api.rules.model import Rule, RuleState
from api.rules.redacted import fit, redaction_says
from api.rules.service import (
    Outcome,
    Precondition,
    every_rule,
    get_rule,
    list_versions,
    save_rule,
)
from api.rules.states import switch_rule
from api.services import services_of
from api.signals.folds import FoldFilter, Storms, list_storms
from api.web.render import render
from api.web.views.links import rule_href
from api.web.views.rules import (
    STORM_DAYS,
    RuleDraft,
    draft_of,
    rule_form,
    rule_list,
    rule_page,
)
from api.web.views.words import SEVERITIES, STATES, Message, bad, good
from dsl.rule import check

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
_STORMS: Final = 10
_DONE: Final[Mapping[str, str]] = {
    Outcome.CREATED: "Saved. Traces that begin a few seconds from now are judged by it.",
    Outcome.CHANGED: "Saved as a new version. It takes effect in a few seconds.",
    Outcome.UNCHANGED: "Nothing was changed.",
    RuleState.ACTIVE: "Switched on. Traces that begin a few seconds from now are judged by it.",
    RuleState.SHADOW: "In shadow: traces that begin a few seconds from now alert nobody.",
    RuleState.OFF: "Switched off. Nothing it says is taken any more.",
}


def rule_draft(
    id: Annotated[str, Form(max_length=255)] = "",  # noqa: A002 - a field of the form
    name: Annotated[str, Form(max_length=255)] = "",
    description: Annotated[str, Form(max_length=2_000)] = "",
    rule: Annotated[str, Form(max_length=100_000)] = "",
    severity: Annotated[str, Form(max_length=20)] = "",
    state: Annotated[str, Form(max_length=20)] = "",
) -> RuleDraft:
    """Read the fields of the form; browsers send line ends as CR LF."""
    return RuleDraft(
        id=id.strip(),
        name=name.strip(),
        description=description.replace("\r\n", "\n").strip(),
        text=rule.replace("\r\n", "\n"),
        severity=severity if severity in SEVERITIES else "medium",
        state=state if state in STATES else "active",
    )


Draft = Annotated[RuleDraft, Depends(rule_draft)]


@router.get("/rules")
async def rules(request: Request, who: Reader) -> Response:
    """Show all rules."""
    found = await every_rule(services_of(request).pool, who.scope)
    page = rule_list(found, now=datetime.now(UTC), may_write=who.may(Permission.RULES_WRITE))
    return render(request, "rules/list.html", page=page)


@router.get("/rules/new")
async def new_rule(request: Request, _: Writer) -> Response:
    """Show the form for a new rule."""
    return render(request, "rules/form.html", page=rule_form(RuleDraft()))


@router.post("/rules")
async def create_rule(request: Request, who: Writer, draft: Draft) -> Response:
    """Save a new rule, or show what is wrong with it."""
    return await _save(request, who, draft, before=None, version=None)


@router.post("/rules/check")
async def check_rule(
    request: Request,
    who: Writer,
    draft: Draft,
    version: Annotated[int | None, Form()] = None,
) -> Response:
    """Show what is wrong with a text, without saving it."""
    checked = await asyncio.to_thread(check, draft.text)
    said = await redaction_says(services_of(request).redactors, who.scope, checked)
    page = rule_form(
        draft,
        version=version,
        problems=(*checked.problems, *said.problems),
        warnings=(*checked.warnings, *said.warnings),
        checked=True,
    )
    return render(request, "rules/form.html", page=page)


@router.get("/rules/{rule_id}")
async def rule(
    request: Request, who: Reader, rule_id: str, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show a rule. done: what a form has just done, said on top."""
    return await _rule(request, who, rule_id, good(_DONE[done]) if done in _DONE else None)


async def _rule(
    request: Request, who: Principal, rule_id: str, message: Message | None, *, status: int = 200
) -> Response:
    pool = services_of(request).pool
    now = datetime.now(UTC)
    notices = await list_notices(pool, who.scope, kinds=(OVER_BUDGET,), rule_id=rule_id, limit=10)
    page = rule_page(
        await get_rule(pool, who.scope, rule_id),
        await list_versions(pool, who.scope, rule_id),
        figures=await rule_figures(pool, who.scope, rule_id, now=now),
        notices=notices.items,
        now=now,
        may_write=who.may(Permission.RULES_WRITE),
        may_test=who.may(Permission.RULES_TEST),
        storms=await _storms(pool, who, rule_id, now=now),
        message=message,
    )
    return render(request, "rules/detail.html", page=page, status=status)


async def _storms(pool: Pool, who: Principal, rule_id: str, *, now: datetime) -> Storms:
    if not who.may(Permission.SIGNALS_READ):
        return Storms()
    chosen = FoldFilter(rule_id=rule_id, from_at=now - timedelta(days=STORM_DAYS))
    return await list_storms(pool, who.scope, chosen, limit=_STORMS)


@router.get("/rules/{rule_id}/edit")
async def edit_rule(request: Request, who: Writer, rule_id: str) -> Response:
    """Show the form for changing a rule."""
    found = await get_rule(services_of(request).pool, who.scope, rule_id)
    page = rule_form(draft_of(found), version=found.version)
    return render(request, "rules/form.html", page=page)


@router.post("/rules/{rule_id}")
async def change_rule(
    request: Request,
    who: Writer,
    rule_id: str,
    draft: Draft,
    version: Annotated[int, Form()],
) -> Response:
    """Save a rule as its next version, or show what is wrong with it."""
    before = await get_rule(services_of(request).pool, who.scope, rule_id)
    return await _save(request, who, replace(draft, id=rule_id), before=before, version=version)


@router.post("/rules/{rule_id}/state")
async def switch(
    request: Request,
    who: Writer,
    rule_id: str,
    state: Annotated[Literal["active", "shadow", "off"], Form()],
    version: Annotated[int, Form()],
) -> Response:
    """Put a rule into another state, out of quarantine too."""
    services = services_of(request)
    try:
        saved = await switch_rule(
            services.pool,
            services.publisher,
            who.scope,
            rule_id,
            RuleState(state),
            precondition=Precondition(version=version),
        )
    except ApiError as error:
        if error.status != 412:
            raise
        return await _rule(request, who, rule_id, bad(error.detail), status=error.status)
    return RedirectResponse(f"{rule_href(saved.rule.id)}?done={state}", 303)


async def _save(
    request: Request, who: Principal, draft: RuleDraft, *, before: Rule | None, version: int | None
) -> Response:
    services = services_of(request)
    try:
        definition = await asyncio.to_thread(
            definitions.read_definition, _object_text(draft, before), form=definitions.Form.JSON
        )
        (definition,) = await fit(services.redactors, who.scope, [definition])
        saved = await save_rule(
            services.pool,
            services.publisher,
            who.scope,
            definition,
            precondition=Precondition(version=version, absent=before is None),
        )
    except ApiError as error:
        return await _refused(request, who, draft, error, version=version)
    return RedirectResponse(f"{rule_href(saved.rule.id)}?done={saved.outcome.value}", 303)


def _object_text(draft: RuleDraft, before: Rule | None) -> str:
    """Return the rule object: fields that the form does not have stay as they were."""
    fields: dict[str, Any] = {
        "id": draft.id,
        "name": draft.name,
        "description": draft.description,
        "severity": draft.severity,
        "state": draft.state,
        "rule": draft.text,
    }
    kept = before.object if before else {}
    return json.dumps({**kept, **{name: value for name, value in fields.items() if value}})


async def _refused(
    request: Request, who: Principal, draft: RuleDraft, error: ApiError, *, version: int | None
) -> Response:
    """Show the form again: problems of the text in their place, those of other fields on top."""
    if error.status >= 500:
        raise error
    checked = await asyncio.to_thread(check, draft.text)
    said = await redaction_says(services_of(request).redactors, who.scope, checked)
    problems = (*checked.problems, *said.problems)
    page = rule_form(
        draft,
        version=version,
        problems=problems,
        warnings=(*checked.warnings, *said.warnings),
        message=_message(error, text_is_wrong=bool(problems)),
    )
    return render(request, "rules/form.html", page=page, status=error.status)


def _message(error: ApiError, *, text_is_wrong: bool) -> Message:
    problems: list[dict[str, Any]] = error.members.get("problems", [])
    if text_is_wrong or not problems:
        return bad(error.detail)
    return bad("; ".join(str(problem["message"]) for problem in problems))
