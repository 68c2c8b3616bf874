"""The settings page of a tenant: its name, how its traces are judged, what it may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from api.durations import duration_ms, duration_text
from api.tenants.own import TenantChange
from api.tenants.service import Tenant
from api.tenants.settings import TenantSettings
from api.web.views.words import Message

TENANT_HREF: Final = "/settings/tenant"
DURATIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "settle_ms": ("Quiet before a verdict", "A trace is judged once nothing came for so long."),
        "patience_ms": ("Patience", "So long a trace without its root, or a parent, waits longer."),
        "max_life_ms": ("Longest life", "A trace is judged after so long in any case."),
        "lateness_ms": ("Lateness", "So long after its end spans still correct its verdict."),
        "clock_skew_ms": ("Clock differences", "Smaller ones between two services say nothing."),
    }
)
"""Settings that are durations: label and hint."""
_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_trace_spans": "Spans of one trace",
        "max_open_traces": "Traces that are open at a time",
        "max_open_bytes": "Bytes kept of their spans",
        "max_known_traces": "Closed traces that are remembered",
    }
)
NEVER: Final = ""
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {"changed": "Changed. Traces that begin some seconds from now are judged by it."}
)


@dataclass(frozen=True, slots=True)
class DurationField:
    """A field for a duration such as 10s."""

    name: str
    label: str
    hint: str
    value: str


@dataclass(frozen=True, slots=True)
class Limit:
    """What the operator allows."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantText:
    """What a person has put into the form. durations: by the name of the setting."""

    name: str
    durations: Mapping[str, str]
    span_sampled: bool
    external_roots: bool
    fold_after: str
    quiet_days: str

    @classmethod
    def of(cls, tenant: Tenant) -> TenantText:
        """Return the form of what is stored."""
        settings = tenant.settings
        return cls(
            name=tenant.title,
            durations={name: duration_text(getattr(settings, name)) for name in DURATIONS},
            span_sampled=settings.span_sampled,
            external_roots=settings.external_roots,
            fold_after=NEVER if settings.fold_after is None else str(settings.fold_after),
            quiet_days=NEVER if settings.quiet_days is None else str(settings.quiet_days),
        )

    def change(self) -> TenantChange:
        """Return what the form asks for. Raises ValueError for what cannot be read."""
        settings: dict[str, Any] = {
            name: _duration(name, text) for name, text in self.durations.items()
        }
        settings["span_sampled"] = self.span_sampled
        settings["external_roots"] = self.external_roots
        settings["fold_after"] = _count(
            self.fold_after, "number of signals; leave it empty for all of them"
        )
        settings["quiet_days"] = _count(
            self.quiet_days, "number of days; leave it empty to be told of none"
        )
        return TenantChange(display_name=self.name.strip(), settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPage:
    """The page. may_write: else the fields are read only."""

    id: str
    text: TenantText
    fields: tuple[DurationField, ...]
    limits: tuple[Limit, ...]
    may_write: bool
    message: Message | None


def tenant_page(
    tenant: Tenant,
    *,
    may_write: bool,
    text: TenantText | None = None,
    message: Message | None = None,
) -> TenantPage:
    """Return the page. text: what was typed, where it was refused."""
    typed = text or TenantText.of(tenant)
    return TenantPage(
        id=str(tenant.id),
        text=typed,
        fields=tuple(
            DurationField(name, label, hint, typed.durations.get(name, ""))
            for name, (label, hint) in DURATIONS.items()
        ),
        limits=_limits(tenant.settings),
        may_write=may_write,
        message=message,
    )


def _limits(settings: TenantSettings) -> tuple[Limit, ...]:
    held = {label: getattr(settings, name) for name, label in _LIMITS.items()}
    return tuple(
        Limit(label, "none" if most is None else f"{most:,}") for label, most in held.items()
    )


def _duration(name: str, text: str) -> int:
    try:
        return duration_ms(text.strip())
    except ValueError as error:
        raise ValueError(f"{DURATIONS[name][0]}: {error}") from error


def _count(text: str, meant: str) -> int | None:
    if text.strip() == NEVER:
        return None
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is no {meant}")
    return int(text)
