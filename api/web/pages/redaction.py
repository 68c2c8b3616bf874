"""Redaction in the browser: the policy, what it would do, and undoing it for one value."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.redaction.counting import read_counts
from api.redaction.service import (
    Looked,
    Revealed,
    Suggested,
    look_ahead,
    parse_policy,
    read_current,
    read_history,
    reveal,
    suggestions_for,
)
from api.redaction.wanted import RuleInDoubt, change, rules_in_doubt
from api.services import services_of
from api.web.render import render
from api.web.views.redaction import (
    COUNTED_DAYS,
    DONE,
    REDACTION_HREF,
    SHOWN_VERSIONS,
    PolicyText,
    redaction_page,
)
from api.web.views.words import Message, bad, good, sentence
from udfs.redaction import kinds

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Revealer = Annotated[Principal, Depends(require(Permission.REDACTION_REVEAL))]
Word = Annotated[str, Form(max_length=20)]
Lines = Annotated[str, Form(max_length=300_000)]


async def _text(
    request: Request,
    keys: Lines = "",
    exempt: Lines = "",
    custom: Lines = "",
    has_allow_list: Word = "",
    allowed: Lines = "",
    otherwise: Word = "remove",
    conventions: Word = "",
) -> PolicyText:
    form = await request.form()
    return PolicyText(
        strategies={kind: str(form.get(f"kind-{kind}") or "")[:20] for kind in kinds.BY_WEIGHT},
        keys=keys,
        exempt=exempt,
        custom=custom,
        has_allow_list=bool(has_allow_list),
        allowed=allowed,
        otherwise=otherwise,
        conventions=bool(conventions),
    )


Text = Annotated[PolicyText, Depends(_text)]


@router.get(REDACTION_HREF)
async def redaction(
    request: Request, who: Reader, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show the policy. done: what the form has just done, said on top."""
    return await _page(request, who, message=good(DONE[done]) if done in DONE else None)


@router.post(REDACTION_HREF)
async def change_policy(
    request: Request, who: Keeper, text: Text, version: Annotated[int, Form(ge=0)]
) -> Response:
    """Let the policy of the form hold; a refusal is said on it."""
    services = services_of(request)
    try:
        changed = await change(
            services.pool,
            services.publisher,
            services.redactors,
            who.scope,
            parse_policy(text.form()),
            version=version,
        )
    except (ValueError, ApiError) as error:
        return await _refused(request, who, text, error)
    done = "same" if changed.stored.version == version else "changed"
    return RedirectResponse(f"{REDACTION_HREF}?done={done}", 303)


@router.post(f"{REDACTION_HREF}/preview")
async def preview(request: Request, who: Keeper, text: Text) -> Response:
    """Show what the policy of the form would do to stored traces, without saving it."""
    services = services_of(request)
    try:
        policy = parse_policy(text.form())
        looked = (
            await look_ahead(services.pool, who.scope, policy),
            await suggestions_for(services.pool, who.scope, policy),
            await rules_in_doubt(services.pool, services.redactors, who.scope, policy),
        )
    except (ValueError, ApiError) as error:
        return await _refused(request, who, text, error)
    return await _page(request, who, text=text, looked=looked)


@router.post(f"{REDACTION_HREF}/reveal")
async def reveal_value(
    request: Request, who: Revealer, token: Annotated[str, Form(max_length=100_000)] = ""
) -> Response:
    """Show what a token or an encrypted value stands for."""
    services = services_of(request)
    try:
        revealed = await reveal(services.pool, who.scope, services.keys, token)
    except ApiError as error:
        if error.status not in (400, 404, 409):
            raise
        return await _page(request, who, message=bad(error.detail), status=error.status)
    response = await _page(request, who, revealed=revealed)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _refused(
    request: Request, who: Principal, text: PolicyText, error: ValueError | ApiError
) -> Response:
    if isinstance(error, ApiError):
        if error.status not in (412, 422):
            raise error
        problems = error.members.get("problems", ())
        said = "; ".join(f"{one['at']} {one['message']}" for one in problems[:5])
        return await _page(
            request, who, text=text, message=bad(said or error.detail), status=error.status
        )
    return await _page(request, who, text=text, message=bad(sentence(error)), status=422)


async def _page(
    request: Request,
    who: Principal,
    *,
    text: PolicyText | None = None,
    looked: tuple[Looked, Suggested, tuple[RuleInDoubt, ...]] | None = None,
    revealed: Revealed | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    page = redaction_page(
        await read_current(services.pool, who.scope),
        await read_history(services.pool, who.scope, limit=SHOWN_VERSIONS),
        await read_counts(services.pool, who.scope, days=COUNTED_DAYS),
        has_keys=services.keys is not None,
        may_write=who.may(Permission.TENANT_WRITE),
        may_reveal=who.may(Permission.REDACTION_REVEAL),
        text=text,
        looked=looked,
        revealed=revealed,
        message=message,
    )
    return render(request, "settings/redaction.html", page=page, status=status)
