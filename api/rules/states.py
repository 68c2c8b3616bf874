"""Switching rules: on, into shadow, off, and into quarantine and out of it.

A change of state is a version like any other, published by the same way: the rules log decides
from when on it counts.
"""

from __future__ import annotations

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.rules.model import RuleState
from api.rules.outbox import Publisher
from api.rules.service import (
    Outcome,
    Precondition,
    Saved,
    check_precondition,
    current_rule,
    publish_waiting,
    published_rule,
    restate,
)
from api.tenants.turns import take_turn, turn_if_any


async def switch_rule(
    pool: Pool,
    publisher: Publisher,
    scope: TenantScope,
    rule_id: str,
    state: RuleState,
    *,
    precondition: Precondition | None = None,
) -> Saved:
    """Put a rule into another state; of one that was in quarantine this is the way out.

    Raises ApiError 404, 412 if it has another version than it had to, 400 for quarantine, into
    which nobody puts a rule by hand.
    """
    if state is RuleState.QUARANTINED:
        raise ApiError(400, "rule.state", "Rules are active, shadow or off; quarantine is ours.")
    outcome = Outcome.UNCHANGED
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        before = await current_rule(connection, rule_id)
        if before is None or before.deleted:
            raise not_found("rule")
        check_precondition(before, precondition or Precondition())
        if before.state is not state:
            await restate(connection, scope, before, state=state, wanted=state.value)
            outcome = Outcome.CHANGED
    return Saved(await published_rule(pool, publisher, scope, rule_id), outcome)


async def quarantine_rules(pool: Pool, publisher: Publisher, scope: TenantScope) -> list[str]:
    """Put the rules that the worker found over their budget into quarantine; return their ids.

    A rule that has another version by now, or is not judged, is left alone, and nobody is told; so
    are those of a tenant that is gone.
    """
    quarantined: list[str] = []
    async with tenant_transaction(pool, scope) as connection:
        if await turn_if_any(connection) is None:
            return []
        waiting = [row async for row in queries("notices").waiting(connection)]
        for notice in waiting:
            rule = await current_rule(connection, notice["rule_id"])
            version = None
            if rule is not None and rule.judges and rule.version == notice["rule_version"]:
                version = await restate(
                    connection,
                    scope,
                    rule,
                    state=RuleState.QUARANTINED,
                    wanted=str(rule.object.get("state", rule.state)),
                )
                quarantined.append(rule.id)
            await queries("notices").acted(connection, id=notice["id"], quarantined_version=version)
    if quarantined:
        await publish_waiting(publisher, scope)
    return quarantined
