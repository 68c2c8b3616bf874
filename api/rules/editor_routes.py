"""/rules/editor: what an editor asks while somebody writes; /rules/trial/stored and
/traces/{trace_id}/rule: drafts on stored traces, and out of one.

The answers are those of the language server (`betrace lsp`): both ask `dsl.editor`. Names come
from the tenant's stored traces, for whoever may read those.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

import dsl
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.rules.editing import marks_of
from api.rules.editor_schemas import (
    CompletionsBody,
    DraftBody,
    HoverBody,
    MarksBody,
    PicksBody,
    PlayedBody,
    StoredTrialBody,
    TextAtBody,
    TextBody,
)
from api.rules.from_trace import rule_from_trace
from api.rules.redacted import redaction_says
from api.services import services_of
from dsl.editor import complete, hover

router = APIRouter(tags=["rules"])

Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
TraceReader = Annotated[Principal, Depends(require(Permission.TRACES_READ))]
TraceId = Annotated[str, Path(examples=["5b8aa5a2d2c872e8321cf37308d69df2"])]


@router.post("/rules/editor/marks")
async def read_marks(request: Request, principal: Tester, body: TextBody) -> MarksBody:
    """Return what is wrong with a text, how it is put right, and what each word is.

    Names that no stored trace has are told where one is near that was probably meant.
    """
    known = await _known(request, principal)
    checked = await asyncio.to_thread(dsl.check, body.text, known=known)
    said = await redaction_says(services_of(request).redactors, principal.scope, checked)
    return MarksBody.of(
        await asyncio.to_thread(
            marks_of, body.text, checked, problems=said.problems, warnings=said.warnings
        )
    )


@router.post("/rules/editor/completions")
async def read_completions(
    request: Request, principal: Tester, body: TextAtBody
) -> CompletionsBody:
    """Return what may be written at a place of a text, which may be broken in any way."""
    known = await _known(request, principal)
    return CompletionsBody.of(await asyncio.to_thread(complete, body.text, body.offset, known))


@router.post("/rules/editor/hover")
async def read_hover(request: Request, principal: Tester, body: TextAtBody) -> HoverBody:
    """Return what the word at a place of a text means."""
    known = await _known(request, principal)
    found = await asyncio.to_thread(hover, body.text, body.offset, known)
    return HoverBody.of(found, offset=body.offset)


@router.post("/rules/trial/stored")
async def try_on_stored(
    request: Request, principal: TraceReader, body: StoredTrialBody
) -> PlayedBody:
    """Judge stored traces by a draft, with every clause explained. Saves nothing.

    A draft that does not check is an answer (200), not a refusal. 404 for a trace that is not
    stored, 422 for one that is too large.
    """
    return PlayedBody.of(
        await services_of(request).playground.play(principal.scope, body.rule, body.on())
    )


@router.post("/traces/{trace_id}/rule")
async def draft_from_trace(
    request: Request, principal: TraceReader, trace_id: TraceId, body: PicksBody
) -> DraftBody:
    """Return a rule about spans of a stored trace, with a test that keeps it and one that does not.

    Saves nothing. 404 for a trace that is not stored or a span it does not have, 422 where nothing
    can be promised of the spans.
    """
    playground = services_of(request).playground
    return DraftBody.of(
        await rule_from_trace(playground, principal.scope, trace_id, body.by_id(), body.shape)
    )


async def _known(request: Request, principal: Principal) -> dsl.KnownNames | None:
    if not principal.may(Permission.TRACES_READ):
        return None
    return await services_of(request).seen_names.of(principal.scope)
