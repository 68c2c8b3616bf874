"""What operators see and send, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.invitations.model import address_of
from api.operators.actions import NAME_LENGTH, Onboarding
from api.operators.overview import OverviewPage, TenantInNumbers
from api.retention.terms import MOST_DAYS, HoldBy, Kind, Term
from api.tiers.model import DEFAULT, Tier

_ID: Final = "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"
_TENANT: Final[JsonDict] = {
    "id": _ID,
    "name": "acme",
    "title": "Acme",
    "tier": "team",
    "state": "active",
    "created_at": "2026-11-01T08:00:00Z",
    "delete_after": None,
    "hold": None,
    "quotas": {"max_rules": 100},
    "own_quotas": [],
    "spans_this_month": 1_204_118,
    "percent_of_quota": 12,
    "rules": 14,
    "rules_in_quarantine": 0,
    "members": 5,
    "last_span_at": "2026-11-27T08:05:00Z",
    "last_signal_at": None,
}


class TenantInNumbersBody(BaseModel):
    """A tenant in numbers.

    own_quotas: those that are not the tier's. delete_after: when all of it is deleted; null: it is
    not to be. hold: who lets nothing of it be deleted; null: nobody.
    percent_of_quota: null without one. last_span_at: the minute in which spans came last.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TENANT]})
    id: UUID
    name: str
    title: str
    tier: str
    state: Literal["active", "suspended"]
    created_at: datetime
    delete_after: datetime | None
    hold: HoldBy | None
    quotas: dict[str, int | None]
    own_quotas: list[str]
    spans_this_month: int
    percent_of_quota: int | None
    rules: int
    rules_in_quarantine: int
    members: int
    last_span_at: datetime | None
    last_signal_at: datetime | None

    @classmethod
    def of(cls, tenant: TenantInNumbers) -> Self:
        """Return it as JSON."""
        return cls(
            id=tenant.id,
            name=tenant.name,
            title=tenant.title,
            tier=tenant.tier,
            state="suspended" if tenant.suspended_at else "active",
            created_at=tenant.created_at,
            delete_after=tenant.delete_after,
            hold=tenant.held_by,
            quotas=tenant.quotas,
            own_quotas=sorted(tenant.own),
            spans_this_month=tenant.spans_this_month,
            percent_of_quota=tenant.percent,
            rules=tenant.rule_count,
            rules_in_quarantine=tenant.quarantined_count,
            members=tenant.member_count,
            last_span_at=tenant.last_span_at,
            last_signal_at=tenant.last_signal_at,
        )


class OverviewBody(BaseModel):
    """Some tenants, by name."""

    items: list[TenantInNumbersBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: OverviewPage) -> Self:
        """Return it as JSON."""
        return cls(
            items=[TenantInNumbersBody.of(each) for each in page.items],
            next_cursor=page.next_cursor,
        )


class OperatorBody(BaseModel):
    """Who asks."""

    name: str


class TermBody(BaseModel):
    """Days, and the bounds of a tenant's choice; null: for ever, without a bound."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"days": 365, "least": 30, "most": None}]}
    )
    days: Annotated[int | None, Field(ge=1, le=MOST_DAYS)]
    least: Annotated[int, Field(ge=1, le=MOST_DAYS)]
    most: Annotated[int | None, Field(ge=1, le=MOST_DAYS)]

    @classmethod
    def of(cls, term: Term) -> Self:
        """Return it as JSON."""
        return cls(days=term.days, least=term.least, most=term.most)


class TierBody(BaseModel):
    """What tenants of a tier may have. A quota that is not there is as the installation has it."""

    name: str
    quotas: dict[str, int]
    retention: dict[Kind, TermBody]

    @classmethod
    def of(cls, tier: Tier) -> Self:
        """Return it as JSON."""
        terms = {kind: TermBody.of(term) for kind, term in tier.retention.items()}
        return cls(name=tier.name, quotas=dict(tier.quotas), retention=terms)


class TiersBody(BaseModel):
    """All tiers."""

    items: list[TierBody]


class OnboardBody(BaseModel):
    """A new tenant. name: unique on this server. admin: the address of who is invited first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "acme", "admin": "ada@example.com", "tier": "team"}]
        },
    )
    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]
    admin: Annotated[str, Field(max_length=320)]
    tier: Annotated[str, Field(max_length=50)] = DEFAULT
    starter_rules: bool = True

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if not self.name.isprintable() or self.name != self.name.strip():
            raise ValueError("name has characters that cannot be printed, or spaces around it")
        self.admin = address_of(self.admin)
        return self


class OnboardedBody(BaseModel):
    """What is told once. key: sends spans. link: for the admin, null if it was mailed or none is
    needed; problem: why it was not mailed, null without one."""

    id: UUID
    key: str
    invited: bool
    link: str | None
    problem: str | None

    @classmethod
    def of(cls, done: Onboarding) -> Self:
        """Return it as JSON."""
        return cls(
            id=done.tenant_id,
            key=done.key,
            invited=done.invited,
            link=done.link or None,
            problem=done.problem or None,
        )


class TierChoiceBody(BaseModel):
    """The tier to be in."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"tier": "team"}]})
    tier: Annotated[str, Field(max_length=50)]


Most = Annotated[int, Field(ge=1, le=10**15)]
AsTier = Literal["tier"]


class OwnQuotasBody(BaseModel):
    """Quotas of this tenant alone; "tier": as its tier again; null: none, or as installed.

    What is not sent stays.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"max_rules": 50, "monthly_spans": "tier"}]},
    )
    max_rules: Most | AsTier = "tier"
    max_members: Most | AsTier | None = None
    monthly_spans: Most | AsTier | None = None
    requests_per_min: Most | AsTier | None = None
    person_requests_per_min: Most | AsTier | None = None
    key_requests_per_min: Most | AsTier | None = None
    spans_per_s: Most | AsTier | None = None
    span_bytes_per_s: Most | AsTier | None = None

    @property
    def changes(self) -> dict[str, int | None]:
        """What is set."""
        return {name: value for name, value in self._sent.items() if value != "tier"}

    @property
    def as_tier(self) -> frozenset[str]:
        """What is taken back."""
        return frozenset(name for name, value in self._sent.items() if value == "tier")

    @property
    def _sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class BoundsBody(BaseModel):
    """For how long this tenant may keep things; null: as its tier. What is not sent stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"bounds": {"audit": {"days": 2555, "least": 365, "most": None}}}]
        },
    )
    bounds: dict[Kind, TermBody | None]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.terms()
        return self

    def terms(self) -> dict[Kind, Term | None]:
        """Return the bounds. Raises ValueError for what cannot be."""
        return {
            kind: Term.from_dict(kind, body.model_dump()) if body else None
            for kind, body in self.bounds.items()
        }
