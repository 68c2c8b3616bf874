"""The list of signals and its live stream, saved views, and changes of many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.responses import RedirectResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.auth.access import require
from api.auth.principal import Permission, Principal, UserPrincipal
from api.auth.streams import while_allowed
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.rules.service import every_rule
from api.services import Services, services_of
from api.signals.bulk import change_many, get_bulk_change, take_back
from api.signals.counting import Facets, count_facets
from api.signals.feed import Change, SignalEvent
from api.signals.folds import Storms, list_storms
from api.signals.model import Disposition, GroupKey, SignalFilter, SignalPage, Sort, Status
from api.signals.saved_views import ViewDraft, add_view, list_views, remove_view
from api.signals.service import Keep, SignalChange, assignable_people, list_signals, place_of
from api.signals.streams import STREAM_LIFE_S, STREAM_PING_S, Telling, chunks
from api.web.render import render, render_row
from api.web.views.bulk import NOBODY, BulkBar, Done, bulk_bar, done_view
from api.web.views.links import local_path
from api.web.views.signal_filters import Filters, filters_of, view_href, views_of
from api.web.views.signal_list import Beside, signal_list, signal_row
from api.web.views.signal_query import SORTS, SignalQuery, read_query
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
ROWS_AT_ONCE: Final = 20
"""Nobody reads more in a quarter of a second."""
STORMS: Final = 5
"""So many are told of on top of a list."""
Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.SIGNALS_WRITE))]
_SAID: Final[Mapping[str, Message]] = {
    "saved": good("The view is saved."),
    "removed": good("The view is removed."),
}
_REFUSED: Final[Mapping[str, str]] = {
    "name": "Give the view a name of at most 80 characters.",
    "name_taken": "There is a view with this name already.",
    "too_many": "You have fifty views: remove one of them first.",
    "sharing": "Your role keeps views for yourself alone.",
    "reason_missing": "Say why: resolving and false positives need a reason.",
    "disposition": "This status does not end so: choose another end, or none.",
    "nothing": "Choose what to change: a status or an assignee.",
    "none": "Choose signals first.",
    "assignee": "The assignee is no member of this tenant.",
    "undone": "This change was taken back already.",
}
_FORM_STATUSES: Final = (400, 403, 404, 409)


def signal_query(request: Request) -> SignalQuery:
    """Read the filters of the address."""
    return read_query(request.query_params.multi_items(), sorts=SORTS)


Chosen = Annotated[SignalQuery, Depends(signal_query)]
Bulk = Annotated[str, Query(max_length=40)]
Word = Annotated[str, Query(max_length=20)]
Back = Annotated[str, Form(max_length=3_000)]


@router.get("/signals")
async def signals(
    request: Request,
    who: Reader,
    query: Chosen,
    bulk: Bulk = "",
    done: Word = "",
    refused: Word = "",
) -> Response:
    """Show a page of signals. bulk: the change of many that led here; done, refused: what else."""
    services = services_of(request)
    position = "" if query.cursor or query.sort else await services.feed.place(who.scope)
    chosen = query.chosen(me=me_of(who))
    found = await list_signals(
        services.pool,
        who.scope,
        chosen,
        sort=Sort(query.sort) if query.sort else Sort.NEWEST,
        cursor=query.cursor or None,
        limit=PAGE_SIZE,
    )
    facets = await count_facets(services.pool, who.scope, chosen)
    page = signal_list(
        found.items,
        query,
        beside=Beside(
            filters=await filter_bar(services, who, query, facets, path="/signals", sorts=SORTS),
            bulk=await bulk_of(services, who, query, facets.total, path="/signals"),
            done=await done_of(services, who, bulk),
            message=message_of(done, refused),
        ),
        next_cursor=found.next_cursor or "",
        feed_position=position,
        otlp_url=services.settings.otlp_site,
        storms=await _storms(services, who, query, found),
    )
    return render(request, "signals/list.html", page=page)


async def filter_bar(
    services: Services,
    who: Principal,
    query: SignalQuery,
    facets: Facets,
    *,
    path: str,
    sorts: Mapping[str, str],
) -> Filters:
    """Return the bar of filters with its counts and saved views."""
    rules = await every_rule(services.pool, who.scope)
    views = views_of(
        await list_views(services.pool, who.scope),
        query,
        grouped=path != "/signals",
        actor=who.scope.actor,
        may_share=who.may(Permission.SIGNALS_WRITE),
        may_remove_shared=who.may(Permission.TENANT_WRITE),
    )
    names = {rule.id: str(rule.object.get("name") or rule.id) for rule in rules}
    return filters_of(query, facets, path=path, sorts=sorts, rules=names, views=views)


async def bulk_of(
    services: Services, who: Principal, query: SignalQuery, total: int, *, path: str
) -> BulkBar | None:
    """Return the bar that changes many, None for who may not."""
    if not who.may(Permission.SIGNALS_WRITE):
        return None
    return bulk_bar(
        query=replace(query, cursor="").href("").removeprefix("?"),
        back=query.href(path),
        total=total,
        people=await assignable_people(services.pool, who.scope),
        me=me_of(who),
        grouped=path != "/signals",
    )


async def done_of(services: Services, who: Principal, bulk_id: str) -> Done | None:
    """Return what the change did that led to the page; nothing if it is not known any more."""
    if not bulk_id:
        return None
    try:
        change = await get_bulk_change(services.pool, who.scope, bulk_id)
    except ApiError:
        return None
    return done_view(change, may_write=who.may(Permission.SIGNALS_WRITE))


def message_of(done: str, refused: str) -> Message | None:
    """Return what to say on top of the page."""
    if refused in _REFUSED:
        return bad(_REFUSED[refused])
    return _SAID.get(done)


def me_of(who: Principal) -> str:
    """Return the address of a person, nothing of a machine."""
    return who.email if isinstance(who, UserPrincipal) else ""


async def _storms(
    services: Services, who: Principal, query: SignalQuery, page: SignalPage
) -> Storms:
    """Return the storms of the time that a page of the list covers."""
    if query.sort:
        return Storms()
    chosen = query.folds(
        from_at=page.items[-1].occurred_at if page.next_cursor else None,
        to_at=place_of(query.cursor)[0] if query.cursor else None,
    )
    if chosen is None:
        return Storms()
    return await list_storms(services.pool, who.scope, chosen, limit=STORMS)


@router.post("/signals/bulk")
async def change_selected(
    request: Request,
    who: Writer,
    back: Back = "",
    query: Annotated[str, Form(max_length=3_000)] = "",
    ids: Annotated[list[str] | None, Form(alias="id", max_length=500)] = None,
    groups: Annotated[list[str] | None, Form(alias="pick", max_length=500)] = None,
    which: Annotated[str, Form(max_length=10)] = "",
    status: Annotated[str, Form(max_length=20)] = "",
    disposition: Annotated[str, Form(max_length=20)] = "",
    assignee: Annotated[str, Form(max_length=320)] = "",
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Change the chosen signals or groups, or with which=all whatever the filters show."""
    services = services_of(request)
    place = local_path(back, otherwise="/signals")
    try:
        chosen = _chosen_for_bulk(
            query, ids or (), groups or (), me=me_of(who), every=which == "all"
        )
        change = SignalChange(
            status=next((one for one in Status if one == status), None),
            reason=await redacted_text(services.redactors, who.scope, reason.strip()) or None,
            disposition=next((one for one in Disposition if one == disposition), None),
            assignee=_assignee_of(assignee),
        )
        made = await change_many(services.pool, who.scope, chosen, change)
    except ApiError as error:
        if error.status not in _FORM_STATUSES:
            raise
        return _refuse(place, error)
    return RedirectResponse(_with(place, bulk=made.id), 303)


