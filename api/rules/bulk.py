"""The same done to many rules in one transaction: all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import not_found
from api.redaction.redactors import Redactors
from api.rules.definitions import Definition, Form, read_definition
from api.rules.model import Rule, RuleState
from api.rules.outbox import Publisher
from api.rules.redacted import fit
from api.rules.service import apply_in, current_rule, publish_waiting, restate
from api.tenants.turns import take_turn

BULK_MAX: Final = 200
"""Rules of one request."""
_ID_MAX: Final = 255
_NAME_MAX: Final = 255


class BulkAct(StrEnum):
    """What is done to rules."""

    ACTIVE = "active"
    SHADOW = "shadow"
    OFF = "off"
    DELETE = "delete"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class BulkDone:
    """changed: ids of the rules that are another now, or new. unchanged: those that were so."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...] = ()


async def act_on_rules(
    pool: Pool,
    publisher: Publisher,
    redactors: Redactors,
    scope: TenantScope,
    rule_ids: Sequence[str],
    act: BulkAct,
) -> BulkDone:
    """Do the same to rules. A duplicate is off, and called a copy.

    Raises ApiError 404 if one of them is not there, 409 over the limit of rules, 422 where copies
    are refused.
    """
    wanted = list(dict.fromkeys(rule_ids))
    if act is BulkAct.DUPLICATE:
        done = await _duplicate(pool, redactors, scope, wanted)
    else:
        async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
            await take_turn(connection)
            done = await _restate(connection, scope, wanted, act)
    await publish_waiting(publisher, scope)
    return done


async def _restate(
    connection: Connection, scope: TenantScope, rule_ids: Sequence[str], act: BulkAct
) -> BulkDone:
    changed, unchanged = [], []
    deletes = act is BulkAct.DELETE
    state = RuleState.OFF if deletes else RuleState(act.value)
    for rule_id in rule_ids:
        before = await _present(connection, rule_id)
        if before.state is state and not deletes:
            unchanged.append(rule_id)
            continue
        await restate(connection, scope, before, state=state, wanted=state.value, deleted=deletes)
        changed.append(rule_id)
    return BulkDone(tuple(changed), tuple(unchanged))


async def _duplicate(
    pool: Pool, redactors: Redactors, scope: TenantScope, rule_ids: Sequence[str]
) -> BulkDone:
    async with tenant_transaction(pool, scope) as connection:
        rules = [await _present(connection, rule_id) for rule_id in rule_ids]
        taken = {row["id"] async for row in queries("rules").ids(connection)}
    copies: list[Definition] = []
    for rule in rules:
        copy_id = _free_id(rule.id, taken)
        taken.add(copy_id)
        name = f"{str(rule.object.get('name') or rule.id)[: _NAME_MAX - 7]} (Copy)"
        fields = {**rule.object, "id": copy_id, "name": name, "state": RuleState.OFF.value}
        copies.append(read_definition(json.dumps(fields), form=Form.JSON))
    fitted = await fit(redactors, scope, copies)
    async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
        await apply_in(connection, scope, fitted)
    return BulkDone(tuple(copy.id for copy in fitted))


def _free_id(rule_id: str, taken: set[str]) -> str:
    number = 1
    while True:
        tail = "-copy" if number == 1 else f"-copy-{number}"
        found = f"{rule_id[: _ID_MAX - len(tail)]}{tail}"
        if found not in taken:
            return found
        number += 1


async def _present(connection: Connection, rule_id: str) -> Rule:
    rule = await current_rule(connection, rule_id)
    if rule is None or rule.deleted:
        raise not_found("rule")
    return rule
