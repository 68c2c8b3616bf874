"""What one row of the audit log says, and the bytes that stand for it.

A row holds ids in place of names, addresses of mail, texts and secrets. Its canonical bytes are
what a later evidence log chains and signs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID, uuid4

SCHEMA: Final = 1
_LENGTHS: Final[Mapping[str, int]] = {
    "actor": 300,
    "action": 100,
    "target": 300,
    "reason": 300,
    "method": 20,
    "route": 300,
    "address": 100,
    "user_agent": 200,
    "request_id": 64,
}
"""Longer texts are cut: they come from outside, and the table refuses them."""
_DETAIL_LENGTH: Final = 300


class Outcome(StrEnum):
    """How a decision went; a change that was made was allowed."""

    ALLOWED = "allowed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row.

    tenant_id: None where nobody knows whose it is. actor: user:<id>, key:<id>, anonymous,
    operator:<account>, or betrace itself. target: <kind>:<id>. times: so many alike between at and
    until_at, within one minute.
    """

    id: UUID = field(default_factory=uuid4)
    tenant_id: UUID | None
    at: datetime
    until_at: datetime
    times: int = 1
    actor: str
    action: str
    target: str = ""
    outcome: Outcome
    reason: str = ""
    method: str = ""
    route: str = ""
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, length in _LENGTHS.items():
            object.__setattr__(self, name, _plain(getattr(self, name), length))
        details = {key: _plain(text, _DETAIL_LENGTH) for key, text in self.details.items()}
        object.__setattr__(self, "details", details)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table; columns that are not of an entry are passed over."""
        values = {each.name: row[each.name] for each in fields(cls)}
        return cls(**{**values, "outcome": Outcome(row["outcome"])})

    def columns(self) -> dict[str, Any]:
        """Return the values of the row by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def canonical_bytes(entry: Entry) -> bytes:
    """Return the entry as JSON in UTF-8: sorted keys, no spaces, times in UTC to the microsecond.

    The same entry gives the same bytes, read from the table or not.
    """
    values = {name: _canonical(value) for name, value in entry.columns().items()}
    return json.dumps(
        {"schema": SCHEMA, **values}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def _canonical(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case UUID():
            return str(value)
        case _:
            return value


def _plain(text: str, length: int) -> str:
    """Return a text without control characters, which would forge lines, and not too long."""
    if text.isprintable() and len(text) <= length:
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:length])
