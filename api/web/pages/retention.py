"""How long things are kept, in the browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.retention.service import change_retention, hold, read_retention, release
from api.retention.terms import Kind
from api.services import services_of
from api.web.render import render
from api.web.views.retention import DONE, RETENTION_HREF, RetentionText, retention_page
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Word = Annotated[str, Form(max_length=20)]


def _text(
    signals: Word = "",
    open_signals: Word = "",
    dead_letters: Word = "",
    backtests: Word = "",
    accounts: Word = "",
    usage: Word = "",
    audit: Word = "",
) -> RetentionText:
    return RetentionText(
        {
            Kind.SIGNALS: signals,
            Kind.OPEN_SIGNALS: open_signals,
            Kind.LETTERS: dead_letters,
            Kind.BACKTESTS: backtests,
            Kind.ACCOUNTS: accounts,
            Kind.USAGE: usage,
            Kind.AUDIT: audit,
        }
    )


@router.get(RETENTION_HREF)
async def retention(
    request: Request, who: Reader, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show it. done: what a form has just done, said on top."""
    return await _page(request, who, message=good(DONE[done]) if done in DONE else None)


@router.post(RETENTION_HREF)
async def change(
    request: Request, who: Keeper, text: Annotated[RetentionText, Depends(_text)]
) -> Response:
    """Choose; a refusal is said on the form."""
    try:
        await change_retention(services_of(request).pool, who.scope, text.choices())
    except ValueError as error:
        return await _page(request, who, text=text, message=bad(sentence(error)), status=400)
    except ApiError as error:
        if error.status != 400:
            raise
        return await _page(request, who, text=text, message=bad(error.detail), status=400)
    return RedirectResponse(f"{RETENTION_HREF}?done=changed", 303)


@router.post(f"{RETENTION_HREF}/hold")
async def put_on_hold(request: Request, who: Keeper) -> Response:
    """Let nothing be deleted."""
    await hold(services_of(request).pool, who.scope, by="tenant")
    return RedirectResponse(f"{RETENTION_HREF}?done=held", 303)


@router.post(f"{RETENTION_HREF}/release")
async def lift_hold(request: Request, who: Keeper) -> Response:
    """Lift the hold; that of the operator stays, which is said."""
    try:
        await release(services_of(request).pool, who.scope, by="tenant")
    except ApiError as error:
        if error.status != 409:
            raise
        return await _page(request, who, message=bad(error.detail), status=409)
    return RedirectResponse(f"{RETENTION_HREF}?done=released", 303)


async def _page(
    request: Request,
    who: Principal,
    *,
    text: RetentionText | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    page = retention_page(
        await read_retention(services_of(request).pool, who.scope),
        may_write=who.may(Permission.TENANT_WRITE),
        text=text,
        message=message,
    )
    return render(request, "settings/retention.html", page=page, status=status)
