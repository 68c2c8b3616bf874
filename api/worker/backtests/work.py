"""What a worker takes from the queue of backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from udfs.backtest.rules import GivenRules, LogEntry, heeded
from udfs.backtest.window import Window, reading_around_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_LIFE_MS = 3 * 24 * 60 * 60 * 1000
"""Settings that were in force so long before a range no longer matter to it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A backtest as it was requested.

    now_records, was_records: RuleLogRecords of the two sides; the second may be empty.
    """

    tenant: str
    id: str
    from_ms: int
    to_ms: int
    rules: Sequence[Mapping[str, Any]]
    now_records: Sequence[bytes]
    was_records: Sequence[bytes]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Asked:
        """Read a row that has the columns of the request."""
        return cls(
            tenant=str(row["tenant_id"]),
            id=str(row["id"]),
            from_ms=to_ms(row["from_at"]),
            to_ms=to_ms(row["to_at"]),
            rules=row["rules"],
            now_records=[bytes(record) for record in row["now_records"]],
            was_records=[bytes(record) for record in row["was_records"]],
        )

    @property
    def key(self) -> dict[str, str]:
        """The names of its row, as parameters."""
        return {"tenant_id": self.tenant, "id": self.id}

    @property
    def rule_ids(self) -> list[str]:
        """The rules to report about."""
        return [str(rule["id"]) for rule in self.rules]

    @property
    def compared_ids(self) -> list[str]:
        """Those of which there is an earlier version to compare with."""
        return [str(rule["id"]) for rule in self.rules if rule["was"]]

    def sides(self, log: Sequence[LogEntry]) -> Sides:
        """Return the rule books of both sides. log: the rules log. Raises RuleRefused."""
        entries = heeded(log, tenant=self.tenant)
        now = GivenRules(self.now_records, entries, tenant=self.tenant)
        was = None
        if self.was_records:
            was = GivenRules(self.was_records, entries, tenant=self.tenant)
        around_ms = max(
            reading_around_ms(side.settings_since(self.from_ms - _LONGEST_LIFE_MS), side.rules)
            for side in (now, was)
            if side is not None
        )
        return Sides(now, was, Window(self.from_ms, self.to_ms, around_ms))


@dataclass(frozen=True, slots=True)
class Sides:
    """The rules that are tried, those they are compared with, and what is read for both."""

    now: GivenRules
    was: GivenRules | None
    window: Window


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of a backtest: offsets [first, end). log_end_ms: where time ends."""

    asked: Asked
    partition: int
    first_offset: int
    end_offset: int
    log_end_ms: int
    attempts: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Part:
        """Read a claimed row."""
        return cls(
            asked=Asked.from_row(row),
            partition=row["partition"],
            first_offset=row["first_offset"],
            end_offset=row["end_offset"],
            log_end_ms=to_ms(row["log_end_at"]),
            attempts=row["attempts"],
        )

    @property
    def key(self) -> dict[str, object]:
        """The names of its row, as parameters."""
        return {**self.asked.key, "partition": self.partition}


def to_ms(at: datetime) -> int:
    """Return a time as whole ms since the epoch."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(time_ms: int) -> datetime:
    """Return ms since the epoch as a time."""
    return _EPOCH + timedelta(milliseconds=time_ms)
