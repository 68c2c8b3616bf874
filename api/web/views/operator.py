"""The operator's pages: the list of tenants, one of them, and a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from api.operators.overview import OverviewPage, TenantInNumbers
from api.retention.service import Retention
from api.retention.terms import FOREVER, Kept, Kind, Term, days_text
from api.tiers.allowance import QUOTA_LABELS, quota_text
from api.tiers.model import Tier
from api.web.views.addresses import with_query
from api.web.views.moments import Moment, minute_moment, moment
from api.web.views.retention import KIND_LABELS
from api.web.views.words import Choice, Message, choices

OPERATOR_HREF: Final = "/operator"
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "suspended": "The tenant is suspended: nobody of it gets in, and no spans are taken.",
        "resumed": "The tenant goes on.",
        "tier": "The tenant has its new tier, within five seconds everywhere.",
        "quotas": "The quotas are set, within five seconds everywhere.",
        "bounds": "The times are set. What is over now is deleted within some hours.",
        "held": "Nothing of the tenant is deleted until the hold is lifted.",
        "released": "The hold is lifted. What is over is deleted again.",
    }
)
_AS_TIER: Final = ""
_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant in the list. name: empty if it is the title. quota: in words, empty without one.

    last_*: None: never.
    """

    href: str
    title: str
    name: str
    tier: str
    chips: tuple[tuple[str, str], ...]
    spans: str
    quota: str
    rules: str
    quarantined: str
    members: str
    last_span: Moment | None
    last_signal: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantsPage:
    """The list. sought: what the names are filtered by."""

    operator: str
    csrf_token: str
    rows: tuple[TenantRow, ...]
    sought: str
    older_href: str


@dataclass(frozen=True, slots=True)
class QuotaField:
    """A quota: empty is as the tier, whose number stands in grey."""

    name: str
    label: str
    value: str
    of_tier: str


@dataclass(frozen=True, slots=True)
class BoundsField:
    """How long things of a kind may be kept. now: what holds, in words. usual: of the tier."""

    name: str
    label: str
    now: str
    days: str
    least: str
    most: str
    usual: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTenantPage:
    """A tenant. due: when all of it is deleted, None: it is kept. held_by: empty: nobody."""

    operator: str
    csrf_token: str
    row: TenantRow
    id: str
    path: str
    created: Moment
    suspended: Moment | None
    due: Moment | None
    held: Moment | None
    held_by: str
    tiers: tuple[Choice, ...]
    quotas: tuple[QuotaField, ...]
    bounds: tuple[BoundsField, ...]
    message: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenantPage:
    """The form for a new tenant; key, link: of one just made, shown this once."""

    operator: str
    csrf_token: str
    name: str
    admin: str
    tiers: tuple[Choice, ...]
    message: Message | None = None
    made_href: str = ""
    key: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class OperatorSignIn:
    """The form to sign in with a key."""

    message: Message | None = None


def tenants_page(page: OverviewPage, *, operator: str, csrf_token: str, sought: str) -> TenantsPage:
    """Return the list."""
    cursor = page.next_cursor
    return TenantsPage(
        operator=operator,
        csrf_token=csrf_token,
        rows=tuple(_row(each) for each in page.items),
        sought=sought,
        older_href=with_query(OPERATOR_HREF, {"q": sought, "cursor": cursor}) if cursor else "",
    )


def one_tenant_page(
    tenant: TenantInNumbers,
    retention: Retention,
    tiers: Sequence[Tier],
    *,
    operator: str,
    csrf_token: str,
    message: Message | None = None,
) -> OneTenantPage:
    """Return the page of a tenant."""
    tier = next(each for each in tiers if each.name == tenant.tier)
    return OneTenantPage(
        operator=operator,
        csrf_token=csrf_token,
        row=_row(tenant),
        id=str(tenant.id),
        path=tenant_href(tenant.id),
        created=moment(tenant.created_at),
        suspended=_moment(tenant.suspended_at),
        due=_minute(tenant.delete_after),
        held=_minute(tenant.held_at),
        held_by=tenant.held_by or "",
        tiers=tier_choices(tiers, tenant.tier),
        quotas=tuple(_quota(name, tenant, tier) for name in QUOTA_LABELS),
        bounds=tuple(_bounds(each, tier.retention[each.kind]) for each in retention.times.values()),
        message=message,
    )


