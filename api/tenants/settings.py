"""What a tenant may set about how its traces are judged, and the record that tells the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self
from uuid import UUID

from udfs.wire import betrace_pb2 as pb

_DAY_MS = 24 * 60 * 60 * 1000
_LIMITS_MS = {
    "settle_ms": (100, 60 * 60 * 1000),
    "patience_ms": (1_000, 60 * 60 * 1000),
    "max_life_ms": (10_000, _DAY_MS),
    "lateness_ms": (0, _DAY_MS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """When a trace counts as closed, how long late spans count, and what is exported.

    Raises ValueError for values outside their limits.
    """

    settle_ms: int = 10_000
    patience_ms: int = 60_000
    max_life_ms: int = 60 * 60 * 1000
    lateness_ms: int = 10 * 60 * 1000
    span_sampled: bool = False
    external_roots: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS_MS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")
        if self.settle_ms > self.max_life_ms:
            raise ValueError("settle_ms is longer than max_life_ms")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; what is not there has its default."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    def log_record(self, tenant_id: UUID) -> bytes:
        """Return the serialized RuleLogRecord that announces these settings."""
        message = pb.TenantSettings(tenant=str(tenant_id), **asdict(self))
        return pb.RuleLogRecord(tenant=message).SerializeToString(deterministic=True)
