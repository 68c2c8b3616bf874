"""A month of a tenant's spans. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

WARN_AT: Final = (80, 90, 100)
"""Percent of a quota at which somebody is told."""


@dataclass(frozen=True, slots=True)
class UsedDay:
    """The spans of one day in UTC."""

    day: date
    spans: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A month's spans. quota: None: there is none. counted_at: None: nothing was counted yet.

    A quota is for warnings: what goes over it is taken and judged all the same.
    """

    month: date
    days: tuple[UsedDay, ...]
    quota: int | None
    counted_at: datetime | None

    @property
    def spans(self) -> int:
        """All spans of the month."""
        return sum(day.spans for day in self.days)

    @property
    def percent(self) -> int | None:
        """How much of the quota is used, rounded down; None without one."""
        return None if self.quota is None else self.spans * 100 // self.quota

    @property
    def passed(self) -> int | None:
        """The highest of WARN_AT that was reached."""
        percent = self.percent
        if percent is None:
            return None
        return max((each for each in WARN_AT if percent >= each), default=None)


def month_of(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def month_after(month: date) -> date:
    """Return the first day of the month that follows."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def midnight(day: date) -> datetime:
    """Return when a day begins in UTC."""
    return datetime.combine(day, time(), UTC)


def parse_month(text: str) -> date:
    """Return the month of a text such as 2026-11. Raises ValueError for what is none."""
    if len(text) != len("2026-11"):
        raise ValueError(f"{text!r} is no month such as 2026-11")
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise ValueError(f"{text!r} is no month such as 2026-11") from error
