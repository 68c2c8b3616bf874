"""What a stored rule is to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from api.rules.log import ACTIVATION_DELAY


class RuleState(StrEnum):
    """Whether a rule is judged, and whether it raises alerts.

    Into quarantine a rule is put by the system alone, for running out of its budget again and
    again: it is not judged until somebody changes it or switches it on again.
    """

    ACTIVE = "active"
    SHADOW = "shadow"
    OFF = "off"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One version of a rule, with where it is on its way to the job.

    object: the rule as in a rules file (id, name, severity, state, rule, …); in quarantine its
    state is still the one that its owner wants.
    author: of this version; acting: who acted in the author's place, empty: nobody.
    created_at: of the rule; updated_at: of this version. reason: why it was made, where somebody
    said so. restored: the earlier version that it brings back.
    published_at: when the rules log took this version (the broker's clock), None while it waits.
    takes_effect_at: traces that begin from then on are judged by it. read_everywhere_at: when every
    subtask of the job was first seen to have read it, None until then.
    """

    id: str
    state: RuleState
    version: int
    deleted: bool
    object: dict[str, Any]
    text: str
    author: str
    acting: str
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    read_everywhere_at: datetime | None = None
    reason: str = ""
    restored: int | None = None

    @property
    def published(self) -> bool:
        """Whether the rules log has this version."""
        return self.published_at is not None

    @property
    def judges(self) -> bool:
        """Whether traces are judged by it."""
        return self.state in (RuleState.ACTIVE, RuleState.SHADOW)

    @property
    def takes_effect_at(self) -> datetime | None:
        """When this version begins to judge, None while it waits for the rules log."""
        return self.published_at + ACTIVATION_DELAY if self.published_at else None

    @property
    def etag(self) -> str:
        """The version as an entity tag."""
        return f'"{self.version}"'

    def active_since(self, now: datetime) -> datetime | None:
        """Return since when this version judges, None if it does not (yet)."""
        begins = self.takes_effect_at
        if not self.judges or begins is None or begins > now:
            return None
        return begins

    def active_everywhere_since(self, now: datetime) -> datetime | None:
        """Return since when every subtask is known to judge by this version, None if it is not."""
        begins = self.active_since(now)
        if begins is None or self.read_everywhere_at is None:
            return None
        return max(begins, self.read_everywhere_at)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Rule:
        """Build from a row that has the columns of the fields, and perhaps more."""
        values = {name: row[name] for name in cls.__slots__}
        return cls(**{**values, "state": RuleState(values["state"])})


@dataclass(frozen=True, slots=True)
class RulePage:
    """A page of rules by id, and where the next begins."""

    items: tuple[Rule, ...]
    next_cursor: str | None
