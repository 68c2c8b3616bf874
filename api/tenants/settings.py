"""What a tenant may set about how its traces are judged, and the record that tells the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self
from uuid import UUID

from api.limits.settings import TenantLimits
from udfs.rulebook import FOLD_AFTER, FOLD_NEVER
from udfs.wire import betrace_pb2 as pb

_DAY_MS = 24 * 60 * 60 * 1000
_LIMITS = {
    "settle_ms": (100, 60 * 60 * 1000),
    "patience_ms": (1_000, 60 * 60 * 1000),
    "max_life_ms": (10_000, _DAY_MS),
    "lateness_ms": (0, _DAY_MS),
    "clock_skew_ms": (0, 60_000),
    "max_trace_spans": (100, 10_000_000),
    "max_open_traces": (1_000, 100_000_000),
    "max_open_bytes": (2**24, 2**40),
    "max_known_traces": (100_000, 10_000_000_000),
    "max_rules": (1, 100_000),
}
_REQUEST_LIMITS = frozenset(field.name for field in fields(TenantLimits))
_MOST_OF_A_LIMIT = 10**12
QUOTAS = frozenset({"max_rules", "max_members", "monthly_spans", *_REQUEST_LIMITS})
"""What a tier grants, unless a tenant has its own."""
UNTOLD = QUOTAS | {"quiet_days"}
"""What the job need not know."""
OPERATORS = frozenset(
    {
        "max_trace_spans",
        "max_open_traces",
        "max_open_bytes",
        "max_known_traces",
        *QUOTAS,
    }
)
"""What a tenant costs: its operator sets these, and its people see them."""
_MOST_WHOLE = 1_000_000
_MOST_SPANS = 10**15
_MOST_MEMBERS = 1_000_000
_MOST_QUIET_DAYS = 3_660


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """When a trace counts as closed, how long late spans count, what is exported, how much is held.

    external_roots: traces begin outside of what the tenant exports; the only span whose parent is
    remote and did not come stands for the root then.
    clock_skew_ms: smaller differences between the clocks of two services say nothing.
    max_open_traces, max_open_bytes: traces that are open at a time and what is kept of their spans;
    max_known_traces: closed ones that are remembered. Each lane of the job holds a 32nd of them.
    fold_after: so many signals of a rule, lane and minute are written whole, the others of them
    counted; None: all are whole. max_rules: that are not deleted. max_members: and invitations that
    are open; None: any number. monthly_spans: the quota of which people are warned; None: there is
    none. quiet_days: after so many days without evidence of a control that is told; None: never.
    requests_per_min, person_requests_per_min, key_requests_per_min, spans_per_s, span_bytes_per_s:
    in place of the installation's limits; None: those. Raises ValueError for values outside their
    limits.
    """

    settle_ms: int = 10_000
    patience_ms: int = 60_000
    max_life_ms: int = 60 * 60 * 1000
    lateness_ms: int = 10 * 60 * 1000
    span_sampled: bool = False
    external_roots: bool = False
    clock_skew_ms: int = 0
    max_trace_spans: int = 200_000
    max_open_traces: int = 640_000
    max_open_bytes: int = 2**30
    max_known_traces: int = 128_000_000
    fold_after: int | None = FOLD_AFTER
    max_rules: int = 1_000
    max_members: int | None = None
    monthly_spans: int | None = None
    quiet_days: int | None = 30
    requests_per_min: int | None = None
    person_requests_per_min: int | None = None
    key_requests_per_min: int | None = None
    spans_per_s: int | None = None
    span_bytes_per_s: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is None or not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")
        for name in _REQUEST_LIMITS:
            if (limit := getattr(self, name)) is not None and not 1 <= limit <= _MOST_OF_A_LIMIT:
                raise ValueError(f"{name} is {limit}; it must lie between 1 and {_MOST_OF_A_LIMIT}")
        if self.settle_ms > self.max_life_ms:
            raise ValueError("settle_ms is longer than max_life_ms")
        if self.max_members is not None and not 1 <= self.max_members <= _MOST_MEMBERS:
            raise ValueError(
                f"max_members is {self.max_members}; it must lie between 1 and {_MOST_MEMBERS}, "
                "or be none: there may be any number then"
            )
        if self.monthly_spans is not None and not 1 <= self.monthly_spans <= _MOST_SPANS:
            raise ValueError(
                f"monthly_spans is {self.monthly_spans}; it must lie between 1 and {_MOST_SPANS}, "
                "or be none: there is no quota then"
            )
        if self.quiet_days is not None and not 1 <= self.quiet_days <= _MOST_QUIET_DAYS:
            raise ValueError(
                f"quiet_days is {self.quiet_days}; it must lie between 1 and {_MOST_QUIET_DAYS}, "
                "or be none: nothing is told then"
            )
        if self.fold_after is not None and not 1 <= self.fold_after <= _MOST_WHOLE:
            raise ValueError(
                f"fold_after is {self.fold_after}; it must lie between 1 and {_MOST_WHOLE}, "
                "or be none: nothing is folded then"
            )

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
        fold_after = FOLD_NEVER if self.fold_after is None else self.fold_after
        told = {name: value for name, value in asdict(self).items() if name not in UNTOLD}
        message = pb.TenantSettings(tenant=str(tenant_id), **{**told, "fold_after": fold_after})
        return pb.RuleLogRecord(tenant=message).SerializeToString(deterministic=True)
