"""Retention as JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.retention.service import Retention
from api.retention.terms import MOST_DAYS, Choices, HoldBy, Kind

_CHOICE: Final[JsonDict] = {"days": {"signals": 365, "dead_letters": 14}}
_RETENTION: Final[JsonDict] = {
    "kinds": [
        {
            "kind": "signals",
            "days": 365,
            "chosen": True,
            "usual": 90,
            "least": 1,
            "most": None,
        }
    ],
    "hold": None,
    "delete_after": None,
    "deleted": [{"what": "signals", "rows": 1_204, "last_day": "2026-11-26"}],
}
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class RetentionChangeBody(BaseModel):
    """days: by kind, "forever" where there is no bound; what is not sent is kept as usual."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CHOICE]})
    days: dict[Kind, Days | Literal["forever"]]

    @property
    def choices(self) -> Choices:
        """What was chosen."""
        return {kind: None if days == "forever" else days for kind, days in self.days.items()}


class KeptBody(BaseModel):
    """How long things of a kind are kept. days, usual: null: for ever. most: null: no bound.

    chosen: by the tenant, within least and most, which the operator sets.
    """

    kind: Kind
    days: int | None
    chosen: bool
    usual: int | None
    least: int
    most: int | None


class HoldBody(BaseModel):
    """Nothing is deleted. by: "operator": who alone lifts that; "tenant": its admins do as well."""

    since: datetime
    by: HoldBy


class DeletedBody(BaseModel):
    """Rows that were deleted in the last 30 days."""

    what: str
    rows: int
    last_day: date


class RetentionBody(BaseModel):
    """How long things are kept, whether a hold keeps them beyond that, and what has gone.

    delete_after: when all of the tenant is deleted, before which nothing goes by its age; null: it
    is not to be.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_RETENTION]})
    kinds: list[KeptBody]
    hold: HoldBody | None
    delete_after: datetime | None
    deleted: list[DeletedBody]

    @classmethod
    def of(cls, retention: Retention) -> Self:
        """Return it as JSON."""
        held = retention.hold
        return cls(
            kinds=[
                KeptBody(
                    kind=each.kind,
                    days=each.days,
                    chosen=each.chosen,
                    usual=each.term.days,
                    least=each.term.least,
                    most=each.term.most,
                )
                for each in retention.times.values()
            ],
            hold=HoldBody(since=held.since, by=held.by) if held else None,
            delete_after=retention.delete_after,
            deleted=[
                DeletedBody(what=each.what, rows=each.row_count, last_day=each.last_day)
                for each in retention.deleted
            ],
        )
