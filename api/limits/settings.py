"""How much everybody may ask for: as the installation has it, and what a tenant has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits:
    """Limits of one tenant in place of the installation's; None: as the installation has it."""

    requests_per_min: int | None = None
    person_requests_per_min: int | None = None
    key_requests_per_min: int | None = None
    spans_per_s: int | None = None
    span_bytes_per_s: int | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read them out of a tenant's stored settings."""
        return cls(**{each.name: settings.get(each.name) for each in fields(cls)})


AS_INSTALLED = TenantLimits()


class RequestLimits(BaseSettings):
    """Requests of the API and the pages, `BETRACE_LIMIT_…`. 0: no limit of that kind."""

    model_config = SettingsConfigDict(env_prefix="BETRACE_LIMIT_", frozen=True, extra="ignore")

    tenant_per_min: int = Field(default=1_000, ge=0, description="Of a tenant, by whomever.")
    person_per_min: int = Field(default=300, ge=0, description="Of one person in a tenant.")
    key_per_min: int = Field(default=1_000, ge=0, description="Of one API key.")
    address_per_min: int = Field(
        default=6_000, ge=0, description="From one IPv4 address or IPv6 network of 64 bits."
    )


NO_LIMITS: Final = RequestLimits(
    tenant_per_min=0, person_per_min=0, key_per_min=0, address_per_min=0
)
"""For measurements and tests that count nobody."""
