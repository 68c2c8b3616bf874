"""What was done, in numbers: kept as evidence, since it says nothing of the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from udfs.redaction.strategies import Strategy


@dataclass(frozen=True, slots=True)
class Counts:
    """What redacting some records or texts did.

    policy_version: of the policy that decided. by_kind: values replaced, by what they were.
    spans: how many spans, resources and scopes were changed. failures: values removed because
    their strategy failed. unreadable: spans, or records, dropped because they do not decode.
    unknown_fields: spans from which fields were dropped that no schema names.
    """

    policy_version: int
    by_kind: Mapping[str, int] = field(default_factory=dict)
    spans: int = 0
    failures: int = 0
    unreadable: int = 0
    unknown_fields: int = 0

    @property
    def total(self) -> int:
        """How many values were replaced."""
        return sum(self.by_kind.values())

    def __add__(self, other: Counts) -> Counts:
        """Add up what two calls did. Raises ValueError for two policies."""
        if other.policy_version != self.policy_version:
            raise ValueError("counts of two policies cannot be added")
        return Counts(
            self.policy_version,
            dict(Counter(self.by_kind) + Counter(other.by_kind)),
            self.spans + other.spans,
            self.failures + other.failures,
            self.unreadable + other.unreadable,
            self.unknown_fields + other.unknown_fields,
        )


@dataclass(frozen=True, slots=True)
class Replacement:
    """One value that was replaced. path: the attribute's key, or a field such as `span.name`."""

    kind: str
    strategy: Strategy
    path: str
    clear: bytes = field(repr=False)


@dataclass(slots=True)
class Tally:
    """Counts in the making."""

    by_kind: Counter[str] = field(default_factory=Counter)
    spans: int = 0
    failures: int = 0
    unreadable: int = 0
    unknown_fields: int = 0

    def replaced(self, one: Replacement) -> None:
        """Count a value; who wants more than numbers overrides this."""
        self.by_kind[one.kind] += 1

    def counts(self, policy_version: int) -> Counts:
        """Return what was counted."""
        return Counts(
            policy_version,
            dict(self.by_kind),
            self.spans,
            self.failures,
            self.unreadable,
            self.unknown_fields,
        )
