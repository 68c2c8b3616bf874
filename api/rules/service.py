"""Saving rules as immutable versions, reading them, and telling the job.

A save writes the version, its predicate numbers and the record for the rules log in one
transaction, and publishes after the commit. When Kafka does not answer the save stands all the
same, says `published: false`, and the sweeper publishes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import (
    Connection,
    DatabaseUnavailable,
    Pool,
    QueryTooSlow,
    queries,
    tenant_transaction,
)
from api.problems import ApiError, not_found
from api.rules.definitions import Definition
from api.rules.model import Rule, RulePage, RuleState
from api.rules.outbox import Publisher
from api.rules.predicates import number_predicates
from api.rules.records import restated_record, rule_record
from api.rules.rule_set import refuse_unfit
from api.tenants.settings import TenantSettings
from api.tenants.turns import take_turn

log = structlog.get_logger(__name__)

PAGE_MAX: Final = 1_000
RULES_IN_ALL: Final = 100_000
"""Rules of all tenants that an installation takes: what its job was measured to bear."""


class Outcome(StrEnum):
    """What a save did."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Saved:
    """A rule after a save."""

    rule: Rule
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """What must hold for a save. version: the current one; absent: there is no such rule."""

    version: int | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Why:
    """Why a version is made. restored: the earlier version that it brings back."""

    reason: str = ""
    restored: int | None = None


async def list_rules(
    pool: Pool,
    scope: TenantScope,
    *,
    states: Sequence[RuleState] = (),
    cursor: str | None = None,
    limit: int = 100,
) -> RulePage:
    """Return a page of rules by id, without deleted ones. Raises ApiError 400 for a bad cursor."""
    after_id = decode_cursor(cursor, str)[0] if cursor else None
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("rules").page(
            connection,
            states=[state.value for state in states] or None,
            after_id=after_id,
            limit=limit + 1,
        )
        rules = [Rule.from_row(row) async for row in rows]
    items = tuple(rules[:limit])
    return RulePage(items, encode_cursor(items[-1].id) if len(rules) > limit else None)


async def every_rule(pool: Pool, scope: TenantScope) -> tuple[Rule, ...]:
    """Return all rules by id, without deleted ones."""
    page = await list_rules(pool, scope, limit=PAGE_MAX)
    rules = page.items
    while page.next_cursor is not None:
        page = await list_rules(pool, scope, cursor=page.next_cursor, limit=PAGE_MAX)
        rules += page.items
    return rules


async def get_rule(pool: Pool, scope: TenantScope, rule_id: str) -> Rule:
    """Return the current version of a rule. Raises ApiError 404, for a deleted one as well."""
    async with tenant_transaction(pool, scope) as connection:
        rule = await current_rule(connection, rule_id)
    if rule is None or rule.deleted:
        raise not_found("rule")
    return rule


async def list_versions(pool: Pool, scope: TenantScope, rule_id: str) -> tuple[Rule, ...]:
    """Return every version of a rule, newest first, of a deleted one too. Raises ApiError 404."""
    versions = await _versions(pool, scope, rule_id, version=None)
    if not versions:
        raise not_found("rule")
    return versions


async def get_version(pool: Pool, scope: TenantScope, rule_id: str, version: int) -> Rule:
    """Return one version of a rule. Raises ApiError 404."""
    versions = await _versions(pool, scope, rule_id, version=version)
    if not versions:
        raise not_found("version of that rule")
    return versions[0]


async def save_rule(
    pool: Pool,
    publisher: Publisher,
    scope: TenantScope,
    definition: Definition,
    *,
    precondition: Precondition | None = None,
    why: Why = Why(),
) -> Saved:
    """Save a rule as its next version; the same object again changes nothing.

    Raises ApiError 409 if it had to be absent and is not, 412 if it has another version than it had
    to, 422 if it does not go together with other rules, 409 over the limit of rules.
    """
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        before = await current_rule(connection, definition.id)
        check_precondition(before, precondition or Precondition())
        await refuse_unfit(connection, [definition])
        outcome = await _store(connection, scope, definition, before, why=why)
    return Saved(await published_rule(pool, publisher, scope, definition.id), outcome)


async def delete_rule(
    pool: Pool,
    publisher: Publisher,
    scope: TenantScope,
    rule_id: str,
    *,
    precondition: Precondition | None = None,
) -> Rule:
    """Delete a rule: a last version that is off. Its versions and signals stay.

    Raises ApiError 404, 412 if it has another version than it had to.
    """
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        before = await current_rule(connection, rule_id)
        if before is None or before.deleted:
            raise not_found("rule")
        check_precondition(before, precondition or Precondition())
        off = RuleState.OFF
        await restate(connection, scope, before, state=off, wanted=off.value, deleted=True)
    return await published_rule(pool, publisher, scope, rule_id)


