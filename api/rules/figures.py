"""What a rule said lately: verdicts of the last day, signals of the last day and week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction


@dataclass(frozen=True, slots=True)
class Raised:
    """How many signals were raised in the last 24 hours and 7 days."""

    day: int
    week: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFigures:
    """Verdicts of the last 24 hours, and signals: alerts, in shadow, and silenced by exceptions.

    over_budget, failed: of the inconclusive ones, those for want of steps or by an error of ours.
    """

    violated: int
    satisfied: int
    inconclusive: int
    over_budget: int
    failed: int
    alerts: Raised
    shadow: Raised
    excepted: Raised

    @property
    def judged(self) -> int:
        """To how many traces the rule applied."""
        return self.violated + self.satisfied + self.inconclusive


async def rule_figures(
    pool: Pool, scope: TenantScope, rule_id: str, *, now: datetime
) -> RuleFigures:
    """Return what a rule said up to now; zeros for one that is not there."""
    day_ago, week_ago = now - timedelta(days=1), now - timedelta(days=7)
    async with tenant_transaction(pool, scope) as connection:
        verdicts = await queries("rules").verdicts_since(connection, id=rule_id, since=day_ago)
        signals = await queries("signals").count_of_rule(
            connection, rule_id=rule_id, day_ago=day_ago, week_ago=week_ago
        )
    return RuleFigures(
        **verdicts,
        alerts=Raised(signals["alerts_day"], signals["alerts_week"]),
        shadow=Raised(signals["shadow_day"], signals["shadow_week"]),
        excepted=Raised(signals["excepted_day"], signals["excepted_week"]),
    )
