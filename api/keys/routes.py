"""/keys: machine keys of the tenant."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.auth.access import require
from api.auth.keys import KeyKind
from api.auth.principal import Permission, Principal
from api.ids import id_of
from api.keys.authority import authority_of
from api.keys.model import KeyDraft
from api.keys.schemas import KeyBody, KeyDraftBody, KeyPageBody, MadeKeyBody, RotationBody
from api.keys.service import PAGE_MAX, create_key, list_keys, read_key, revoke_key, rotate_key
from api.problems import ApiError
from api.services import services_of

router = APIRouter(prefix="/keys", tags=["keys"])

Keeper = Annotated[Principal, Depends(require(Permission.KEYS_WRITE))]


def key_id_of(
    key_id: Annotated[str, Path(examples=["6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"])],
) -> UUID:
    """Return the id in a path; one that is none belongs to no key. Raises ApiError 404."""
    return id_of(key_id, "key")


KeyId = Annotated[UUID, Depends(key_id_of)]
_NO_TEST_KEYS: Final = (
    "This server takes no test keys. Its operator may set BETRACE_ACCEPT_TEST_KEYS, or make a "
    "live key."
)


@router.get("")
async def read_keys(
    request: Request,
    principal: Keeper,
    ended: bool = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> KeyPageBody:
    """List keys, newest first: those in use, with `ended` also expired and revoked ones."""
    page = await list_keys(
        services_of(request).pool, principal.scope, ended=ended, cursor=cursor, limit=limit
    )
    return KeyPageBody(items=[KeyBody.of(key) for key in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201)
async def make_key(
    request: Request, response: Response, principal: Keeper, body: KeyDraftBody
) -> MadeKeyBody:
    """Make a key. The answer shows it, and nothing will show it again.

    403 for a key that could do more than whoever asks, 409 if a key in use has the name or there
    are too many.
    """
    services = services_of(request)
    refuse_test_key(body.draft, accepted=services.settings.accept_test_keys)
    made = await create_key(
        services.pool,
        principal.scope,
        body.draft,
        maker=services.key_maker,
        authority=authority_of(principal),
    )
    response.headers["Location"] = str(request.url_for("read_one_key", key_id=made.key.id).path)
    return MadeKeyBody.made(made)


@router.get("/{key_id}")
async def read_one_key(request: Request, principal: Keeper, key_id: KeyId) -> KeyBody:
    """Read a key."""
    return KeyBody.of(await read_key(services_of(request).pool, principal.scope, key_id))


@router.post("/{key_id}/rotate", status_code=201)
async def rotate(
    request: Request, principal: Keeper, key_id: KeyId, body: RotationBody
) -> MadeKeyBody:
    """Replace a key by a new one of the same name and rights, which the answer shows once.

    The old key goes on for the overlap and then ends by itself.
    """
    services = services_of(request)
    made = await rotate_key(
        services.pool,
        principal.scope,
        key_id,
        maker=services.key_maker,
        authority=authority_of(principal),
        overlap=timedelta(seconds=body.overlap_seconds),
        expires_at=body.expires_at,
    )
    return MadeKeyBody.made(made)


@router.post("/{key_id}/revoke")
async def revoke(request: Request, principal: Keeper, key_id: KeyId) -> KeyBody:
    """Refuse a key from now on, in every process within five seconds. Again does no harm."""
    return KeyBody.of(await revoke_key(services_of(request).pool, principal.scope, key_id))


def refuse_test_key(draft: KeyDraft, *, accepted: bool) -> None:
    """Raise ApiError 400 for a key that would not be good for anything here."""
    if draft.kind is KeyKind.TEST and not accepted:
        raise ApiError(400, "key.test", _NO_TEST_KEYS)
