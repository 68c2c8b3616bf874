"""The home of an SRE: what does not work, the figures, groups of signals, and what is trending."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from api.services import services_of
from api.signals.correlation import read_incidents
from api.signals.counting import GroupSort, count_facets, home_figures, list_groups
from api.signals.trending import read_trends
from api.web.pages.signals import (
    Bulk,
    Reader,
    Word,
    bulk_of,
    done_of,
    filter_bar,
    me_of,
    message_of,
)
from api.web.render import render
from api.web.views.home import HomeData, home_page
from api.web.views.signal_list import Beside
from api.web.views.signal_query import GROUP_SORTS, SignalQuery, read_query

router = APIRouter(include_in_schema=False)

GROUPS: Final = 25
PATH: Final = "/home"


def group_query(request: Request) -> SignalQuery:
    """Read the filters of the address, with the orders that groups have."""
    return read_query(request.query_params.multi_items(), sorts=GROUP_SORTS)


Chosen = Annotated[SignalQuery, Depends(group_query)]


@router.get(PATH)
async def home(
    request: Request,
    who: Reader,
    query: Chosen,
    bulk: Bulk = "",
    done: Word = "",
    refused: Word = "",
) -> Response:
    """Show figures and a page of groups. bulk: the change of many that led here."""
    services, scope = services_of(request), who.scope
    chosen = query.chosen(me=me_of(who))
    facets = await count_facets(services.pool, scope, chosen)
    data = HomeData(
        troubles=await services.condition.troubles(scope),
        figures=await home_figures(services.pool, scope),
        groups=await list_groups(
            services.pool,
            scope,
            chosen,
            sort=GroupSort(query.sort) if query.sort else GroupSort.LAST_SEEN,
            cursor=query.cursor or None,
            limit=GROUPS,
        ),
        trends=await read_trends(services.pool, scope),
        incidents=await read_incidents(services.pool, scope),
        facets=facets,
        otlp_url=services.settings.otlp_site,
    )
    beside = Beside(
        filters=await filter_bar(services, who, query, facets, path=PATH, sorts=GROUP_SORTS),
        bulk=await bulk_of(services, who, query, facets.total, path=PATH),
        done=await done_of(services, who, bulk),
        message=message_of(done, refused),
    )
    return render(request, "home/page.html", page=home_page(data, query, beside=beside))
