"""/signals: lists, one signal, its changes, and the live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import AwareDatetime
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.auth.access import require
from api.auth.principal import Permission, Principal, TenantScope
from api.auth.streams import while_allowed
from api.etags import version_of
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.services import Services, services_of
from api.signals.feed import SignalEvent
from api.signals.folds import FoldFilter, list_folds
from api.signals.model import Severity, Shown, SignalFilter, Status, VerdictName
from api.signals.schemas import (
    FoldPageBody,
    SignalBody,
    SignalChangeBody,
    SignalDetailBody,
    SignalPageBody,
)
from api.signals.service import PAGE_MAX, change_signal, get_signal, list_signals

router = APIRouter(prefix="/signals", tags=["signals"])

STREAM_LIFE_S: Final = 15 * 60
"""A stream ends after so long and the client comes back, which checks its credential again."""
STREAM_PING_S: Final = 15

Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.SIGNALS_WRITE))]


ShownQuery = Annotated[
    Shown,
    Query(
        description="`alerts`, what `shadow` rules say, what exceptions silence (`excepted`), "
        "or `all`."
    ),
]


def signal_filter(
    shown: ShownQuery = Shown.ALERTS,
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    status: Annotated[list[Status] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    verdict: Annotated[
        list[VerdictName] | None,
        Query(description="Default: whatever was ever violated, withdrawn ones among them."),
    ] = None,
    trace_id: Annotated[str | None, Query(max_length=32)] = None,
    service: Annotated[str | None, Query(max_length=1_000)] = None,
    from_at: Annotated[
        AwareDatetime | None, Query(alias="from", description="occurred_at, inclusive")
    ] = None,
    to_at: Annotated[
        AwareDatetime | None, Query(alias="to", description="occurred_at, exclusive")
    ] = None,
) -> SignalFilter:
    """Read the filters of a list from the query; several values of one are alternatives."""
    _check_range(from_at, to_at)
    return SignalFilter(
        shown=shown,
        rule_id=rule_id,
        statuses=tuple(status or ()),
        severities=tuple(severity or ()),
        verdicts=tuple(verdict or ()),
        trace_id=trace_id,
        service=service,
        from_at=from_at,
        to_at=to_at,
    )


@router.get("")
async def read_signals(
    request: Request,
    principal: Reader,
    chosen: Annotated[SignalFilter, Depends(signal_filter)],
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> SignalPageBody:
    """List signals, newest first. Of storms the first ones are here, the others in `folds`."""
    page = await list_signals(
        services_of(request).pool, principal.scope, chosen, cursor=cursor, limit=limit
    )
    return SignalPageBody.model_validate(page)


def fold_filter(
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    from_at: Annotated[
        AwareDatetime | None, Query(alias="from", description="minute, inclusive")
    ] = None,
    to_at: Annotated[
        AwareDatetime | None, Query(alias="to", description="minute, exclusive")
    ] = None,
) -> FoldFilter:
    """Read the filters of a list of folded signals from the query."""
    _check_range(from_at, to_at)
    return FoldFilter(
        rule_id=rule_id, severities=tuple(severity or ()), from_at=from_at, to_at=to_at
    )


@router.get("/folds")
async def read_folds(
    request: Request,
    principal: Reader,
    chosen: Annotated[FoldFilter, Depends(fold_filter)],
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> FoldPageBody:
    """List what was folded of storms: signals that are counted and not kept one by one.

    One item for each version of a rule and minute of event time, newest first. A minute may still
    grow for some seconds after it is over.
    """
    page = await list_folds(
        services_of(request).pool, principal.scope, chosen, cursor=cursor, limit=limit
    )
    return FoldPageBody.model_validate(page)


@router.get("/stream", response_class=EventSourceResponse)
async def stream_signals(
    request: Request,
    principal: Reader,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
    since: Annotated[
        str | None, Query(max_length=100, description="As Last-Event-ID, where none can be sent.")
    ] = None,
    shown: ShownQuery = Shown.ALERTS,
) -> EventSourceResponse:
    """Stream changes as server-sent events `raised`, `changed` (data: the signal) and `reload`.

    A signal that alerts only later, when its exceptions have been asked, is `raised` then.

    With the id of the last event seen, what happened in between comes first. `reload` says that
    this is too long ago to tell.
    """
    events = feed_events(
        services_of(request), principal.scope, shown, last_event_id=last_event_id or since
    )
    allowed = while_allowed(request, Permission.SIGNALS_READ, events)
    return EventSourceResponse(allowed, ping=STREAM_PING_S)


@router.get("/{signal_id}")
async def read_signal(
    request: Request, response: Response, principal: Reader, signal_id: str
) -> SignalDetailBody:
    """Return one signal with its explanation, history and the spans of its trace."""
    detail = await get_signal(services_of(request).pool, principal.scope, signal_id)
    response.headers["ETag"] = f'"{detail.signal.version}"'
    return SignalDetailBody.of(detail)


@router.patch("/{signal_id}")
async def patch_signal(
    request: Request,
    response: Response,
    principal: Writer,
    signal_id: str,
    body: SignalChangeBody,
    if_match: Annotated[str | None, Header()] = None,
) -> SignalDetailBody:
    """Move a signal through its life cycle, or assign it.

    open → investigating → resolved or false_positive (from open as well) → open again. A reason is
    mandatory for the closing two. With `version` (or If-Match) somebody else's change in between is
    answered by 409.
    """
    if body.version is None:
        body = body.model_copy(update={"version": version_of(if_match)})
    services, change = services_of(request), body.change()
    if change.reason:
        reason = await redacted_text(services.redactors, principal.scope, change.reason)
        change = replace(change, reason=reason)
    detail = await change_signal(services.pool, principal.scope, signal_id, change)
    response.headers["ETag"] = f'"{detail.signal.version}"'
    return SignalDetailBody.of(detail)


async def feed_events(
    services: Services, scope: TenantScope, shown: Shown, *, last_event_id: str | None
) -> AsyncIterator[ServerSentEvent]:
    """Yield what the feed tells of some signals as server-sent events, for STREAM_LIFE_S."""
    try:
        async with asyncio.timeout(STREAM_LIFE_S):
            async for event in services.feed.events(scope, last_event_id=last_event_id):
                if event.signal is None or event.signal.is_shown(shown):
                    yield _server_sent(event)
    except TimeoutError:
        return


def _server_sent(event: SignalEvent) -> ServerSentEvent:
    data = SignalBody.model_validate(event.signal).model_dump_json() if event.signal else "{}"
    return ServerSentEvent(data=data, event=event.change.value, id=event.id)


def _check_range(from_at: datetime | None, to_at: datetime | None) -> None:
    if from_at and to_at and from_at > to_at:
        raise ApiError(400, "request.range", "`from` lies after `to`.")