async def apply_rules(
    pool: Pool, publisher: Publisher, scope: TenantScope, definitions: Sequence[Definition]
) -> list[Saved]:
    """Save many rules in one transaction: all or none. What is as before stays as it is.

    Raises ApiError 409 if two have one id, 422 if they do not go together, 409 over the limit of
    rules.
    """
    if len({definition.id for definition in definitions}) < len(definitions):
        raise ApiError(409, "rule.twice", "Two of the rules have the same id.")
    async with tenant_transaction(pool, scope, timeout_ms=60_000) as connection:
        outcomes = await apply_in(connection, scope, definitions)
    await publish_waiting(publisher, scope)
    async with tenant_transaction(pool, scope) as connection:
        rules = [await current_rule(connection, definition.id) for definition in definitions]
    return [
        Saved(rule, outcome)
        for rule, outcome in zip(rules, outcomes, strict=True)
        if rule is not None
    ]


async def apply_in(
    connection: Connection, scope: TenantScope, definitions: Sequence[Definition]
) -> list[Outcome]:
    """Save rules of different ids within a transaction of the tenant; nothing is published yet.

    Raises ApiError 422 if they do not go together, 409 over the limit of rules.
    """
    await take_turn(connection)
    await refuse_unfit(connection, definitions)
    return [
        await _store(connection, scope, d, await current_rule(connection, d.id))
        for d in definitions
    ]


async def plan_rules(
    pool: Pool, scope: TenantScope, definitions: Sequence[Definition]
) -> list[Outcome]:
    """Return what `apply_rules` would do to each rule."""
    async with tenant_transaction(pool, scope) as connection:
        return [_outcome(await current_rule(connection, d.id), d) for d in definitions]


def _outcome(before: Rule | None, definition: Definition) -> Outcome:
    if before is None or before.deleted:
        return Outcome.CREATED
    return Outcome.UNCHANGED if before.object == definition.object else Outcome.CHANGED


def check_precondition(before: Rule | None, precondition: Precondition) -> None:
    """Raise ApiError 409 or 412 if a rule is not as it had to be."""
    exists = before is not None and not before.deleted
    if precondition.absent and exists:
        raise ApiError(409, "rule.exists", "There is a rule with this id already. PUT changes it.")
    if precondition.version is None:
        return
    current = before.version if before is not None and exists else None
    if current != precondition.version:
        raise ApiError(
            412,
            "request.stale_version",
            "The rule was changed in the meantime. Read it again.",
            current_version=current,
        )


async def _store(
    connection: Connection,
    scope: TenantScope,
    definition: Definition,
    before: Rule | None,
    *,
    why: Why = Why(),
) -> Outcome:
    outcome = _outcome(before, definition)
    if outcome is Outcome.UNCHANGED:
        return outcome
    if outcome is Outcome.CREATED:
        await _refuse_too_many(connection)
    version = before.version + 1 if before else 1
    if before is None:
        await queries("rules").insert_rule(
            connection, id=definition.id, state=definition.state.value, version=version
        )
    await _write(connection, scope, definition, version=version, why=why)
    if before is not None:
        await _leave_quarantine(connection, scope, before)
    await record(
        connection,
        scope,
        f"rule.{outcome}",
        f"rule:{definition.id}",
        version=version,
        state=definition.state.value,
        fields=_changed_fields(before, definition),
        restored=why.restored,
    )
    return outcome


def _changed_fields(before: Rule | None, definition: Definition) -> str | None:
    """Return which fields of a rule a save changes, None for one that is new."""
    if before is None:
        return None
    names = before.object.keys() | definition.object.keys()
    return ", ".join(
        sorted(name for name in names if before.object.get(name) != definition.object.get(name))
    )


async def rejudge(
    connection: Connection, scope: TenantScope, before: Rule, definition: Definition
) -> int:
    """Write the next version of a rule: what was written, judged by other literals.

    definition: of the same object. The caller holds the lock of the tenant. Returns the number of
    the version. The state stays, quarantine too.
    """
    version = before.version + 1
    await _write(connection, scope, definition, version=version, state=before.state)
    await record(connection, scope, "rule.redacted_anew", f"rule:{before.id}", version=version)
    return version


