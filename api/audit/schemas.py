"""The audit log as JSON and as lines of an export."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from api.audit.service import AuditPage, ShownEntry

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class AuditEntryBody(BaseModel):
    """One row. `times` alike decisions happened from `at` to `until_at`."""

    id: UUID
    at: datetime
    until_at: datetime
    times: int
    actor: str = Field(examples=["user:0b9f…", "key:51c2…", "anonymous"])
    actor_name: str = Field(description="Of a member or key that is there still, else empty.")
    action: str = Field(examples=["rule.changed", "permission.refused"])
    target: str = Field(examples=["rule:large-payments-are-checked"])
    outcome: Literal["allowed", "refused"]
    reason: str
    method: str
    route: str
    address: str
    user_agent: str
    request_id: str
    details: dict[str, str] = Field(
        description="Short facts. `acting`: who acted in the place of `actor`, as the identity "
        "provider says; there whenever somebody did."
    )

    @classmethod
    def of(cls, shown: ShownEntry) -> Self:
        """Return a row as its readers get it."""
        return cls.model_validate({**shown.entry.columns(), "actor_name": shown.actor_name})


class AuditPageBody(BaseModel):
    """One page, newest first."""

    items: list[AuditEntryBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: AuditPage) -> Self:
        """Return a page as its readers get it."""
        return cls(
            items=[AuditEntryBody.of(each) for each in page.items], next_cursor=page.next_cursor
        )


CSV_COLUMNS: Final = tuple(AuditEntryBody.model_fields)


def json_line(shown: ShownEntry) -> str:
    """Return a row as one line of JSON."""
    return AuditEntryBody.of(shown).model_dump_json() + "\n"


def csv_head() -> str:
    """Return the names of the columns as a line of CSV (RFC 4180)."""
    return _csv(CSV_COLUMNS)


def csv_line(shown: ShownEntry) -> str:
    """Return a row as one line of CSV, in which no cell is a formula to a spreadsheet."""
    values = AuditEntryBody.of(shown).model_dump(mode="json")
    details = "; ".join(f"{name}={text}" for name, text in values.pop("details").items())
    return _csv(tuple(guarded(str(value)) for value in (*values.values(), details)))


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _csv(cells: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()
