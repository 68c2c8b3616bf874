"""The page about all of a tenant's data: taking it along, and having it deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from api.exports.kinds import KINDS
from api.tenants.deletion import Deletion
from api.web.views.moments import Moment, minute_moment, moment
from api.web.views.words import Message

DATA_HREF: Final = "/settings/data"
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kept": "The tenant is kept. It takes spans again, and its rules are on again as before.",
        "asked": "It is on its way out. Nothing is deleted yet.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPage:
    """The page.

    due: None: the tenant is kept. held: nothing is deleted until the hold is lifted. asked_by:
    whoever asked. may_…: else only told about. fresh: they signed in a moment ago. typed: what was
    refused as a name.
    """

    title: str
    kinds: tuple[str, ...]
    grace: str
    due: Moment | None
    held: bool
    asked: Moment | None
    asked_by: str
    may_export: bool
    may_delete: bool
    fresh: bool
    typed: str
    message: Message | None


def data_page(
    deletion: Deletion,
    *,
    grace: timedelta,
    may_export: bool,
    may_delete: bool,
    fresh: bool,
    typed: str = "",
    message: Message | None = None,
) -> DataPage:
    """Return the page. grace: of a deletion that is asked for now."""
    return DataPage(
        title=deletion.title,
        kinds=tuple(kind.what for kind in KINDS),
        grace=_days(grace),
        due=minute_moment(deletion.due_at) if deletion.due_at else None,
        held=deletion.held_by is not None,
        asked=moment(deletion.asked_at) if deletion.asked_at else None,
        asked_by=deletion.asker or deletion.asked_by or "",
        may_export=may_export,
        may_delete=may_delete,
        fresh=fresh,
        typed=typed,
        message=message,
    )


def _days(grace: timedelta) -> str:
    return "at once" if not grace.days else f"in {grace.days} day{'s' if grace.days > 1 else ''}"
