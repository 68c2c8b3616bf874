"""Signals that are not kept one by one: what the job folded of storms, by minute and by storm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.signals.model import Severity

EXAMPLES: Final = 5
STORM_GAP: Final = timedelta(minutes=5)
"""After so long without a folded signal, the next one begins a storm of its own."""


@dataclass(frozen=True, slots=True)
class Example:
    """A trace whose signal was folded. copied: whether it can be read, as other signals' copy."""

    trace_id: str
    copied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What was folded, in numbers.

    raised: traces that broke the promise; withdrawn, renewed: how often one did no longer, and did
    again. first_at, last_at: event times of the first and last of those raised.
    """

    rule_id: str
    rule_name: str
    severity: Severity
    raised: int
    renewed: int
    withdrawn: int
    first_at: datetime | None
    last_at: datetime | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedMinute(Folded):
    """What was folded of one version of a rule in one minute of event time."""

    rule_version: int
    minute: datetime
    shadow: bool


@dataclass(frozen=True, slots=True)
class FoldPage:
    """A page of minutes, newest first, and where the next begins."""

    items: tuple[FoldedMinute, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Storms:
    """The latest storms of some rules. total: what all of them folded, listed here or not."""

    items: tuple[Folded, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFilter:
    """Which to look at; None and empty mean any. from_at, to_at: a half-open range of time."""

    rule_id: str | None = None
    severities: tuple[Severity, ...] = ()
    from_at: datetime | None = None
    to_at: datetime | None = None

    def asked(self) -> dict[str, Any]:
        """Return the parameters of the queries."""
        return {
            "rule_id": self.rule_id,
            "severities": [severity.value for severity in self.severities] or None,
            "from_at": self.from_at,
            "to_at": self.to_at,
        }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ends."""

    before_at: datetime | None = None
    before_rule_id: str | None = None
    before_version: int | None = None

    @classmethod
    def of(cls, cursor: str) -> Self:
        return cls(*decode_cursor(cursor, datetime, str, int))


async def list_folds(
    pool: Pool,
    scope: TenantScope,
    chosen: FoldFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> FoldPage:
    """Return one page of minutes in which signals were folded, newest first.

    The range is of the minutes' beginnings. Raises ApiError 400 for a cursor that is none.
    """
    place = _Place.of(cursor) if cursor else _Place()
    async with tenant_transaction(pool, scope) as connection:
        found = queries("folds").page(
            connection,
            **chosen.asked(),
            before_at=place.before_at,
            before_rule_id=place.before_rule_id,
            before_version=place.before_version,
            examples=EXAMPLES,
            limit=limit + 1,
        )
        rows = [row async for row in found]
        copied = await _copied(connection, rows)
    minutes = tuple(_minute(row, copied) for row in rows[:limit])
    return FoldPage(minutes, _cursor(minutes[-1]) if len(rows) > limit else None)


async def list_storms(pool: Pool, scope: TenantScope, chosen: FoldFilter, *, limit: int) -> Storms:
    """Return the latest storms. A minute lies in the range by the last signal that it folded."""
    async with tenant_transaction(pool, scope) as connection:
        found = queries("folds").storms(
            connection, **chosen.asked(), gap=STORM_GAP, examples=EXAMPLES, limit=limit
        )
        rows = [row async for row in found]
        copied = await _copied(connection, rows)
    total = rows[0]["total"] if rows else 0
    return Storms(tuple(Folded(**_numbers(row, copied)) for row in rows), total)


async def _copied(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return which of the examples can be read."""
    named = {bytes(trace_id) for row in rows for trace_id in row["example_trace_ids"]}
    if not named:
        return frozenset()
    found = queries("traces").copied(connection, trace_ids=sorted(named))
    return frozenset([bytes(row["trace_id"]).hex() async for row in found])


def _minute(row: Mapping[str, Any], copied: frozenset[str]) -> FoldedMinute:
    return FoldedMinute(
        **_numbers(row, copied),
        rule_version=row["rule_version"],
        minute=row["minute"],
        shadow=row["shadow"],
    )


def _numbers(row: Mapping[str, Any], copied: frozenset[str]) -> dict[str, Any]:
    names = [bytes(trace_id).hex() for trace_id in row["example_trace_ids"]]
    plain = ("rule_id", "rule_name", "raised", "renewed", "withdrawn", "first_at", "last_at")
    return {
        **{name: row[name] for name in plain},
        "severity": Severity(row["severity"]),
        "examples": tuple(Example(name, name in copied) for name in names),
    }


def _cursor(last: FoldedMinute) -> str:
    return encode_cursor(last.minute, last.rule_id, last.rule_version)
