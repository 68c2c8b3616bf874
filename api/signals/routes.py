"""/signals: lists, one signal, its changes, and the live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import AwareDatetime, StringConstraints
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.auth.access import require
from api.auth.principal import Permission, Principal, TenantScope
from api.auth.streams import while_allowed
from api.compact import compact_json
from api.etags import version_of
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.services import Services, services_of
from api.signals.comparison import compare
from api.signals.feed import SignalEvent
from api.signals.folds import FoldFilter, list_folds
from api.signals.model import (
    GroupKey,
    Severity,
    Shown,
    SignalFilter,
    Sort,
    Status,
    VerdictName,
)
from api.signals.notes import PAGE_MAX as NOTES_MAX
from api.signals.related import link_signals, related_signals, unlink_signals
from api.signals.schemas import (
    ComparisonBody,
    FoldPageBody,
    NoteBody,
    NotePageBody,
    NoteTextBody,
    RelatedBody,
    SignalBody,
    SignalChangeBody,
    SignalDetailBody,
    SignalPageBody,
)
from api.signals.service import (
    PAGE_MAX,
    change_signal,
    get_signal,
    list_signals,
    trace_of_signal,
)
from api.signals.streams import STREAM_LIFE_S, STREAM_PING_S, Telling, chunks
from api.signals.traces import drawn_trace
from api.traces.answers import (
    Failed,
    First,
    Limit,
    Ordinal,
    Text,
    found_answer,
    rows_answer,
)
from api.traces.layouts import FOUND_MAX, read_span
from api.traces.schemas import FoundRowsBody, RowsBody, SpanBody

router = APIRouter(prefix="/signals", tags=["signals"])

Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.SIGNALS_WRITE))]


RuleId = Annotated[str, StringConstraints(max_length=255)]
Address = Annotated[str, StringConstraints(max_length=320)]
Tag = Annotated[str, StringConstraints(max_length=255)]
GroupText = Annotated[str, StringConstraints(max_length=300)]
ShownQuery = Annotated[
    Shown,
    Query(
        description="`alerts`, what `shadow` rules say, what is silenced by exceptions "
        "and snoozes (`excepted`), or `all`."
    ),
]


def signal_filter(
    shown: ShownQuery = Shown.ALERTS,
    rule_id: Annotated[list[RuleId] | None, Query()] = None,
    status: Annotated[list[Status] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    assignee: Annotated[
        list[Address] | None, Query(description="Addresses; empty: signals that nobody has.")
    ] = None,
    tag: Annotated[list[Tag] | None, Query()] = None,
    group: Annotated[
        list[GroupText] | None, Query(description="As signals and groups name theirs.")
    ] = None,
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
        rule_ids=tuple(rule_id or ()),
        statuses=tuple(status or ()),
        severities=tuple(severity or ()),
        assignees=tuple(assignee or ()),
        tags=tuple(tag or ()),
        groups=tuple(_group(text) for text in group or ()),
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
    sort: Annotated[Sort, Query()] = Sort.NEWEST,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> SignalPageBody:
    """List signals, newest first unless asked for otherwise.

    Of storms the first ones are here, the others in `folds`.
    """
    page = await list_signals(
        services_of(request).pool, principal.scope, chosen, sort=sort, cursor=cursor, limit=limit
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
    most: Annotated[
        int | None,
        Query(
            ge=1,
            le=1_000,
            description="Of what happens at once at most so many: the last ones, after an event "
            "`more` whose data say how many were left out (`count`). Without, all.",
        ),
    ] = None,
) -> EventSourceResponse:
    """Stream changes as server-sent events `raised`, `changed` (data: the signal) and `reload`.

    A signal that alerts only later, when its exceptions have been asked, is `raised` then.

    With the id of the last event seen, what happened in between comes first. `reload` says that
    this is too long ago to tell. Without one, an id by itself is sent before the first event, so
    that nothing is missed of what happens while a connection is made again.
    """
    events = feed_events(
        services_of(request),
        principal.scope,
        shown,
        last_event_id=last_event_id or since,
        most=most,
    )
    allowed = while_allowed(request, Permission.SIGNALS_READ, events)
    return EventSourceResponse(allowed, ping=STREAM_PING_S)


@router.get("/{signal_id}")
async def read_signal(
    request: Request,
    response: Response,
    principal: Reader,
    signal_id: str,
    with_spans: Annotated[
        bool,
        Query(alias="spans", description="Whether to tell the spans: `false` for large traces."),
    ] = True,
) -> SignalDetailBody:
    """Return one signal with its explanation, history and the spans of its trace."""
    detail = await get_signal(
        services_of(request).pool, principal.scope, signal_id, with_spans=with_spans
    )
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
    mandatory for the closing two, a disposition is welcome. With `version` (or If-Match) somebody
    else's change in between is answered by 409.
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


@router.get("/{signal_id}/rows", response_model=RowsBody)
async def read_rows(
    request: Request, principal: Reader, signal_id: str, first: First = 0, limit: Limit = 1_000
) -> Response:
    """Return a stretch of the rows of a signal's trace, marked by its clauses, with ghosts.

    A ghost is a row without a span: where a clause of the rule missed one.
    """
    services = services_of(request)
    _, drawn = await drawn_trace(services.pool, services.layouts, principal.scope, signal_id)
    return compact_json(request, rows_answer(drawn, first=first, limit=limit))


@router.get("/{signal_id}/rows/search")
async def search_rows(
    request: Request, principal: Reader, signal_id: str, text: Text = "", failed: Failed = False
) -> FoundRowsBody:
    """Return the numbers of the rows whose spans hold a text, or failed."""
    services = services_of(request)
    layouts = services.layouts
    trace_id, drawn = await drawn_trace(services.pool, layouts, principal.scope, signal_id)
    if failed:
        return FoundRowsBody.model_validate(found_answer(list(drawn.failed())))
    found = await layouts.find(principal.scope, trace_id, text, limit=FOUND_MAX + 1)
    return FoundRowsBody.model_validate(found_answer([drawn.drawn_row(row) for row in found]))


@router.get("/{signal_id}/spans/{ordinal}")
async def read_one_span(
    request: Request, principal: Reader, signal_id: str, ordinal: Ordinal
) -> SpanBody:
    """Return one span of the signal's trace with attributes, events and links."""
    pool = services_of(request).pool
    trace_id, _, _ = await trace_of_signal(pool, principal.scope, signal_id)
    return SpanBody.model_validate(await read_span(pool, principal.scope, trace_id, ordinal))


