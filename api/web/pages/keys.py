"""API keys in the browser: the list, one key, making, rotating and revoking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.addresses import parse_networks
from api.auth.keys import KeyKind
from api.auth.principal import Permission, Principal, Role
from api.keys.authority import authority_of
from api.keys.model import KeyDraft, MadeKey
from api.keys.routes import KeyId, refuse_test_key
from api.keys.service import create_key, list_keys, read_key, revoke_key, rotate_key
from api.problems import ApiError
from api.services import services_of
from api.web.render import render
from api.web.views.keys import (
    DONE,
    KEYS_HREF,
    OVERLAPS,
    KeyDraftText,
    end_of,
    key_form,
    key_list,
    key_page,
)
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
Keeper = Annotated[Principal, Depends(require(Permission.KEYS_WRITE))]
_NAME_MAX: Final = 200
_NETWORKS_MAX: Final = 5_000
_EXPECTED: Final = (400, 403, 409)


def _draft_text(
    name: Annotated[str, Form(max_length=_NAME_MAX)] = "",
    access: Annotated[str, Form(max_length=20)] = "",
    scope: Annotated[list[str], Form(max_length=len(Permission))] = [],  # noqa: B006 - FastAPI's
    role: Annotated[str, Form(max_length=50)] = "",
    days: Annotated[str, Form(max_length=10)] = "90",
    kind: Annotated[str, Form(max_length=10)] = KeyKind.LIVE.value,
    networks: Annotated[str, Form(max_length=_NETWORKS_MAX)] = "",
) -> KeyDraftText:
    return KeyDraftText(
        name=name.strip(),
        access=access,
        scopes=tuple(scope),
        role=role,
        days=days,
        kind=kind,
        networks=networks,
    )


DraftText = Annotated[KeyDraftText, Depends(_draft_text)]


@router.get(KEYS_HREF)
async def keys(
    request: Request,
    who: Keeper,
    ended: Annotated[str, Query(max_length=5)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show keys in use, or all. done: what a form has just done, said on top."""
    message = good(DONE[done]) if done in DONE else None
    return await _keys(request, who, ended=bool(ended), cursor=cursor, message=message)


@router.get(f"{KEYS_HREF}/new")
async def new_key(request: Request, who: Keeper) -> Response:
    """Show the form."""
    return _form(request, who, KeyDraftText())


@router.post(KEYS_HREF)
async def make(request: Request, who: Keeper, text: DraftText) -> Response:
    """Make a key and show it, once; a refusal is said on the form."""
    services = services_of(request)
    try:
        draft = _draft(text)
        refuse_test_key(draft, accepted=services.settings.accept_test_keys)
        made = await create_key(
            services.pool,
            who.scope,
            draft,
            maker=services.key_maker,
            authority=authority_of(who),
        )
    except ValueError as error:
        return _form(request, who, text, problem=sentence(error), status=400)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return _form(request, who, text, problem=error.detail, status=error.status)
    return await _keys(request, who, made=made)


@router.get(f"{KEYS_HREF}/{{key_id}}")
async def one_key(request: Request, who: Keeper, key_id: KeyId) -> Response:
    """Show a key."""
    key = await read_key(services_of(request).pool, who.scope, key_id)
    return render(request, "settings/key.html", page=key_page(key, now=datetime.now(UTC)))


@router.post(f"{KEYS_HREF}/{{key_id}}/rotate")
async def rotate(
    request: Request,
    who: Keeper,
    key_id: KeyId,
    overlap: Annotated[str, Form(max_length=20)] = "86400",
) -> Response:
    """Replace a key and show the new one, once; a refusal is said on the key's page."""
    services = services_of(request)
    if overlap not in OVERLAPS:
        raise ApiError(400, "key.overlap", "Choose for how long the old key goes on.")
    try:
        made = await rotate_key(
            services.pool,
            who.scope,
            key_id,
            maker=services.key_maker,
            authority=authority_of(who),
            overlap=timedelta(seconds=int(overlap)),
        )
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        key = await read_key(services.pool, who.scope, key_id)
        page = key_page(key, now=datetime.now(UTC), message=bad(error.detail))
        return render(request, "settings/key.html", page=page, status=error.status)
    return await _keys(request, who, made=made, went_on=OVERLAPS[overlap])


@router.post(f"{KEYS_HREF}/{{key_id}}/revoke")
async def revoke(request: Request, who: Keeper, key_id: KeyId) -> Response:
    """Refuse a key from now on."""
    await revoke_key(services_of(request).pool, who.scope, key_id)
    return RedirectResponse(f"{KEYS_HREF}?done=revoked", 303)


async def _keys(
    request: Request,
    who: Principal,
    *,
    ended: bool = False,
    cursor: str = "",
    message: Message | None = None,
    made: MadeKey | None = None,
    went_on: str = "",
) -> Response:
    found = await list_keys(
        services_of(request).pool,
        who.scope,
        ended=ended,
        cursor=cursor or None,
        limit=PAGE_SIZE,
    )
    page = key_list(
        found.items,
        now=datetime.now(UTC),
        ended=ended,
        next_cursor=found.next_cursor or "",
        message=message,
        made=made,
        went_on=went_on,
    )
    return render(request, "settings/keys.html", page=page)


def _form(
    request: Request, who: Principal, text: KeyDraftText, *, problem: str = "", status: int = 200
) -> Response:
    page = key_form(
        text,
        authority_of(who),
        test_keys=services_of(request).settings.accept_test_keys,
        message=bad(problem) if problem else None,
    )
    return render(request, "settings/key_form.html", page=page, status=status)


def _draft(text: KeyDraftText) -> KeyDraft:
    """Return the key that a person wants. Raises ValueError for what no key can be."""
    by_role = text.access == "role"
    return KeyDraft(
        name=text.name,
        role=Role(text.role) if by_role else None,
        scopes=None if by_role else frozenset(Permission(scope) for scope in text.scopes),
        kind=KeyKind(text.kind),
        networks=parse_networks(text.networks.replace(",", " ").split()),
        expires_at=end_of(text.days),
    )
