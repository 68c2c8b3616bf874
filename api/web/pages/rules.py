"""A rule, and the form that writes one."""

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
from api.problems import ApiError, forbidden
from api.rules import definitions
from api.rules.figures import rule_figures
from api.rules.model import Rule, RuleState
from api.rules.redacted import fit, redaction_says
from api.rules.service import (
    Outcome,
    Precondition,
    get_rule,
    list_versions,
    save_rule,
)
from api.rules.states import switch_rule
from api.rules.test_lists import read_tests, run_tests
from api.services import services_of
from api.signals.folds import FoldFilter, Storms, list_storms
from api.snoozes.service import running_snoozes
from api.web.pages.rule_fields import Draft, Play
from api.web.render import render
from api.web.views.links import rule_href
from api.web.views.playground import PlayDraft, Playground, playground, what_on
from api.web.views.rule_form import (
    RuleDraft,
    TestPanel,
    draft_of,
    rule_form,
    test_panel,
    unreadable_tests,
)
from api.web.views.rule_templates import TEMPLATES
from api.web.views.rules import STORM_DAYS, rule_page
from api.web.views.words import Message, bad, good, sentence
from dsl.rule import check

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
TryOnTrace = Annotated[str, Query(max_length=64)]
TryOnSignal = Annotated[str, Query(max_length=64)]
_STORMS: Final = 10
_DONE: Final[Mapping[str, str]] = {
    Outcome.CREATED: "Saved. Traces that begin a few seconds from now are judged by it.",
    Outcome.CHANGED: "Saved as a new version. It takes effect in a few seconds.",
    Outcome.UNCHANGED: "Nothing was changed.",
    "restored": "The earlier version is back, as a new one. It takes effect in a few seconds.",
    "excepted": "The exception is saved. It silences what is judged a few seconds from now on.",
    "excepted-closed": "The exception is saved and in force in a few seconds; the signal it was "
    "made for is a false positive now.",
    "excepted-open": "The exception is saved. The signal was changed meanwhile and stays as it is.",
    "snoozed": "Snoozed. What is found meanwhile is on record and alerts nobody.",
    "woken": "Awake: what is judged from now on alerts again.",
    "exception-ended": "The exception is over. What is judged from now on alerts again.",
    RuleState.ACTIVE: "Switched on. Traces that begin a few seconds from now are judged by it.",
    RuleState.SHADOW: "In shadow: traces that begin a few seconds from now alert nobody.",
    RuleState.OFF: "Switched off. Nothing it says is taken any more.",
}