@router.get("/{signal_id}/comparison")
async def read_comparison(request: Request, principal: Reader, signal_id: str) -> ComparisonBody:
    """Compare the signal's trace with a stored one of the same root that kept the promise."""
    services = services_of(request)
    compared = await compare(services.pool, services.layouts, principal.scope, signal_id)
    return ComparisonBody.of(compared)


@router.get("/{signal_id}/related")
async def read_related(request: Request, principal: Reader, signal_id: str) -> RelatedBody:
    """List signals that were linked to one, are about its trace, or are of its group."""
    found = await related_signals(services_of(request).pool, principal.scope, signal_id)
    return RelatedBody.model_validate(found)


@router.put("/{signal_id}/links/{other_id}")
async def link_signal(
    request: Request, principal: Writer, signal_id: str, other_id: str
) -> RelatedBody:
    """Say that two signals belong together. It counts for both, and stands in both histories."""
    found = await link_signals(services_of(request).pool, principal.scope, signal_id, other_id)
    return RelatedBody.model_validate(found)


@router.delete("/{signal_id}/links/{other_id}")
async def unlink_signal(
    request: Request, principal: Writer, signal_id: str, other_id: str
) -> RelatedBody:
    """Take a link back."""
    found = await unlink_signals(services_of(request).pool, principal.scope, signal_id, other_id)
    return RelatedBody.model_validate(found)


@router.get("/{signal_id}/notes")
async def read_notes(
    request: Request,
    principal: Reader,
    signal_id: str,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=NOTES_MAX)] = 50,
) -> NotePageBody:
    """List the notes of a signal, newest first."""
    page = await services_of(request).notes.page(
        principal.scope, signal_id, cursor=cursor, limit=limit
    )
    return NotePageBody(
        items=[NoteBody.of(note) for note in page.items], next_cursor=page.next_cursor
    )


@router.post("/{signal_id}/notes", status_code=201)
async def add_note(
    request: Request, response: Response, principal: Writer, signal_id: str, body: NoteTextBody
) -> NoteBody:
    """Write a note on a signal, in Markdown."""
    note = await services_of(request).notes.add(principal.scope, signal_id, body.text)
    response.headers["ETag"] = f'"{note.version}"'
    return NoteBody.of(note)


@router.put("/{signal_id}/notes/{note_id}")
async def change_note(
    request: Request,
    response: Response,
    principal: Writer,
    signal_id: str,
    note_id: str,
    body: NoteTextBody,
    if_match: Annotated[str | None, Header()] = None,
) -> NoteBody:
    """Correct a note of one's own. With If-Match a change in between is answered by 409."""
    note = await services_of(request).notes.change(
        principal.scope, signal_id, note_id, body.text, version=version_of(if_match)
    )
    response.headers["ETag"] = f'"{note.version}"'
    return NoteBody.of(note)


@router.delete("/{signal_id}/notes/{note_id}")
async def remove_note(
    request: Request,
    principal: Writer,
    signal_id: str,
    note_id: str,
    if_match: Annotated[str | None, Header()] = None,
) -> NoteBody:
    """Take the text of a note of one's own away; that there was one stays."""
    note = await services_of(request).notes.remove(
        principal.scope, signal_id, note_id, version=version_of(if_match)
    )
    return NoteBody.of(note)


async def feed_events(
    services: Services,
    scope: TenantScope,
    shown: Shown,
    *,
    last_event_id: str | None,
    most: int | None = None,
) -> AsyncIterator[bytes]:
    """Yield what the feed tells of some signals as server-sent events, for STREAM_LIFE_S.

    last_event_id: where to go on; None: now, and the id of that is told before anything happens.
    most: of what happens at once, the last ones; None: all.
    """
    if last_event_id is None:
        last_event_id = await services.feed.place(scope)
        yield ServerSentEvent(id=last_event_id).encode()
    telling = Telling(
        key=("json", shown, most),
        wanted=lambda signal: signal.is_shown(shown),
        write=_server_sent,
        most=most,
    )
    batches = services.feed.batches(scope, last_event_id=last_event_id)
    async for chunk in chunks(batches, telling, life_s=STREAM_LIFE_S):
        yield chunk


def _server_sent(event: SignalEvent) -> ServerSentEvent:
    data = SignalBody.model_validate(event.signal).model_dump_json() if event.signal else "{}"
    return ServerSentEvent(data=data, event=event.change.value, id=event.id)


def _group(text: str) -> GroupKey:
    found = GroupKey.parse(text)
    if found is None:
        raise ApiError(400, "signals.group", "A group is 32 hex digits, or `rule:` and a rule id.")
    return found


def _check_range(from_at: datetime | None, to_at: datetime | None) -> None:
    if from_at and to_at and from_at > to_at:
        raise ApiError(400, "request.range", "`from` lies after `to`.")
