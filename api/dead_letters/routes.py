"""/dead-letters: lists, one letter, putting it back, putting it aside."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.dead_letters.model import LetterFilter, LetterState
from api.dead_letters.schemas import (
    DiscardBody,
    LetterBody,
    LetterDetailBody,
    LetterPageBody,
    ReplayedBody,
)
from api.dead_letters.service import (
    PAGE_MAX,
    discard_letter,
    get_letter,
    list_letters,
    replay_letter,
)
from api.redaction.service import redacted_text
from api.services import services_of

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

Reader = Annotated[Principal, Depends(require(Permission.LETTERS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.LETTERS_WRITE))]


@router.get("")
async def read_letters(
    request: Request,
    principal: Reader,
    state: LetterState | None = None,
    source: Annotated[str | None, Query(max_length=100)] = None,
    code: Annotated[
        str | None, Query(max_length=100, description="`worker.died`, or `otlp` for all of OTLP's.")
    ] = None,
    from_at: Annotated[AwareDatetime | None, Query(alias="from", description="inclusive")] = None,
    to_at: Annotated[AwareDatetime | None, Query(alias="to", description="exclusive")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> LetterPageBody:
    """List what could not be used, newest first."""
    chosen = LetterFilter(state=state, source=source, code=code, from_at=from_at, to_at=to_at)
    pool = services_of(request).pool
    page = await list_letters(pool, principal.scope, chosen, cursor=cursor, limit=limit)
    return LetterPageBody.model_validate(page)


@router.get("/{letter_id}")
async def read_letter(request: Request, principal: Reader, letter_id: str) -> LetterDetailBody:
    """Return one letter with what is kept of its content."""
    letter = await get_letter(services_of(request).pool, principal.scope, letter_id)
    return LetterDetailBody.of(letter)


@router.post("/{letter_id}/replay")
async def replay(request: Request, principal: Writer, letter_id: str) -> ReplayedBody:
    """Put a letter's spans into the stream again, through the door that all spans come by.

    Doing so again changes nothing. 409 if it cannot be put back, 422 if it is refused again.
    """
    services = services_of(request)
    letter, replayed = await replay_letter(
        services.pool, principal.scope, services.replayer, letter_id
    )
    return ReplayedBody.of(letter, replayed)


@router.post("/{letter_id}/discard")
async def discard(
    request: Request, principal: Writer, letter_id: str, body: DiscardBody
) -> LetterBody:
    """Put a letter aside for good; it stays in the list of discarded ones."""
    services = services_of(request)
    note = await redacted_text(services.redactors, principal.scope, body.note)
    letter = await discard_letter(services.pool, principal.scope, letter_id, note=note)
    return LetterBody.model_validate(letter)
