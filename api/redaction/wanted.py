"""A policy that is to hold from now on, or a key, with the rules that must be judged otherwise.

    lock of the tenant ─► version of the policy ─► next versions of rules whose literals change
                                                   one transaction; the rules log comes after it

Both take effect within some seconds of each other. A trace on the seam, matched by the literals of
one policy and redacted by the other, is one that the rule does not find: it says no untruth of a
value, it does not know it. The same goes for the seam of two redaction keys: a new one is noted in
the transaction that puts it on record, whoever makes it, and any process of the API brings the
rules along within some seconds.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import structlog

from api.auth.principal import TenantScope, grant_scope
from api.database import Connection, Pool, purpose_transaction, queries, tenant_transaction
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import change_in, read_current, redaction_unavailable
from api.redaction.stored import PolicyUnreadable, StoredPolicy, current_policy
from api.repeating import again_and_again
from api.rules.definitions import Definition, Form, read_definition
from api.rules.model import Rule
from api.rules.outbox import Publisher
from api.rules.redacted import fitted_to, redacted_exceptions, redacted_rule
from api.rules.service import current_rule, publish_waiting, rejudge
from api.tenants.turns import take_turn
from dsl.problems import Problem
from udfs.keysource.making import BETRACE
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor

_FOLLOW_EVERY_S: Final = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RuleInDoubt:
    """A rule that asks for what the policy takes away. It is kept, and says so when it is saved."""

    id: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """The policy that holds, the rules that were published anew, and those in doubt."""

    stored: StoredPolicy
    published: tuple[str, ...]
    in_doubt: tuple[RuleInDoubt, ...]


async def change(
    pool: Pool,
    publisher: Publisher,
    redactors: Redactors,
    scope: TenantScope,
    policy: Policy,
    *,
    version: int | None = None,
) -> Changed:
    """Let a policy hold from now on, and bring the rules along.

    The same policy again looks at the rules once more. version: that it was made from. Raises
    ApiError 412 if another holds by now, 503 where the key cannot be had.
    """
    try:
        redactor = await redactors.trying(scope.tenant_id, policy)
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
        await take_turn(connection)
        stored = await change_in(connection, scope, policy, version=version)
        published, in_doubt = await _bring_along(connection, scope, redactor)
    redactors.drop(scope.tenant_id)
    if published:
        await publish_waiting(publisher, scope)
    return Changed(stored, tuple(published), tuple(in_doubt))


async def keep_rules_along(pool: Pool, publisher: Publisher, redactors: Redactors) -> None:
    """Let rules follow the redaction keys of their tenants, until cancelled."""
    await again_and_again(
        lambda: follow_new_keys(pool, publisher, redactors),
        pause_s=_FOLLOW_EVERY_S,
        trouble="redaction.rules_wait",
    )


async def follow_new_keys(pool: Pool, publisher: Publisher, redactors: Redactors) -> int:
    """Judge the rules of tenants that got another redaction key by it; return how many did.

    A tenant whose key or policy cannot be had now waits for the next time.
    """
    async with purpose_transaction(pool, "housekeeping") as connection:
        waiting = [
            (row["tenant_id"], row["key_id"])
            async for row in queries("redaction").rekeyed(connection)
        ]
    followed = 0
    for tenant_id, key_id in waiting:
        scope = grant_scope(tenant_id, actor=BETRACE)
        try:
            followed += await _follow(pool, publisher, redactors, scope, key_id)
        except (RedactionUnavailable, PolicyUnreadable) as error:
            log.warning("redaction.rules_wait", tenant=str(tenant_id), cause=str(error))
    return followed


async def _follow(
    pool: Pool, publisher: Publisher, redactors: Redactors, scope: TenantScope, key_id: UUID
) -> bool:
    redactors.drop_key(scope.tenant_id)
    stored = await read_current(pool, scope)
    redactor = await redactors.trying(scope.tenant_id, stored.policy)
    async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
        await take_turn(connection)
        if (await current_policy(connection)).version != stored.version:
            return False
        published, _ = await _bring_along(connection, scope, redactor)
        await queries("redaction").rekeyed_done(connection, key_id=key_id)
    if published:
        log.info("redaction.rules_follow", tenant=str(scope.tenant_id), rules=len(published))
        await publish_waiting(publisher, scope)
    return True


async def rules_in_doubt(
    pool: Pool, redactors: Redactors, scope: TenantScope, policy: Policy
) -> tuple[RuleInDoubt, ...]:
    """Return the rules that ask for what a policy would take away. Raises ApiError 503."""
    try:
        redactor = await redactors.trying(scope.tenant_id, policy)
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    async with tenant_transaction(pool, scope) as connection:
        rules = await _judged(connection)
    found = await asyncio.to_thread(lambda: [_look(one, redactor) for one in rules])
    return tuple(one for _, one in found if one is not None)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A current rule as it was written, and as it is judged (None: as it was written).

    exceptions, judged_exceptions: the same of its exceptions, as they are stored.
    """

    id: str
    text: str
    judged: str | None
    exceptions: list[Any]
    judged_exceptions: list[Any] | None


async def _judged(connection: Connection) -> list[_Judged]:
    rows = queries("redaction").judged_rules(connection)
    return [
        _Judged(row["id"], row["text"], row["judged"], row["exceptions"], row["judged_exceptions"])
        async for row in rows
    ]


def _look(rule: _Judged, redactor: Redactor) -> tuple[bool, RuleInDoubt | None]:
    """Return whether a rule is judged otherwise, and what is to be said of it."""
    found = redacted_rule(rule.text, redactor)
    excepted = redacted_exceptions(rule.exceptions, redactor)
    stored = None if excepted.stored is None else list(excepted.stored)
    said = (*found.problems, *found.warnings, *excepted.problems, *excepted.warnings)
    differs = found.text != rule.judged or stored != rule.judged_exceptions
    return differs, RuleInDoubt(rule.id, said) if said else None


async def _bring_along(
    connection: Connection, scope: TenantScope, redactor: Redactor
) -> tuple[list[str], list[RuleInDoubt]]:
    rules = await _judged(connection)
    found = await asyncio.to_thread(lambda: [_look(one, redactor) for one in rules])
    published = []
    for rule, (differs, _) in zip(rules, found, strict=True):
        if differs and (current := await current_rule(connection, rule.id)) is not None:
            definition = await asyncio.to_thread(_defined, current, redactor)
            await rejudge(connection, scope, current, definition)
            published.append(rule.id)
    return published, [one for _, one in found if one is not None]


def _defined(rule: Rule, redactor: Redactor) -> Definition:
    """Return a stored rule as it is to be judged. Its object stays as it is."""
    definition = read_definition(json.dumps(rule.object), form=Form.JSON, expected_id=rule.id)
    fitted, _ = fitted_to(definition, redactor)
    return replace(fitted, object=rule.object)
