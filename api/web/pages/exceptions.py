"""From a signal that is no problem to an exception of its rule, proven before it is saved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal, UserPrincipal
from api.exceptions.model import OWNER_MAX, PAST_DAYS, REASON_MAX, WHERE_MAX, Proof
from api.exceptions.routes import refuse_without_traces
from api.exceptions.service import Shown
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.rules.service import Precondition
from api.services import services_of
from api.signals.model import DISPOSITIONS, Status
from api.signals.service import SignalChange, change_signal
from api.web.pages.rules import show_rule
from api.web.pages.typed import lines_of
from api.web.render import render
from api.web.views.exception_form import NEVER, ON, ExceptionDraft, exception_form, may_end
from api.web.views.links import rule_href
from api.web.views.words import Message, bad
from dsl.exceptions import RuleException
from dsl.excusing import CONDITIONS_MAX
from dsl.problems import Problem

router = APIRouter(include_in_schema=False)

Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
_SAID: Final = frozenset({400, 404, 409, 412, 422})
"""Refusals that are said on the page, with what was typed."""


def exception_draft(
    where: Annotated[str, Form(max_length=WHERE_MAX)] = "",
    pick: Annotated[list[str] | None, Form()] = None,
    reason: Annotated[str, Form(max_length=REASON_MAX)] = "",
    owner: Annotated[str, Form(max_length=OWNER_MAX)] = "",
    ends: Annotated[str, Form(max_length=10)] = ON,
    until: Annotated[str, Form(max_length=40)] = "",
    tried: Annotated[str, Form(max_length=WHERE_MAX)] = "",
    resolve: Annotated[bool, Form()] = False,
    disposition: Annotated[str, Form(max_length=20)] = "",
    version: Annotated[int, Form(ge=0, le=2**31 - 1)] = 0,
    signal_version: Annotated[int, Form(ge=0, le=2**31 - 1)] = 0,
) -> ExceptionDraft:
    """Read the fields of the form."""
    return ExceptionDraft(
        where=lines_of(where).strip(),
        picks=tuple(pick or ())[:CONDITIONS_MAX],
        reason=lines_of(reason).strip(),
        owner=owner,
        ends=NEVER if ends == NEVER else ON,
        until=until.strip(),
        tried=lines_of(tried).strip(),
        resolve=resolve,
        disposition=disposition,
        version=version,
        signal_version=signal_version,
    )


Draft = Annotated[ExceptionDraft, Depends(exception_draft)]


@router.get("/signals/{signal_id}/exception")
async def new_exception(request: Request, who: Writer, signal_id: str) -> Response:
    """Show the form, with conditions that the signal fulfils."""
    refuse_without_traces(who)
    shown = await services_of(request).exceptions.shown(who.scope, signal_id)
    ends_on = datetime.now(UTC).date() + timedelta(days=PAST_DAYS)
    draft = ExceptionDraft(
        owner=who.email if isinstance(who, UserPrincipal) else "", until=ends_on.isoformat()
    )
    return _form(request, who, shown, draft)


@router.post("/signals/{signal_id}/exception")
async def make_exception(
    request: Request,
    who: Writer,
    signal_id: str,
    draft: Draft,
    act: Annotated[str, Form(max_length=10)] = "try",
) -> Response:
    """Put the filter together, prove it, or save what was proven as it stands.

    act: use, try or save. A filter that nobody has seen the proof of is proven first.
    """
    refuse_without_traces(who)
    services = services_of(request)
    shown = await services.exceptions.shown(who.scope, signal_id)
    if act == "use" or not draft.where.strip():
        draft = replace(draft, where=" and ".join(draft.picks))
    if act == "use":
        return _form(request, who, shown, draft)
    try:
        if act == "save" and draft.tried == draft.where:
            return await _save(request, who, shown, draft)
        proof = await services.exceptions.prove(
            who.scope, shown.rule.id, _exception(draft), signal_id=signal_id
        )
    except ApiError as error:
        return await _refused(request, who, shown, draft, error)
    message = bad("Look at what it would silence, then save it.") if act == "save" else None
    return _form(request, who, shown, draft, proof=proof, message=message)


@router.post("/rules/{rule_id}/exceptions/{number}/end")
async def end_exception(
    request: Request,
    who: Writer,
    rule_id: str,
    number: Annotated[int, Path(ge=1, le=10_000)],
    version: Annotated[int, Form()],
) -> Response:
    """Let an exception be over from now on."""
    try:
        await services_of(request).exceptions.end(
            who.scope, rule_id, number, precondition=Precondition(version=version)
        )
    except ApiError as error:
        if error.status not in (409, 412):
            raise
        return await show_rule(request, who, rule_id, bad(error.detail), status=error.status)
    return RedirectResponse(f"{rule_href(rule_id)}?done=exception-ended", 303)


async def _save(request: Request, who: Principal, shown: Shown, draft: ExceptionDraft) -> Response:
    services, rule_id = services_of(request), shown.rule.id
    await services.exceptions.add(
        who.scope,
        rule_id,
        _exception(draft),
        signal_id=shown.signal.id,
        precondition=Precondition(version=draft.version or None),
    )
    done = "excepted"
    if draft.resolve and who.may(Permission.SIGNALS_WRITE) and may_end(shown.signal):
        closed = await _close(request, who, shown, draft)
        done = "excepted-closed" if closed else "excepted-open"
    return RedirectResponse(f"{rule_href(rule_id)}?done={done}", 303)


async def _close(request: Request, who: Principal, shown: Shown, draft: ExceptionDraft) -> bool:
    """Make the signal a false positive; False if somebody else has changed it meanwhile."""
    services = services_of(request)
    ends = DISPOSITIONS[Status.FALSE_POSITIVE]
    change = SignalChange(
        status=Status.FALSE_POSITIVE,
        reason=await redacted_text(services.redactors, who.scope, draft.reason.strip()),
        disposition=next((one for one in ends if one == draft.disposition), None),
        version=draft.signal_version or None,
    )
    try:
        await change_signal(services.pool, who.scope, shown.signal.id, change)
    except ApiError as error:
        if error.status != 409:
            raise
        return False
    return True


async def _refused(
    request: Request, who: Principal, shown: Shown, draft: ExceptionDraft, error: ApiError
) -> Response:
    """Show the form again and why; of what silences too much, all that it would silence."""
    if error.status not in _SAID:
        raise error
    proof = None
    if error.code in ("exception.silences_expected", "exception.not_this_signal"):
        proof = await services_of(request).exceptions.prove(
            who.scope, shown.rule.id, _exception(draft), signal_id=shown.signal.id
        )
    if error.status == 412:
        # What was proven was proven of another version: it is to be tried again.
        draft = replace(draft, version=shown.rule.version)
    problems = [Problem(**one) for one in error.members.get("problems", ())]
    return _form(
        request,
        who,
        shown,
        draft,
        proof=proof,
        problems=problems,
        message=bad(error.detail),
        status=error.status,
    )


def _form(
    request: Request,
    who: Principal,
    shown: Shown,
    draft: ExceptionDraft,
    *,
    proof: Proof | None = None,
    problems: list[Problem] | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    page = exception_form(
        shown,
        draft,
        may_change_signal=who.may(Permission.SIGNALS_WRITE),
        proof=proof,
        problems=problems or (),
        message=message,
    )
    return render(request, "signals/exception.html", page=page, status=status)


def _exception(draft: ExceptionDraft) -> RuleException:
    """Return what the fields say. Raises ApiError 422 for a day that was not chosen."""
    if draft.ends == ON and not draft.until:
        raise ApiError(422, "exception.until", "Choose the last day, or that it has no end.")
    until = draft.until if draft.ends == ON else ""
    return RuleException(draft.where, draft.reason, draft.owner, until)