@router.get("/rules/new")
async def new_rule(
    request: Request,
    who: Writer,
    trace: TryOnTrace = "",
    signal: TryOnSignal = "",
    template: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the form for a new rule. trace, signal: what the draft is tried on at once."""
    draft = TEMPLATES[template].draft if template in TEMPLATES else RuleDraft()
    return await _form(request, who, draft, _play_of(trace, signal))


@router.post("/rules")
async def create_rule(request: Request, who: Writer, draft: Draft, play: Play) -> Response:
    """Save a new rule, or show what is wrong with it."""
    return await _save(request, who, draft, play, before=None, version=None)


@router.post("/rules/check")
async def check_rule(
    request: Request,
    who: Writer,
    draft: Draft,
    play: Play,
    version: Annotated[int | None, Form()] = None,
) -> Response:
    """Show what is wrong with a text and what becomes of its tests, without saving it."""
    checked = await asyncio.to_thread(check, draft.text)
    said = await redaction_says(services_of(request).redactors, who.scope, checked)
    page = rule_form(
        draft,
        version=version,
        problems=(*checked.problems, *said.problems),
        warnings=(*checked.warnings, *said.warnings),
        checked=True,
        tests=await _tests(request, draft) if checked.rule is not None else None,
        play=playground(play),
    )
    return render(request, "rules/form.html", page=page)


async def _tests(request: Request, draft: RuleDraft) -> TestPanel | None:
    """Run the tests of a draft; None where it has none."""
    try:
        tests = await asyncio.to_thread(read_tests, draft.tests)
        if not tests:
            return None
        return test_panel(await run_tests(services_of(request).trials, draft.text, tests))
    except ValueError as error:
        return unreadable_tests(sentence(error))
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return unreadable_tests(error.detail)


@router.post("/rules/try")
async def try_rule(
    request: Request,
    who: Writer,
    draft: Draft,
    play: Play,
    version: Annotated[int | None, Form()] = None,
) -> Response:
    """Show what a draft says of traces, without saving it."""
    return await _form(request, who, draft, play, version=version, at_once=True)


async def _form(
    request: Request,
    who: Principal,
    draft: RuleDraft,
    play: PlayDraft,
    *,
    version: int | None = None,
    at_once: bool = False,
) -> Response:
    """Show the form; with what is tried, if somebody asks for that or the address names a trace."""
    panel = playground(play)
    if at_once or play.one:
        panel = await _played(request, who, draft, play)
    page = rule_form(draft, version=version, play=panel)
    return render(request, "rules/form.html", page=page)


async def _played(
    request: Request, who: Principal, draft: RuleDraft, play: PlayDraft
) -> Playground:
    if not who.may(Permission.TRACES_READ):
        raise forbidden(Permission.TRACES_READ.value)
    try:
        played = await services_of(request).playground.play(who.scope, draft.text, what_on(play))
    except ValueError as error:
        return playground(play, problem=sentence(error))
    except ApiError as error:
        if error.status not in (400, 404, 422):
            raise
        return playground(play, problem=error.detail)
    return playground(play, played)


def _play_of(trace: str, signal: str) -> PlayDraft:
    """Return the fields of the playground for an address that names a trace or a signal."""
    if signal:
        return PlayDraft(on="one", one=f"/signals/{signal}")
    return PlayDraft(on="one", one=f"/traces/{trace}") if trace else PlayDraft()


@router.get("/rules/{rule_id}")
async def rule(
    request: Request, who: Reader, rule_id: str, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show a rule. done: what a form has just done, said on top."""
    return await show_rule(request, who, rule_id, good(_DONE[done]) if done in _DONE else None)


async def show_rule(
    request: Request, who: Principal, rule_id: str, message: Message | None, *, status: int = 200
) -> Response:
    """Show a rule, with what is to be said on top."""
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
        may_snooze=who.may(Permission.RULES_SNOOZE),
        snooze=(await running_snoozes(pool, who.scope)).get(rule_id),
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
async def edit_rule(
    request: Request,
    who: Writer,
    rule_id: str,
    trace: TryOnTrace = "",
    signal: TryOnSignal = "",
) -> Response:
    """Show the form for changing a rule. trace, signal: what it is tried on at once."""
    found = await get_rule(services_of(request).pool, who.scope, rule_id)
    return await _form(
        request, who, draft_of(found), _play_of(trace, signal), version=found.version
    )


@router.post("/rules/{rule_id}")
async def change_rule(
    request: Request,
    who: Writer,
    rule_id: str,
    draft: Draft,
    play: Play,
    version: Annotated[int, Form()],
) -> Response:
    """Save a rule as its next version, or show what is wrong with it."""
    before = await get_rule(services_of(request).pool, who.scope, rule_id)
    draft = replace(draft, id=rule_id)
    return await _save(request, who, draft, play, before=before, version=version)


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
        return await show_rule(request, who, rule_id, bad(error.detail), status=error.status)
    return RedirectResponse(f"{rule_href(saved.rule.id)}?done={state}", 303)


async def _save(
    request: Request,
    who: Principal,
    draft: RuleDraft,
    play: PlayDraft,
    *,
    before: Rule | None,
    version: int | None,
) -> Response:
    services = services_of(request)
    try:
        tests = await asyncio.to_thread(read_tests, draft.tests)
    except ValueError as error:
        page = rule_form(
            draft,
            version=version,
            tests=unreadable_tests(sentence(error)),
            play=playground(play),
            message=bad(sentence(error)),
        )
        return render(request, "rules/form.html", page=page, status=422)
    try:
        definition = await asyncio.to_thread(
            definitions.read_definition,
            _object_text(draft, tests, before),
            form=definitions.Form.JSON,
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
        return await _refused(request, who, draft, play, error, version=version)
    return RedirectResponse(f"{rule_href(saved.rule.id)}?done={saved.outcome.value}", 303)


def _object_text(draft: RuleDraft, tests: list[Any], before: Rule | None) -> str:
    """Return the rule object: fields that the form does not have stay as they were."""
    fields: dict[str, Any] = {
        "id": draft.id,
        "name": draft.name,
        "description": draft.description,
        "severity": draft.severity,
        "state": draft.state,
        "suppress": draft.suppress,
        "rule": draft.text,
    }
    fields["tests"] = tests
    kept = before.object if before else {}
    merged = {**kept, **fields}
    return json.dumps({name: value for name, value in merged.items() if value})


async def _refused(
    request: Request,
    who: Principal,
    draft: RuleDraft,
    play: PlayDraft,
    error: ApiError,
    *,
    version: int | None,
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
        play=playground(play),
        message=_message(error, text_is_wrong=bool(problems)),
    )
    return render(request, "rules/form.html", page=page, status=error.status)


def _message(error: ApiError, *, text_is_wrong: bool) -> Message:
    problems: list[dict[str, Any]] = error.members.get("problems", [])
    if text_is_wrong or not problems:
        return bad(error.detail)
    return bad("; ".join(str(problem["message"]) for problem in problems))
