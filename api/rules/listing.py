"""Rules as a list: which of them are looked for, and how each is doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.rules.model import Rule, RuleState

HEALTH_HOURS: Final = 1
"""Every rule has a row for each minute and lane: a day of a hundred rules is too much to add up."""
ENDED_MAX: Final = 100
"""The newest signals of a rule, of which it is told how many were false positives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFilter:
    """What is looked for: all of it has to fit. tags: a rule has every one of them."""

    text: str = ""
    states: frozenset[RuleState] = frozenset()
    severities: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def fits(self, rule: Rule) -> bool:
        """Tell whether a rule is looked for; the text is looked for in any case."""
        if self.states and rule.state not in self.states:
            return False
        if self.severities and str(rule.object.get("severity") or "medium") not in self.severities:
            return False
        if not self.tags <= set(map(str, rule.object.get("tags") or ())):
            return False
        wanted = self.text.strip().lower()
        held = (rule.id, rule.object.get("name"), rule.object.get("description"), rule.text)
        return not wanted or any(wanted in str(text or "").lower() for text in held)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHealth:
    """How a rule is doing: verdicts of the last HEALTH_HOURS, and what became of its signals.

    last_raised_at: of its newest signal, None: it never raised one. ended: of its newest
    ENDED_MAX signals, those that are resolved or were false positives.
    """

    judged: int = 0
    violated: int = 0
    inconclusive: int = 0
    over_budget: int = 0
    failed: int = 0
    last_raised_at: datetime | None = None
    ended: int = 0
    false_positives: int = 0


async def health_of(
    pool: Pool, scope: TenantScope, rule_ids: Sequence[str], *, now: datetime
) -> Mapping[str, RuleHealth]:
    """Return how rules are doing, by id."""
    since = now - timedelta(hours=HEALTH_HOURS)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("rules").health(
            connection, ids=list(rule_ids), since=since, ended_max=ENDED_MAX
        )
        return {
            row["id"]: RuleHealth(**{name: row[name] for name in RuleHealth.__slots__})
            async for row in rows
        }