async def _write(
    connection: Connection,
    scope: TenantScope,
    definition: Definition,
    *,
    version: int,
    state: RuleState | None = None,
    why: Why = Why(),
) -> None:
    state = state or definition.state
    numbers = await number_predicates(connection, definition.judging.predicates)
    await queries("rules").insert_version(
        connection,
        id=definition.id,
        version=version,
        state=state.value,
        object=Jsonb(definition.object),
        text=definition.compiled.text,
        judged=definition.judged.text if definition.judged else None,
        judged_exceptions=Jsonb(list(definition.judged_exceptions))
        if definition.judged_exceptions is not None
        else None,
        canonical=definition.judging.canonical,
        language=definition.compiled.language,
        author=scope.actor,
        reason=why.reason,
        restored=why.restored,
    )
    await queries("rules").update_rule(
        connection, id=definition.id, state=state.value, version=version, deleted=False
    )
    announced = rule_record(
        definition, numbers, tenant_id=scope.tenant_id, version=version, state=state
    )
    await queries("outbox").enqueue(
        connection, rule_id=definition.id, rule_version=version, record=announced
    )


async def restate(
    connection: Connection,
    scope: TenantScope,
    before: Rule,
    *,
    state: RuleState,
    wanted: str,
    deleted: bool = False,
) -> int:
    """Write the next version of a rule: the one before in another state, compiled by nobody.

    The caller holds the lock of the tenant. wanted: the state in the rule object. Returns the
    number of the version.
    """
    version = before.version + 1
    await queries("rules").insert_restated_version(
        connection,
        id=before.id,
        before=before.version,
        version=version,
        state=state.value,
        object_state=wanted,
        deleted=deleted,
        author=scope.actor,
    )
    await queries("rules").update_rule(
        connection, id=before.id, state=state.value, version=version, deleted=deleted
    )
    announced = await queries("outbox").record_of(
        connection, rule_id=before.id, rule_version=before.version
    )
    await queries("outbox").enqueue(
        connection,
        rule_id=before.id,
        rule_version=version,
        record=restated_record(announced, version=version, state=state),
    )
    await _leave_quarantine(connection, scope, before)
    await record(
        connection,
        scope,
        "rule.deleted" if deleted else "rule.switched",
        f"rule:{before.id}",
        version=version,
        before=before.state.value,
        state=state.value,
    )
    return version


async def _leave_quarantine(connection: Connection, scope: TenantScope, before: Rule) -> None:
    """Take the notices of a rule that was in quarantine for read: somebody did what they say."""
    if before.state is RuleState.QUARANTINED:
        await queries("notices").acknowledge_of_rule(
            connection, rule_id=before.id, actor=scope.actor
        )


async def _refuse_too_many(connection: Connection) -> None:
    settings = TenantSettings.from_dict(await queries("tenants").settings(connection))
    count = await queries("rules").count_in_use(connection)
    if count >= settings.max_rules:
        raise ApiError(
            409,
            "rule.too_many",
            f"This tenant may have {settings.max_rules:,} rules and has {count:,}. Delete some, or "
            "let your operator give it another tier, or a limit of its own: betrace tenant create "
            "NAME --if-absent --max-rules COUNT.",
            limit=settings.max_rules,
        )
    if await queries("rules").count_in_all(connection) >= RULES_IN_ALL:
        raise ApiError(
            409,
            "rule.too_many_in_all",
            f"This installation has {RULES_IN_ALL:,} rules of all its tenants, and takes no more. "
            "Delete some that are not needed, or let your operator give large tenants an "
            "installation of their own.",
            limit=RULES_IN_ALL,
        )


async def publish_waiting(publisher: Publisher, scope: TenantScope) -> bool:
    """Publish at once if that is possible: the save stands, and the sweeper comes after us.

    Returns whether the rules log has all of it.
    """
    try:
        return await publisher.publish(scope)
    except (DatabaseUnavailable, QueryTooSlow) as error:
        log.warning("rules.publish_deferred", cause=str(error.__cause__))
        return False


async def published_rule(
    pool: Pool, publisher: Publisher, scope: TenantScope, rule_id: str
) -> Rule:
    """Publish what waits, and return the current version of a rule. Raises ApiError 404."""
    await publish_waiting(publisher, scope)
    async with tenant_transaction(pool, scope) as connection:
        rule = await current_rule(connection, rule_id)
    if rule is None:
        raise not_found("rule")
    return rule


async def current_rule(connection: Connection, rule_id: str) -> Rule | None:
    """Return the current version of a rule, of a deleted one too; None if there never was one."""
    row = await queries("rules").current(connection, id=rule_id)
    return Rule.from_row(row) if row else None


async def _versions(
    pool: Pool, scope: TenantScope, rule_id: str, *, version: int | None
) -> tuple[Rule, ...]:
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("rules").versions(connection, id=rule_id, version=version)
        return tuple([Rule.from_row(row) async for row in rows])