@router.post("/signals/bulk/{bulk_id}/undo")
async def undo(request: Request, who: Writer, bulk_id: str, back: Back = "") -> Response:
    """Take a change of many back."""
    place = local_path(back, otherwise="/signals")
    try:
        await take_back(services_of(request).pool, who.scope, bulk_id)
    except ApiError as error:
        if error.code != "signals.undone":
            raise
        return _refuse(place, error)
    return RedirectResponse(_with(place, bulk=bulk_id), 303)


@router.post("/signals/views")
async def save_view(
    request: Request,
    who: Reader,
    name: Annotated[str, Form(max_length=200)] = "",
    query: Annotated[str, Form(max_length=3_000)] = "",
    shared: Annotated[bool, Form()] = False,
) -> Response:
    """Keep the filters of a page under a name."""
    place = view_href(query)
    if shared and not who.may(Permission.SIGNALS_WRITE):
        return RedirectResponse(_with(place, refused="sharing"), 303)
    draft = ViewDraft(name=name, query=query, shared=shared)
    try:
        view = await add_view(services_of(request).pool, who.scope, draft)
    except ApiError as error:
        if error.status not in _FORM_STATUSES:
            raise
        return _refuse(place, error)
    return RedirectResponse(_with(view_href(view.query), done="saved"), 303)


