"""/signals/facets, groups, figures, trending, views and bulk: many signals at a glance and at once.

Their addresses come before `/signals/{signal_id}`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.etags import version_of
from api.problems import ApiError
from api.redaction.service import redacted_text
from api.services import services_of
from api.signals.bulk import change_many, take_back
from api.signals.correlation import read_incidents
from api.signals.counting import (
    GROUPS_MAX,
    GroupSort,
    count_facets,
    home_figures,
    list_groups,
)
from api.signals.model import SignalFilter
from api.signals.overview_schemas import (
    BulkBody,
    BulkChangeBody,
    FacetsBody,
    FiguresBody,
    GroupBody,
    GroupPageBody,
    IncidentBody,
    IncidentsBody,
    TrendsBody,
    UndoneBody,
    ViewBody,
    ViewDraftBody,
    ViewListBody,
)
from api.signals.routes import signal_filter
from api.signals.saved_views import add_view, change_view, list_views, remove_view
from api.signals.trending import read_trends

router = APIRouter(prefix="/signals", tags=["signals"])

Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.SIGNALS_WRITE))]
Chosen = Annotated[SignalFilter, Depends(signal_filter)]


@router.get("/facets")
async def read_facets(request: Request, principal: Reader, chosen: Chosen) -> FacetsBody:
    """Count the signals that the filters show, and those that each value of a filter would."""
    _refuse_what_is_not_counted(chosen)
    return FacetsBody.of(await count_facets(services_of(request).pool, principal.scope, chosen))


@router.get("/groups")
async def read_groups(
    request: Request,
    principal: Reader,
    chosen: Chosen,
    sort: Annotated[GroupSort, Query()] = GroupSort.LAST_SEEN,
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
    limit: Annotated[int, Query(ge=1, le=GROUPS_MAX)] = 50,
) -> GroupPageBody:
    """List groups of signals: those of one rule that have its `group_by` in common."""
    _refuse_what_is_not_counted(chosen)
    page = await list_groups(
        services_of(request).pool,
        principal.scope,
        chosen,
        sort=sort,
        cursor=cursor,
        limit=limit,
    )
    return GroupPageBody(
        items=[GroupBody.of(group) for group in page.items],
        next_cursor=page.next_cursor,
        total=page.total,
    )


@router.get("/figures")
async def read_figures(request: Request, principal: Reader) -> FiguresBody:
    """Return what is open and critical, what came in the last day, and how long resolving takes."""
    found = await home_figures(services_of(request).pool, principal.scope)
    return FiguresBody.model_validate(found)


@router.get("/trending")
async def read_trending(
    request: Request,
    principal: Reader,
    hours: Annotated[int, Query(ge=1, le=24)] = 1,
) -> TrendsBody:
    """List rules and services that raise more signals than in the same hours of 14 days before."""
    found = await read_trends(services_of(request).pool, principal.scope, hours=hours)
    return TrendsBody.model_validate(found)


@router.get("/incidents")
async def read_joined(request: Request, principal: Reader) -> IncidentsBody:
    """List unresolved signals of the last day that share a trace, a deploy, or service and time.

    The newest 500 are looked at.
    """
    found = await read_incidents(services_of(request).pool, principal.scope)
    return IncidentsBody(items=[IncidentBody.of(incident) for incident in found])


@router.post("/bulk")
async def change_signals(
    request: Request, principal: Writer, chosen: Chosen, body: BulkBody
) -> BulkChangeBody:
    """Change many signals: those with the ids, or without ids the newest that the query shows.

    At most 2,000 at once, in one transaction. A change can be taken back for a day.
    """
    services, change = services_of(request), body.change()
    if change.reason:
        reason = await redacted_text(services.redactors, principal.scope, change.reason)
        change = replace(change, reason=reason)
    made = await change_many(
        services.pool, principal.scope, chosen if body.ids is None else body.ids, change
    )
    return BulkChangeBody.of(made)


@router.post("/bulk/{bulk_id}/undo")
async def undo_change(request: Request, principal: Writer, bulk_id: str) -> UndoneBody:
    """Take a change of many back, where nobody has changed the signal since."""
    done = await take_back(services_of(request).pool, principal.scope, bulk_id)
    return UndoneBody.model_validate(done)


@router.get("/views")
async def read_views(request: Request, principal: Reader) -> ViewListBody:
    """List one's own saved views and those of all."""
    return ViewListBody.of(await list_views(services_of(request).pool, principal.scope))


@router.post("/views", status_code=201)
async def save_view(
    request: Request, response: Response, principal: Reader, body: ViewDraftBody
) -> ViewBody:
    """Keep filters and order under a name."""
    _check_sharing(principal, body)
    view = await add_view(services_of(request).pool, principal.scope, body.draft())
    response.headers["ETag"] = f'"{view.version}"'
    return ViewBody.model_validate(view)


@router.put("/views/{view_id}")
async def put_view(
    request: Request,
    response: Response,
    principal: Reader,
    view_id: str,
    body: ViewDraftBody,
    if_match: Annotated[str | None, Header()] = None,
) -> ViewBody:
    """Change a view of one's own. With If-Match a change in between is answered by 409."""
    _check_sharing(principal, body)
    view = await change_view(
        services_of(request).pool,
        principal.scope,
        view_id,
        body.draft(),
        version=version_of(if_match),
    )
    response.headers["ETag"] = f'"{view.version}"'
    return ViewBody.model_validate(view)


@router.delete("/views/{view_id}", status_code=204)
async def delete_view(request: Request, principal: Reader, view_id: str) -> None:
    """Remove a view of one's own; with `tenant.write` also one of all."""
    await remove_view(
        services_of(request).pool,
        principal.scope,
        view_id,
        may_remove_shared=principal.may(Permission.TENANT_WRITE),
    )


def _check_sharing(principal: Principal, body: ViewDraftBody) -> None:
    if body.shared and not principal.may(Permission.SIGNALS_WRITE):
        raise ApiError(
            403, "view.sharing", "Who may not change signals keeps views for themselves alone."
        )


def _refuse_what_is_not_counted(chosen: SignalFilter) -> None:
    if chosen.verdicts or chosen.trace_id:
        raise ApiError(
            400, "signals.not_counted", "Signals are not counted by verdict or by trace."
        )
