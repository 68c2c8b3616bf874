"""What a tier grants, and what of a tenant is set for it alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from api.retention.terms import Terms, terms_of
from api.tenants.settings import QUOTAS, TenantSettings

DEFAULT: Final = "standard"
"""Without numbers of its own: what the installation has for everybody."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A set of quotas, by the names of tenants' settings, and of times to keep things.

    A quota that is not in it is as the installation has it.
    """

    name: str
    quotas: Mapping[str, Any]
    retention: Terms

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table."""
        return cls(row["name"], row["quotas"], terms_of(row["retention"], {}))

    @property
    def settings(self) -> TenantSettings:
        """The settings of a tenant of the tier that has none of its own."""
        return TenantSettings.from_dict(self.quotas)


def stored_settings(settings: TenantSettings, quotas: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of settings: all, but for quotas that are as those of the tier."""
    as_tier = TenantSettings.from_dict(quotas).to_dict()
    return {
        name: value
        for name, value in settings.to_dict().items()
        if name not in QUOTAS or value != as_tier[name]
    }


def own_quotas(stored: Mapping[str, Any]) -> frozenset[str]:
    """Return the quotas that are set for a tenant alone."""
    return QUOTAS & stored.keys()
