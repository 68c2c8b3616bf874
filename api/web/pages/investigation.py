"""One signal, what people do to it, and the comparison with a trace that kept the promise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal, UserPrincipal
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.services import Services, services_of
from api.signals.comparison import compare
from api.signals.drawing import draw
from api.signals.model import Disposition, Status
from api.signals.related import link_signals, related_signals, unlink_signals
from api.signals.service import (
    SignalChange,
    SignalDetail,
    assignable_people,
    change_signal,
    get_signal,
)
from api.signals.traces import drawn_trace
from api.traces.rows import Drawn
from api.web.pages.typed import lines_of
from api.web.render import render
from api.web.views.related import comparison_page
from api.web.views.signal_page import STATUS_DONE, Around, signal_page
from api.web.views.waterfall import AT_ONCE_MAX
from api.web.views.words import bad, good

router = APIRouter(include_in_schema=False, prefix="/signals/{signal_id}")

NOTES: Final = 100
"""So many stand on the page at once."""
Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.SIGNALS_WRITE))]
Version = Annotated[int, Form()]
_DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **STATUS_DONE,
        "assigned": "Assigned.",
        "noted": "The note is kept.",
        "changed": "The note is changed.",
        "removed": "The note is removed.",
        "linked": "Linked.",
        "unlinked": "The link is taken back.",
    }
)
_SIGNAL_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_SAID: Final = frozenset({400, 403, 404, 409})
"""Refusals that are said on the page, with what was typed."""


@router.get("")
async def signal(
    request: Request,
    who: Reader,
    signal_id: str,
    done: Annotated[str, Query(max_length=20)] = "",
    notes: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show one signal. done: what a form has just done. notes: where older notes begin."""
    message = good(_DONE[done]) if done in _DONE else None
    return await _signal(request, who, signal_id, cursor=notes or None, message=message)


@router.get("/comparison")
async def comparison(request: Request, who: Reader, signal_id: str) -> Response:
    """Show how the signal's trace differs from one that kept the promise."""
    services = services_of(request)
    compared = await compare(services.pool, services.layouts, who.scope, signal_id)
    _, drawn = await drawn_trace(services.pool, services.layouts, who.scope, signal_id)
    page = comparison_page(signal_id, compared, drawn)
    return render(request, "signals/comparison.html", page=page)


@router.post("/status")
async def set_status(
    request: Request,
    who: Writer,
    signal_id: str,
    status: Annotated[Status, Form()],
    version: Version,
    reason: Annotated[str, Form(max_length=2_000)] = "",
    disposition: Annotated[str, Form(max_length=20)] = "",
    until_regression: Annotated[bool, Form()] = False,
) -> Response:
    """Move a signal through its life cycle; a refusal is said on the page, with what was typed."""
    services = services_of(request)
    closes = status in (Status.RESOLVED, Status.FALSE_POSITIVE)
    ended = next((one for one in Disposition if one == disposition), None)
    change = SignalChange(
        status=status,
        reason=await redacted_text(services.redactors, who.scope, reason.strip()) or None,
        disposition=ended if closes else None,
        until_regression=until_regression and status is Status.RESOLVED,
        version=version,
    )
    try:
        await change_signal(services.pool, who.scope, signal_id, change)
    except ApiError as error:
        return await _refused(request, who, signal_id, error, reason=reason)
    return _back(signal_id, status.value)


@router.post("/assignee")
async def assign(
    request: Request,
    who: Writer,
    signal_id: str,
    version: Version,
    assignee: Annotated[str, Form(max_length=320)] = "",
) -> Response:
    """Give a signal to somebody, or to nobody."""
    change = SignalChange(assignee=assignee.strip() or None, version=version)
    try:
        await change_signal(services_of(request).pool, who.scope, signal_id, change)
    except ApiError as error:
        return await _refused(request, who, signal_id, error)
    return _back(signal_id, "assigned")


@router.post("/notes")
async def add_note(
    request: Request, who: Writer, signal_id: str, text: Annotated[str, Form()] = ""
) -> Response:
    """Write a note."""
    try:
        note = await services_of(request).notes.add(who.scope, signal_id, lines_of(text))
    except ApiError as error:
        return await _refused(request, who, signal_id, error, note=text)
    return _back(signal_id, "noted", anchor=f"note-{note.id}")


