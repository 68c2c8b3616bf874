"""Beside the requests: acting upon what the worker found out about rules.

The worker counts and has no business with rules; whoever may write them puts them into quarantine.
"""

from __future__ import annotations

from functools import partial

import structlog

from api.auth.principal import grant_scope
from api.database import Pool, purpose_transaction, queries
from api.repeating import again_and_again
from api.rules.outbox import Publisher
from api.rules.states import quarantine_rules

ACTOR = "betrace"
"""Who is written into the history of a rule that was put into quarantine."""

log = structlog.get_logger(__name__)

_PAUSE_S = 2.0


async def keep_quarantine(pool: Pool, publisher: Publisher) -> None:
    """Put rules into quarantine as they are found, until cancelled."""
    await again_and_again(
        partial(quarantine_found, pool, publisher), pause_s=_PAUSE_S, trouble="quarantine.failed"
    )


async def quarantine_found(pool: Pool, publisher: Publisher) -> None:
    """Put the rules of all tenants into quarantine that were found since last time."""
    async with purpose_transaction(pool, "housekeeping") as connection:
        waiting = [row["tenant_id"] async for row in queries("notices").tenants_waiting(connection)]
    for tenant_id in waiting:
        scope = grant_scope(tenant_id, actor=ACTOR)
        for rule_id in await quarantine_rules(pool, publisher, scope):
            log.warning("rules.quarantined", tenant=str(tenant_id), rule=rule_id)
