"""The list of dead letters, and the forms that put one back or aside."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.dead_letters.model import LetterFilter, LetterState
from api.dead_letters.service import discard_letter, list_letters, replay_letter
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.services import services_of
from api.web.render import render
from api.web.views.dead_letters import DONE, letter_list
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
Reader = Annotated[Principal, Depends(require(Permission.LETTERS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.LETTERS_WRITE))]


@router.get("/dead-letters")
async def letters(
    request: Request,
    who: Reader,
    state: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show letters of one state. done: what a form has just done, said on top."""
    known = state in tuple(LetterState)
    chosen = LetterState(state) if known else LetterState.WAITING
    message = good(DONE[done]) if done in DONE else None
    return await _letters(request, who, chosen, cursor=cursor, message=message)


@router.post("/dead-letters/{letter_id}/replay")
async def replay(request: Request, who: Writer, letter_id: str) -> Response:
    """Put a letter back; a refusal is said on the page."""
    services = services_of(request)
    try:
        await replay_letter(services.pool, who.scope, services.replayer, letter_id)
    except ApiError as error:
        if error.status not in (409, 422):
            raise
        return await _refused(request, who, error)
    return RedirectResponse("/dead-letters?done=replayed", 303)


@router.post("/dead-letters/{letter_id}/discard")
async def discard(
    request: Request,
    who: Writer,
    letter_id: str,
    note: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Put a letter aside for good; a refusal is said on the page."""
    services = services_of(request)
    note = await redacted_text(services.redactors, who.scope, note.strip())
    try:
        await discard_letter(services.pool, who.scope, letter_id, note=note)
    except ApiError as error:
        if error.status != 409:
            raise
        return await _refused(request, who, error)
    return RedirectResponse("/dead-letters?done=discarded", 303)


async def _refused(request: Request, who: Principal, error: ApiError) -> Response:
    return await _letters(
        request, who, LetterState.WAITING, message=bad(error.detail), status=error.status
    )


async def _letters(
    request: Request,
    who: Principal,
    state: LetterState,
    *,
    cursor: str = "",
    message: Message | None = None,
    status: int = 200,
) -> Response:
    found = await list_letters(
        services_of(request).pool,
        who.scope,
        LetterFilter(state=state),
        cursor=cursor or None,
        limit=PAGE_SIZE,
    )
    page = letter_list(
        found.items,
        state,
        next_cursor=found.next_cursor or "",
        may_settle=who.may(Permission.LETTERS_WRITE),
        message=message,
    )
    return render(request, "dead_letters/list.html", page=page, status=status)
