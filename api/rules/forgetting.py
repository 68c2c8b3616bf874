"""Forgetting a key of an `expect` by hand: a host that was taken out of service, for instance.

What is said goes the way of every change of rules, by the outbox into the rules log: from its
effect on nothing is expected of the key, until it is seen again.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import dsl
from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.rules.outbox import Publisher
from api.rules.service import current_rule, publish_waiting
from udfs.wire import betrace_pb2 as pb

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A key that was said to be forgotten. published: whether the rules log has it."""

    rule_id: str
    key: str
    published: bool


async def forget_key(
    pool: Pool, publisher: Publisher, scope: TenantScope, rule_id: str, key: str
) -> Forgotten:
    """Say that nothing is expected of a key any more. key: empty for a rule without `by`.

    Raises ApiError 404, 400 if the rule is no `expect` or cannot have such a key.
    """
    async with tenant_transaction(pool, scope) as connection:
        await queries("tenants").lock_tenant(connection)
        rule = await current_rule(connection, rule_id)
        if rule is None or rule.deleted:
            raise not_found("rule")
        _refuse_unfit(dsl.check(rule.text).rule, key)
        said = pb.Forgetting(
            tenant=str(scope.tenant_id), rule_id=rule_id, key=key, id=uuid4().bytes
        )
        announced = pb.RuleLogRecord(forgetting=said).SerializeToString(deterministic=True)
        await queries("outbox").enqueue(
            connection, rule_id=None, rule_version=None, record=announced
        )
        await record(
            connection,
            scope,
            "rule.key_forgotten",
            f"rule:{rule_id}",
            key=key[:_SHOWN_CHARACTERS],
        )
    return Forgotten(rule_id, key, await publish_waiting(publisher, scope))


def _refuse_unfit(rule: dsl.AnyRule | None, key: str) -> None:
    """Raise ApiError 400 if a rule can expect nothing of such a key."""
    if not isinstance(rule, dsl.ExpectRule):
        raise ApiError(400, "rule.no_expect", "Only an `expect` has keys that can be forgotten.")
    plan = rule.plan
    if plan.by is None and key:
        raise ApiError(400, "rule.no_keys", "The rule has no `by`: leave the key empty.")
    if plan.by is not None and not key:
        raise ApiError(400, "rule.key_missing", "Say which key is to be forgotten.")
    if plan.listed and key not in plan.listed:
        listed = ", ".join(plan.listed)
        raise ApiError(
            400, "rule.unlisted_key", f"The rule expects nothing of it, but of {listed}."
        )