def tier_choices(tiers: Sequence[Tier], chosen: str) -> tuple[Choice, ...]:
    """Return the tiers to choose from."""
    return choices({each.name: each.name.capitalize() for each in tiers}, chosen)


def tenant_href(tenant_id: UUID) -> str:
    """Return the address of a tenant's page."""
    return f"{OPERATOR_HREF}/tenants/{tenant_id}"


def quotas_of(text: Mapping[str, str]) -> tuple[dict[str, int | None], frozenset[str]]:
    """Return what a form sets, and what it takes back. Raises ValueError for no number."""
    as_tier = frozenset(name for name, typed in text.items() if typed.strip() == _AS_TIER)
    return {
        name: _count(QUOTA_LABELS[name], typed.strip(), none=_NONE)
        for name, typed in text.items()
        if name not in as_tier
    }, as_tier


def term_of(kind: Kind, *, days: str, least: str, most: str) -> Term | None:
    """Return the times of a form, None if all of it is empty. Raises ValueError."""
    if not any(text.strip() for text in (days, least, most)):
        return None
    label = KIND_LABELS[kind]
    values = {
        "days": _count(label, days.strip(), none=FOREVER),
        "least": _count(label, least.strip(), none=""),
        "most": _count(label, most.strip(), none=_NONE),
    }
    if values["least"] is None:
        raise ValueError(f"{label}: say the least days as well")
    return Term.from_dict(kind, values)


def _row(tenant: TenantInNumbers) -> TenantRow:
    return TenantRow(
        href=tenant_href(tenant.id),
        title=tenant.title,
        name="" if tenant.name == tenant.title else tenant.name,
        tier=tenant.tier.capitalize(),
        chips=_chips(tenant),
        spans=f"{tenant.spans_this_month:,}",
        quota="" if tenant.percent is None else f"{tenant.percent:,} % of the quota",
        rules=f"{tenant.rule_count:,}",
        quarantined=f"{tenant.quarantined_count:,}" if tenant.quarantined_count else "",
        members=f"{tenant.member_count:,}",
        last_span=_moment(tenant.last_span_at),
        last_signal=_moment(tenant.last_signal_at),
    )


def _chips(tenant: TenantInNumbers) -> tuple[tuple[str, str], ...]:
    """Return what is out of the ordinary, with the look of its chip."""
    found = []
    if tenant.suspended_at:
        found.append(("Suspended", "chip-bad"))
    if tenant.delete_after:
        found.append(("On its way out", "chip-bad"))
    if tenant.held_at:
        found.append(("On hold", "chip-warn"))
    if tenant.percent is not None and tenant.percent >= 100:
        found.append(("Quota used up", "chip-warn"))
    if tenant.own:
        found.append(("Quotas of its own", ""))
    return tuple(found)


def _quota(name: str, tenant: TenantInNumbers, tier: Tier) -> QuotaField:
    most = getattr(tenant.settings, name)
    return QuotaField(
        name,
        QUOTA_LABELS[name],
        _number(most, none=_NONE) if name in tenant.own else _AS_TIER,
        quota_text(name, getattr(tier.settings, name)),
    )


def _bounds(each: Kept, of_tier: Term) -> BoundsField:
    own = each.term != of_tier
    return BoundsField(
        name=each.kind,
        label=KIND_LABELS[each.kind],
        now=f"Now {days_text(each.days)}{', as its people chose' if each.chosen else ''}.",
        days=_number(each.term.days, none=FOREVER) if own else "",
        least=str(each.term.least) if own else "",
        most=_number(each.term.most, none=_NONE) if own else "",
        usual=(
            _number(of_tier.days, none=FOREVER),
            str(of_tier.least),
            _number(of_tier.most, none=_NONE),
        ),
    )


def _number(count: int | None, *, none: str) -> str:
    return none if count is None else str(count)


def _count(label: str, text: str, *, none: str) -> int | None:
    if text == none:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{label}: {text!r} is no number")
    return int(text)


def _moment(at: datetime | None) -> Moment | None:
    return moment(at) if at else None


def _minute(at: datetime | None) -> Moment | None:
    return minute_moment(at) if at else None