@router.post("/notes/{note_id}")
async def change_note(
    request: Request,
    who: Writer,
    signal_id: str,
    note_id: str,
    version: Version,
    text: Annotated[str, Form()] = "",
) -> Response:
    """Correct a note of one's own."""
    notes = services_of(request).notes
    try:
        await notes.change(who.scope, signal_id, note_id, lines_of(text), version=version)
    except ApiError as error:
        return await _refused(request, who, signal_id, error, note=text)
    return _back(signal_id, "changed", anchor=f"note-{note_id}")


@router.post("/notes/{note_id}/remove")
async def remove_note(
    request: Request, who: Writer, signal_id: str, note_id: str, version: Version
) -> Response:
    """Take the text of a note of one's own away."""
    try:
        await services_of(request).notes.remove(who.scope, signal_id, note_id, version=version)
    except ApiError as error:
        return await _refused(request, who, signal_id, error)
    return _back(signal_id, "removed")


@router.post("/links")
async def link(
    request: Request, who: Writer, signal_id: str, other: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Link a signal to another. other: its id, or the address of its page."""
    ids = _SIGNAL_ID.findall(other)
    try:
        if not ids:
            raise ApiError(400, "signal.link", "Paste the id of a signal, or its address.")
        await link_signals(services_of(request).pool, who.scope, signal_id, ids[-1])
    except ApiError as error:
        return await _refused(request, who, signal_id, error)
    return _back(signal_id, "linked")


@router.post("/links/{other_id}/remove")
async def unlink(request: Request, who: Writer, signal_id: str, other_id: str) -> Response:
    """Take a link back."""
    await unlink_signals(services_of(request).pool, who.scope, signal_id, other_id)
    return _back(signal_id, "unlinked")


async def _refused(
    request: Request, who: Principal, signal_id: str, error: ApiError, **typed: str
) -> Response:
    """Say on the signal's page why something was refused; where there is none, raise."""
    if error.status not in _SAID:
        raise error
    return await _signal(
        request, who, signal_id, message=bad(error.detail), code=error.status, **typed
    )


async def _signal(
    request: Request,
    who: Principal,
    signal_id: str,
    *,
    cursor: str | None = None,
    code: int = 200,
    **said: Any,
) -> Response:
    services, scope = services_of(request), who.scope
    may_write = who.may(Permission.SIGNALS_WRITE)
    position = await services.feed.place(scope)
    detail = await get_signal(services.pool, scope, signal_id, with_spans=False)
    span_count, drawn = await _trace(services, who, detail)
    around = Around(
        span_count=span_count,
        drawn=drawn,
        notes=await services.notes.page(scope, signal_id, cursor=cursor, limit=NOTES),
        related=await related_signals(services.pool, scope, signal_id),
        people=await assignable_people(services.pool, scope) if may_write else (),
        actor=scope.actor,
        me=who.email if isinstance(who, UserPrincipal) else "",
        may_write=may_write,
        may_write_rules=who.may(Permission.RULES_WRITE),
        feed_position=position,
        **said,
    )
    page = signal_page(detail, around)
    return render(request, "signals/detail.html", page=page, status=code)


async def _trace(
    services: Services, who: Principal, detail: SignalDetail
) -> tuple[int | None, Drawn | None]:
    """Return how many spans are stored, and the trace if the page need not wait long for it."""
    trace_id = detail.signal.trace_id
    span_count = await services.layouts.span_count(who.scope, trace_id) if trace_id else None
    if trace_id is None or span_count is None or span_count > AT_ONCE_MAX:
        return span_count, None
    layout = await services.layouts.layout(who.scope, trace_id)
    return span_count, draw(layout, detail.explanation, detail.rule_text)


def _back(signal_id: str, done: str, *, anchor: str = "") -> Response:
    where = f"/signals/{signal_id}?done={done}" + (f"#{anchor}" if anchor else "")
    return RedirectResponse(where, 303)
