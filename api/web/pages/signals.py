"""The list of signals and its live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.auth.streams import while_allowed
from api.rules.service import every_rule
from api.services import Services, services_of
from api.signals.feed import Change, SignalEvent
from api.signals.folds import Storms, list_storms
from api.signals.model import SignalPage
from api.signals.routes import STREAM_LIFE_S, STREAM_PING_S
from api.signals.service import list_signals, place_of
from api.web.render import render, render_row
from api.web.views.signal_list import SignalQuery, signal_list, signal_row
from api.web.views.words import SHOWN

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
STORMS: Final = 5
"""So many are told of on top of a list."""
Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]


def signal_query(
    status: Annotated[str, Query(max_length=20)] = "",
    severity: Annotated[str, Query(max_length=20)] = "",
    rule_id: Annotated[str, Query(max_length=255)] = "",
    service: Annotated[str, Query(max_length=1_000)] = "",
    shown: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> SignalQuery:
    """Read the filters of the address."""
    return SignalQuery(
        status=status,
        severity=severity,
        rule_id=rule_id,
        service=service.strip(),
        shown=shown if shown in SHOWN else "",
        cursor=cursor,
    )


Chosen = Annotated[SignalQuery, Depends(signal_query)]


@router.get("/signals")
async def signals(request: Request, who: Reader, query: Chosen) -> Response:
    """Show a page of signals."""
    services = services_of(request)
    position = "" if query.cursor else await services.feed.place(who.scope)
    found = await list_signals(
        services.pool, who.scope, query.chosen(), cursor=query.cursor or None, limit=PAGE_SIZE
    )
    rules = await every_rule(services.pool, who.scope)
    page = signal_list(
        found.items,
        query,
        rules={rule.id: str(rule.object.get("name") or rule.id) for rule in rules},
        next_cursor=found.next_cursor or "",
        feed_position=position,
        otlp_url=services.settings.otlp_site,
        storms=await _storms(services, who, query, found),
    )
    return render(request, "signals/list.html", page=page)


async def _storms(
    services: Services, who: Principal, query: SignalQuery, page: SignalPage
) -> Storms:
    """Return the storms of the time that a page of the list covers."""
    chosen = query.folds(
        from_at=page.items[-1].occurred_at if page.next_cursor else None,
        to_at=place_of(query.cursor)[0] if query.cursor else None,
    )
    if chosen is None:
        return Storms()
    return await list_storms(services.pool, who.scope, chosen, limit=STORMS)


@router.get("/live/signals")
async def live_signals(
    request: Request,
    who: Reader,
    query: Chosen,
    after: Annotated[str, Query(max_length=100)] = "",
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Stream rows as they come or change.

    Events: `signal` and `gone` with one <li> each (gone: the list shows it no more), and `reload`.
    """
    events = services_of(request).feed.events(
        who.scope, last_event_id=last_event_id or after or None
    )
    allowed = while_allowed(request, Permission.SIGNALS_READ, events)
    return EventSourceResponse(_rows(allowed, query), ping=STREAM_PING_S)


async def _rows(
    events: AsyncIterator[SignalEvent], query: SignalQuery
) -> AsyncIterator[ServerSentEvent]:
    try:
        async with asyncio.timeout(STREAM_LIFE_S):
            async for event in events:
                yield _message(event, query)
    except TimeoutError:
        return


def _message(event: SignalEvent, query: SignalQuery) -> ServerSentEvent:
    if event.signal is None:
        return ServerSentEvent(data="", event="reload", id=event.id)
    shown = query.admits(event.signal)
    row = render_row(signal_row(event.signal, arrived=event.change is Change.RAISED))
    return ServerSentEvent(data=row, event="signal" if shown else "gone", id=event.id)
