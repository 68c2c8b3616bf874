"""The settings of the evidence log in the browser: where its checkpoints go."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.anchors.drafts import TargetChange
from api.anchors.model import Kind, Target
from api.anchors.routes import TargetId
from api.anchors.service import (
    AnchoredPage,
    MadeTarget,
    change_target,
    list_anchored,
    list_targets,
    make_target,
    read_target,
    remove_target,
    send_now,
)
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.services import services_of
from api.web.render import render
from api.web.views.anchors import (
    DONE,
    EVIDENCE_HREF,
    TargetText,
    evidence_settings,
    target_form,
)
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Word = Annotated[str, Form(max_length=500)]
PAGE_SIZE: Final = 20
_EXPECTED: Final = (400, 409, 503)


def _text(
    kind: Word = "",
    every_s: Word = "",
    url: Annotated[str, Form(max_length=2_048)] = "",
    certificates: Annotated[str, Form(max_length=60_000)] = "",
    address: Word = "",
    name: Word = "",
    region: Word = "",
    endpoint: Annotated[str, Form(max_length=2_048)] = "",
    prefix: Word = "",
    access_key_id: Word = "",
    secret: Word = "",
    lock: Word = "none",
    lock_days: Word = "",
    new_secret: Word = "",
) -> TargetText:
    return TargetText(
        kind=kind,
        every_s=every_s,
        url=url,
        certificates=certificates,
        address=address,
        name=name,
        region=region,
        endpoint=endpoint,
        prefix=prefix,
        access_key_id=access_key_id,
        secret=secret,
        lock=lock,
        lock_days=lock_days,
        new_secret=bool(new_secret),
    )


Text = Annotated[TargetText, Depends(_text)]


@router.get(EVIDENCE_HREF)
async def evidence(
    request: Request,
    who: Reader,
    cursor: Annotated[str, Query(max_length=500)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show targets and checkpoints. done: what a form has just done, said on top."""
    message = good(DONE[done]) if done in DONE else None
    return await _page(request, who, cursor=cursor, message=message)


@router.get(f"{EVIDENCE_HREF}/new")
async def new_target(
    request: Request, who: Keeper, kind: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show the form of a kind, by itself that of a time-stamping authority."""
    known = kind if kind in list(Kind) else Kind.TSA.value
    return _form(request, TargetText(kind=known))


@router.post(EVIDENCE_HREF)
async def add(request: Request, who: Keeper, text: Text) -> Response:
    """Add a target and show the secret of a webhook, once; a refusal is said on the form."""
    services = services_of(request)
    known = text.kind in list(Kind)
    try:
        made = await make_target(
            services.pool, who.scope, text.draft(), secrets=services.anchor_secrets
        )
    except ValueError as error:
        shown = text if known else TargetText(kind=Kind.TSA.value)
        return _form(request, shown, problem=sentence(error), status=400)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return _form(request, text, problem=error.detail, status=error.status)
    if made.secret:
        return await _page(request, who, made=made)
    return RedirectResponse(f"{EVIDENCE_HREF}?done=added", 303)


@router.get(f"{EVIDENCE_HREF}/{{target_id}}/edit")
async def edit(request: Request, who: Keeper, target_id: TargetId) -> Response:
    """Show the form of a target that is there."""
    target = await read_target(services_of(request).pool, who.scope, target_id)
    return _form(request, TargetText.of(target), target=target)


@router.post(f"{EVIDENCE_HREF}/{{target_id}}")
async def change(request: Request, who: Keeper, target_id: TargetId, text: Text) -> Response:
    """Change a target; show the new secret of a webhook, once; a refusal is said on the form."""
    services = services_of(request)
    target = await read_target(services.pool, who.scope, target_id)
    shown = replace(text, kind=target.kind.value, secret="")
    try:
        made = await change_target(
            services.pool,
            who.scope,
            target_id,
            text.change(target),
            secrets=services.anchor_secrets,
        )
    except ValueError as error:
        return _form(request, shown, target=target, problem=sentence(error), status=400)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return _form(request, shown, target=target, problem=error.detail, status=error.status)
    if made.secret:
        return await _page(request, who, made=made)
    return RedirectResponse(f"{EVIDENCE_HREF}?done=changed", 303)


@router.post(f"{EVIDENCE_HREF}/{{target_id}}/send")
async def send(request: Request, who: Keeper, target_id: TargetId) -> Response:
    """Hand the newest checkpoint over now, and say what became of it."""
    services = services_of(request)
    try:
        tried = await send_now(services.pool, who.scope, target_id, anchoring=services.anchoring)
    except ApiError as error:
        if error.status != 409:
            raise
        return await _page(request, who, message=bad(error.detail), status=409)
    number = tried.anchor.checkpoint
    said = (
        bad(f"Checkpoint {number} was not taken. {tried.refusal}")
        if tried.refusal
        else good(f"Checkpoint {number} was taken by {tried.anchor.place}.")
    )
    return await _page(request, who, message=said)


@router.post(f"{EVIDENCE_HREF}/{{target_id}}/switch")
async def switch(request: Request, who: Keeper, target_id: TargetId, to: Word = "off") -> Response:
    """Switch a target on or off."""
    services = services_of(request)
    change = TargetChange(enabled=to == "on")
    await change_target(
        services.pool, who.scope, target_id, change, secrets=services.anchor_secrets
    )
    return RedirectResponse(f"{EVIDENCE_HREF}?done={'on' if to == 'on' else 'off'}", 303)


@router.post(f"{EVIDENCE_HREF}/{{target_id}}/remove")
async def remove(request: Request, who: Keeper, target_id: TargetId) -> Response:
    """Hand nothing to a target any more."""
    await remove_target(services_of(request).pool, who.scope, target_id)
    return RedirectResponse(f"{EVIDENCE_HREF}?done=removed", 303)


async def _page(
    request: Request,
    who: Principal,
    *,
    cursor: str = "",
    message: Message | None = None,
    made: MadeTarget | None = None,
    status: int = 200,
) -> Response:
    pool = services_of(request).pool
    found = AnchoredPage((), None)
    if who.may(Permission.EVIDENCE_READ):
        found = await list_anchored(pool, who.scope, cursor=cursor or None, limit=PAGE_SIZE)
    page = evidence_settings(
        await list_targets(pool, who.scope),
        found.items,
        may_write=who.may(Permission.TENANT_WRITE),
        may_read=who.may(Permission.EVIDENCE_READ),
        next_cursor=found.next_cursor or "",
        message=message,
        made=made,
    )
    return render(request, "settings/evidence.html", page=page, status=status)


def _form(
    request: Request,
    text: TargetText,
    *,
    target: Target | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    page = target_form(text, target=target, message=bad(problem) if problem else None)
    return render(request, "settings/evidence_target.html", page=page, status=status)