@router.post("/signals/views/{view_id}/remove")
async def remove_saved_view(
    request: Request, who: Reader, view_id: str, back: Back = ""
) -> Response:
    """Remove a view."""
    await remove_view(
        services_of(request).pool,
        who.scope,
        view_id,
        may_remove_shared=who.may(Permission.TENANT_WRITE),
    )
    place = local_path(back, otherwise="/signals")
    return RedirectResponse(_with(place, done="removed"), 303)


def _chosen_for_bulk(
    query: str, ids: list[str] | tuple[()], groups: list[str] | tuple[()], *, me: str, every: bool
) -> SignalFilter | list[str]:
    """Return which signals a form means. Raises ApiError 400 if it means none."""
    chosen = read_query(parse_qsl(query)).chosen(me=me)
    if every:
        return chosen
    keys = tuple(key for text in groups if (key := GroupKey.parse(text)))
    if keys:
        return replace(chosen, groups=keys)
    if not ids:
        raise ApiError(400, "signals.none", _REFUSED["none"])
    return list(ids)


def _assignee_of(text: str) -> str | Keep | None:
    if not text.strip():
        return Keep.AS_IS
    return None if text == NOBODY else text.strip()


def _refuse(place: str, error: ApiError) -> Response:
    """Go back and say what was refused; where there are no words for it, raise."""
    word = error.code.rpartition(".")[2]
    if word not in _REFUSED:
        raise error
    return RedirectResponse(_with(place, refused=word), 303)


def _with(place: str, **said: str) -> str:
    """Return an address with what to say there, and without what was said before."""
    path, _, query = place.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in _SAYS]
    return f"{path}?{'&'.join([*kept, *(f'{name}={word}' for name, word in said.items())])}"


_SAYS: Final = frozenset({"bulk", "done", "refused"})


@router.get("/live/signals")
async def live_signals(
    request: Request,
    who: Reader,
    query: Chosen,
    after: Annotated[str, Query(max_length=100)] = "",
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Stream rows as they come or change.

    Events: `signal` and `gone` with one <li> each (gone: the list shows it no more), `more` with
    the number of those that came at once and are not told one by one, and `reload`.
    """
    chosen = query.chosen(me=me_of(who))
    selectable = who.may(Permission.SIGNALS_WRITE)
    telling = Telling(
        key=("row", chosen, selectable),
        wanted=lambda _: True,
        write=lambda event: _message(event, chosen, selectable=selectable),
        most=ROWS_AT_ONCE,
    )
    batches = services_of(request).feed.batches(
        who.scope, last_event_id=last_event_id or after or None
    )
    rows = chunks(batches, telling, life_s=STREAM_LIFE_S)
    allowed = while_allowed(request, Permission.SIGNALS_READ, rows)
    return EventSourceResponse(allowed, ping=STREAM_PING_S)


def _message(event: SignalEvent, chosen: SignalFilter, *, selectable: bool) -> ServerSentEvent:
    if event.signal is None:
        return ServerSentEvent(data="", event="reload", id=event.id)
    arrived = event.change is Change.RAISED
    row = render_row(signal_row(event.signal, arrived=arrived, selectable=selectable))
    name = "signal" if chosen.admits(event.signal) else "gone"
    return ServerSentEvent(data=row, event=name, id=event.id)
