"""What a worker takes from the queue of backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from udfs.backtest.rules import GivenRules, LogEntry, heeded
from udfs.backtest.window import Window, reading_around_ms, reading_before_ms

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
        both = [side for side in (now, was) if side is not None]
        settings = now.settings_since(self.from_ms - _LONGEST_LIFE_MS)
        around_ms = max(reading_around_ms(settings, side.rules) for side in both)
        many_ms = max(reading_before_ms(settings, side.many) for side in both)
        return Sides(now, was, Window(self.from_ms, self.to_ms, around_ms, many_ms))

    def over_one_trace(self, sides: Sides) -> list[str]:
        """Return the rules to report that each trace is judged by."""
        many = {rule.id for rule in sides.now.many}
        return [rule_id for rule_id in self.rule_ids if rule_id not in many]

    def over_many_traces(self, sides: Sides) -> list[str]:
        """Return the rules to report that many traces are judged by together."""
        many = {rule.id for rule in sides.now.many}
        return [rule_id for rule_id in self.rule_ids if rule_id in many]


@dataclass(frozen=True, slots=True)
class Sides:
    """The rules that are tried, those they are compared with, and what is read for both.

    With the rules of a side come those whose signals they look at.
    """

    now: GivenRules
    was: GivenRules | None
    window: Window

    @property
    def gather(self) -> bool:
        """Whether some rule looks at many traces, so that all parts are needed together."""
        return any(side.many for side in (self.now, self.was) if side is not None)

    def named(self) -> Mapping[str, GivenRules]:
        """Return the sides by the names under which they are stored."""
        return {"now": self.now} if self.was is None else {"now": self.now, "was": self.was}


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of a backtest: offsets [first, end). log_end_ms: where time ends.

    gathers: none of the log, but the last part, which puts together what the others handed on.
    """

    asked: Asked
    partition: int
    first_offset: int
    end_offset: int
    log_end_ms: int
    attempts: int
    gathers: bool = False

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
            gathers=row["gathers"],
        )

    @property
    def what(self) -> str:
        """What is done, for messages."""
        return "the rules over many traces" if self.gathers else f"partition {self.partition}"

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
