"""The page of usage: a month's spans, day by day, beside the quota."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Final

from api.tiers.allowance import QUOTA_LABELS, Allowance, Quota, quota_text
from api.usage.model import Usage, month_after, month_of
from api.web.views.moments import Moment, moment

USAGE_HREF: Final = "/settings/usage"


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day. share: percent of the busiest day. label: for those who do not see the bar."""

    number: int
    share: int
    label: str


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """What the tenant may have of something. own: it is not the tier's."""

    label: str
    value: str
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePage:
    """The page. tone: good, warn or bad by how much of the quota is used; empty without one.

    meter: percent for the bar, at most 100. note: what is to be known about the quota.
    """

    month: str
    spans: str
    quota: str
    percent: str
    meter: int
    tone: str
    note: str
    tier: str
    quotas: tuple[QuotaRow, ...]
    bars: tuple[DayBar, ...]
    busiest: str
    counted: Moment | None
    before_href: str
    after_href: str


def usage_page(usage: Usage, allowance: Allowance, *, today: date) -> UsagePage:
    """Return the page of a month. allowance: of now. today: no month after it is offered."""
    days = {used.day.day: used.spans for used in usage.days}
    most = max(days.values(), default=0)
    percent = usage.percent
    following = month_after(usage.month)
    return UsagePage(
        month=f"{usage.month:%B %Y}",
        spans=f"{usage.spans:,}",
        quota="" if usage.quota is None else f"{usage.quota:,}",
        percent="" if percent is None else f"{percent:,} %",
        meter=min(percent or 0, 100),
        tone=_tone(percent),
        note=_note(percent),
        tier=allowance.tier.capitalize(),
        quotas=tuple(quota_row(each) for each in allowance.quotas),
        bars=tuple(
            DayBar(
                number,
                100 * days.get(number, 0) // most if most else 0,
                f"{number} {usage.month:%B}: {days.get(number, 0):,} spans",
            )
            for number in range(1, monthrange(usage.month.year, usage.month.month)[1] + 1)
        ),
        busiest=f"{most:,}",
        counted=moment(usage.counted_at) if usage.counted_at else None,
        before_href=f"{USAGE_HREF}?month={_before(usage.month):%Y-%m}",
        after_href="" if following > today else f"{USAGE_HREF}?month={following:%Y-%m}",
    )


def quota_row(quota: Quota) -> QuotaRow:
    """Return a quota as it is shown."""
    return QuotaRow(QUOTA_LABELS[quota.name], _most(quota), quota.own)


def _most(quota: Quota) -> str:
    if quota.used is not None:
        return f"{quota.used:,}" if quota.most is None else f"{quota.used:,} of {quota.most:,}"
    return quota_text(quota.name, quota.most)


def _tone(percent: int | None) -> str:
    if percent is None:
        return ""
    return "bad" if percent >= 100 else "warn" if percent >= 80 else "good"


def _note(percent: int | None) -> str:
    if percent is None:
        return "There is no quota."
    if percent >= 100:
        return "The quota is used up. Spans are taken and judged all the same; ask your operator."
    if percent >= 80:
        return "Most of the quota is used. Nothing stops when it is used up."
    return "A notice comes at 80, 90 and 100 %. Nothing stops when the quota is used up."


def _before(month: date) -> date:
    return month_of(date.fromordinal(month.toordinal() - 1))
