"""How long things are kept, and who decides: the tier, the operator, the tenant's people. Pure.

A tier says for each kind of thing how long it is kept and within what bounds a tenant may choose;
its operator may set other bounds for one tenant. What was chosen under wider bounds is kept within
those of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, Self

MOST_DAYS: Final = 36_500
FOREVER: Final = "forever"
HoldBy = Literal["operator", "tenant"]
"""Whose hold it is. That of the operator is lifted by operators alone."""


class Kind(StrEnum):
    """What is kept for a time of its own.

    signals: with explanations, histories, folds and copies of traces; open_signals: of those that
    somebody has to do with still; accounts: of minutes; usage: spans of days.
    """

    SIGNALS = "signals"
    OPEN_SIGNALS = "open_signals"
    LETTERS = "dead_letters"
    BACKTESTS = "backtests"
    ACCOUNTS = "accounts"
    USAGE = "usage"
    AUDIT = "audit"


LEAST: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        Kind.SIGNALS: 1,
        Kind.OPEN_SIGNALS: 1,
        Kind.LETTERS: 1,
        Kind.BACKTESTS: 1,
        Kind.ACCOUNTS: 35,
        Kind.USAGE: 62,
        Kind.AUDIT: 30,
    }
)
"""Days below which nobody may go: the month that is being counted needs its minutes and days, and
the database refuses a younger row of the audit log."""


@dataclass(frozen=True, slots=True)
class Term:
    """Days that things of a kind are kept unless the tenant chooses, and the bounds of its choice.

    days, most: None: for ever, without a bound. Raises ValueError for what contradicts itself.
    """

    days: int | None
    least: int
    most: int | None

    def __post_init__(self) -> None:
        if not 1 <= self.least <= MOST_DAYS:
            raise ValueError(f"least is {self.least} days; it must lie between 1 and {MOST_DAYS}")
        if self.most is not None and not self.least <= self.most <= MOST_DAYS:
            raise ValueError(
                f"most is {self.most} days; it must lie between {self.least} and {MOST_DAYS}"
            )
        if not self.allows(self.days):
            raise ValueError(f"{days_text(self.days)} is outside of {self.bounds_text}")

    @classmethod
    def from_dict(cls, kind: Kind, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises ValueError for what cannot be kept for so short."""
        term = cls(values["days"], values["least"], values["most"])
        if term.least < LEAST[kind]:
            raise ValueError(f"{kind}: least is {term.least} days, at least {LEAST[kind]} are kept")
        return term

    def to_dict(self) -> dict[str, int | None]:
        """Return the term as JSON values."""
        return asdict(self)

    def allows(self, days: int | None) -> bool:
        """Return whether a tenant may choose so many days; None: for ever."""
        if days is None:
            return self.most is None
        return self.least <= days and (self.most is None or days <= self.most)

    def nearest(self, days: int | None) -> int | None:
        """Return the choice that is allowed and nearest."""
        if days is None or (self.most is not None and days > self.most):
            return self.most
        return max(days, self.least)

    @property
    def bounds_text(self) -> str:
        """The bounds in words."""
        if self.most is None:
            return f"{days_text(self.least)} or more"
        return f"{self.least:,} to {self.most:,} days"


Terms = Mapping[Kind, Term]
Choices = Mapping[Kind, int | None]
"""Days by kind, None: for ever; a kind that is not in it is kept as its term says."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How long things of a kind are kept. days: None: for ever. chosen: by the tenant's people."""

    kind: Kind
    days: int | None
    chosen: bool
    term: Term


def terms_of(tier: Mapping[str, Any], bounds: Mapping[str, Any]) -> Terms:
    """Return the terms of a tenant: those of its tier, but where its operator set others."""
    return {kind: Term.from_dict(kind, bounds.get(kind) or tier[kind]) for kind in Kind}


def choices_of(stored: Mapping[str, Any]) -> Choices:
    """Read choices; what this release does not know is passed over."""
    return {kind: stored[kind] for kind in Kind if kind in stored}


def kept(terms: Terms, choices: Choices) -> dict[Kind, Kept]:
    """Return how long each kind of thing is kept."""
    return {
        kind: Kept(kind, term.nearest(choices.get(kind, term.days)), kind in choices, term)
        for kind, term in terms.items()
    }


def refusals(terms: Terms, choices: Choices) -> dict[Kind, str]:
    """Return what is wrong with choices, by kind; empty: nothing."""
    return {
        kind: f"{days_text(days)} is outside of what is allowed: {terms[kind].bounds_text}"
        for kind, days in choices.items()
        if not terms[kind].allows(days)
    }


def days_text(days: int | None) -> str:
    """Return a time in words."""
    if days is None:
        return FOREVER
    return "1 day" if days == 1 else f"{days:,} days"
