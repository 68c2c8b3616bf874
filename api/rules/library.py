"""The rules that are shipped with BeTrace, and taking some of them into a tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import dsl
from api.auth.principal import TenantScope
from api.database import Pool, tenant_transaction
from api.problems import not_found
from api.redaction.redactors import Redactors
from api.rules.definitions import define
from api.rules.model import RuleState
from api.rules.outbox import Publisher
from api.rules.redacted import fit
from api.rules.service import apply_in, current_rule, publish_waiting
from api.tenants.turns import take_turn
from dsl.library import packs
from dsl.objects import RuleObject


@dataclass(frozen=True, slots=True)
class ShippedRule:
    """A rule of a pack. spans: names of the spans it looks at; those of any name are not told."""

    rule: RuleObject
    spans: frozenset[str]


@dataclass(frozen=True, slots=True)
class ShippedPack:
    """Rules about one thing."""

    id: str
    title: str
    description: str
    rules: tuple[ShippedRule, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """What became of rules that were to be taken. there: those whose ids are in use already."""

    taken: tuple[str, ...]
    there: tuple[str, ...]


@cache
def shipped() -> tuple[ShippedPack, ...]:
    """Return the packs. The first call reads and checks every rule, which takes a core a second."""
    return tuple(
        ShippedPack(
            one.id,
            one.title,
            one.description,
            tuple(ShippedRule(rule, _spans(rule)) for rule in one.rules),
        )
        for one in packs()
    )


def _spans(rule: RuleObject) -> frozenset[str]:
    promise = dsl.check(rule.rule).promise
    if promise is None:
        return frozenset()
    return frozenset(test.name for test in promise.plan.tests if test.name is not None)


async def install_rules(
    pool: Pool,
    publisher: Publisher,
    redactors: Redactors,
    scope: TenantScope,
    rule_ids: Sequence[str],
    state: RuleState,
) -> Installed:
    """Take shipped rules into a tenant. A rule whose id is in use there is left as it is.

    Raises ApiError 404 for an id that no pack has, 409 over the limit of rules, 422 for what the
    tenant's redaction does not allow.
    """
    chosen = await asyncio.to_thread(lambda: list(_chosen(set(rule_ids))))
    if len(chosen) < len(set(rule_ids)):
        raise not_found("rule in the library")
    wanted = [replace(rule, state=state.value) for rule in chosen]
    definitions = await asyncio.to_thread(lambda: [define(rule) for rule in wanted])
    fitted = await fit(redactors, scope, definitions)
    async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
        await take_turn(connection)
        before = {one.id: await current_rule(connection, one.id) for one in fitted}
        absent = {rule_id for rule_id, rule in before.items() if rule is None or rule.deleted}
        await apply_in(connection, scope, [one for one in fitted if one.id in absent])
    await publish_waiting(publisher, scope)
    return Installed(
        tuple(one.id for one in fitted if one.id in absent),
        tuple(one.id for one in fitted if one.id not in absent),
    )


def _chosen(rule_ids: Collection[str]) -> Iterator[RuleObject]:
    for pack in shipped():
        yield from (one.rule for one in pack.rules if one.rule.id in rule_ids)
