"""A tenant's choice: what is looked for, and what becomes of it.

What holds for an attribute is asked in this order; the first that says something decides:

    1. `keys` of the policy: the strategy for all that is below that key (`allow`: not looked at)
    2. the allow-list, where there is one: what is not on it gets its strategy, whatever it is
    3. the semantic conventions, and the names of keys: the strategy of the kind they tell
    4. what detectors find inside of the value: the strategy of the kind found
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from udfs.redaction import kinds
from udfs.redaction.strategies import Strategy

DEFAULT_STRATEGIES: Final[Mapping[str, Strategy]] = {
    kinds.PRIVATE_KEY: Strategy.REMOVE,
    kinds.JWT: Strategy.REMOVE,
    kinds.API_KEY: Strategy.REMOVE,
    kinds.PASSWORD: Strategy.REMOVE,
    kinds.AUTHORIZATION: Strategy.REMOVE,
    kinds.PAYMENT_CARD: Strategy.TOKENIZE,
    kinds.IBAN: Strategy.TOKENIZE,
    kinds.NATIONAL_ID: Strategy.REMOVE,
    kinds.EMAIL: Strategy.HASH,
    kinds.PHONE: Strategy.MASK,
    kinds.IP_ADDRESS: Strategy.GENERALIZE,
    kinds.PERSON_NAME: Strategy.MASK,
    kinds.POSTAL_ADDRESS: Strategy.REMOVE,
    kinds.BIRTH_DATE: Strategy.GENERALIZE,
    kinds.LOCATION: Strategy.GENERALIZE,
    kinds.USER_ID: Strategy.HASH,
    kinds.DB_LITERAL: Strategy.GENERALIZE,
    kinds.DB_PARAMETER: Strategy.HASH,
}


@dataclass(frozen=True, slots=True)
class CustomDetector:
    """A pattern of the tenant's own, found in any text. Its kind is `custom.<name>`."""

    name: str
    pattern: str
    strategy: Strategy

    @property
    def kind(self) -> str:
        """By which it is counted."""
        return kinds.CUSTOM_PREFIX + self.name


@dataclass(frozen=True, slots=True)
class AllowList:
    """Only the attributes of these keys pass; all others get a strategy."""

    keys: tuple[str, ...]
    otherwise: Strategy = Strategy.REMOVE


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of a tenant's data. Valid by construction through `read_policy`.

    version: given by whoever keeps policies; it goes with every result.
    strategies: for kinds that are not to be treated as DEFAULT_STRATEGIES says.
    keys: whole keys, or `beginning.*`, with the strategy for their values.
    conventions: whether OpenTelemetry's own attributes are spared as `conventions` says.
    """

    version: int = 0
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    keys: Mapping[str, Strategy] = field(default_factory=dict)
    custom: tuple[CustomDetector, ...] = ()
    allow_list: AllowList | None = None
    conventions: bool = True

    def strategy_of(self, kind: str) -> Strategy:
        """Return the strategy for a kind."""
        chosen = self.strategies.get(kind) or DEFAULT_STRATEGIES.get(kind)
        if chosen is not None:
            return chosen
        return next(custom.strategy for custom in self.custom if custom.kind == kind)

    def weights(self) -> tuple[str, ...]:
        """Return all kinds, heaviest first; the tenant's own weigh least."""
        return (*kinds.BY_WEIGHT, *(custom.kind for custom in self.custom))


def matches(pattern: str, path: str) -> bool:
    """Whether a key of a policy stands for a path of keys, joined by dots."""
    if pattern.endswith(".*"):
        return path.startswith(pattern[:-1]) or path == pattern[:-2]
    return path == pattern or path.startswith(f"{pattern}.")
