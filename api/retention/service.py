"""Reading and changing how long things are kept, and the hold under which nothing is deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.retention.terms import (
    Choices,
    HoldBy,
    Kept,
    Kind,
    Term,
    choices_of,
    days_text,
    kept,
    refusals,
    terms_of,
)
from api.tenants.deletion import deletion_began

SHOWN_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when nothing is deleted, and who alone may lift that: the operator or either."""

    since: datetime
    by: HoldBy


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows of something were deleted in the last SHOWN_DAYS, and when last."""

    what: str
    row_count: int
    last_day: date


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a tenant's things are kept, and what has gone lately. hold: None: there is none.

    delete_after: when all of the tenant is deleted, before which nothing goes by its age; None: it
    is not to be.
    """

    times: Mapping[Kind, Kept]
    hold: Hold | None
    delete_after: datetime | None
    deleted: tuple[Deleted, ...]


async def read_retention(pool: Pool, scope: TenantScope) -> Retention:
    """Return what holds for the tenant. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection)


async def change_retention(pool: Pool, scope: TenantScope, choices: Choices) -> Retention:
    """Keep things for so long from now on; what is not in choices as the tier says.

    Raises ApiError 400 for what the operator does not allow, 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        await queries("retention").lock(connection)
        row = await _row(connection)
        terms = terms_of(row["terms"], row["bounds"])
        if wrong := refusals(terms, choices):
            raise _not_allowed(wrong)
        before = kept(terms, choices_of(row["chosen"]))
        await queries("retention").choose(connection, chosen=Jsonb(dict(choices)))
        await _record_times(connection, scope, before, kept(terms, choices))
        return await _read(connection)


async def bound_retention(
    pool: Pool, scope: TenantScope, bounds: Mapping[Kind, Term | None]
) -> Retention:
    """Set what a tenant may choose, in place of its tier; None: as the tier. For operators.

    What its people chose stays on record, and counts as far as it is within the bounds.
    """
    async with tenant_transaction(pool, scope) as connection:
        await queries("retention").lock(connection)
        row = await _row(connection)
        own = {**row["bounds"], **{kind: term and term.to_dict() for kind, term in bounds.items()}}
        own = {kind: term for kind, term in own.items() if term is not None}
        chosen = choices_of(row["chosen"])
        before, after = (
            kept(terms_of(row["terms"], each), chosen) for each in (row["bounds"], own)
        )
        await queries("retention").bound(connection, bounds=Jsonb(own))
        await record(
            connection,
            scope,
            "retention.bounded",
            f"tenant:{scope.tenant_id}",
            **{
                kind: f"{days_text(term.days)}, {term.bounds_text}" if term else "as the tier"
                for kind, term in bounds.items()
            },
        )
        await _record_times(connection, scope, before, after)
        return await _read(connection)


async def hold(pool: Pool, scope: TenantScope, *, by: HoldBy) -> bool:
    """Let nothing of the tenant be deleted from now on; False if that is so already.

    Raises ApiError 409 if all of it is being deleted.
    """
    async with tenant_transaction(pool, scope) as connection:
        await queries("retention").lock(connection)
        changed: int = await queries("retention").hold(connection, by=by)
        if changed:
            await record(connection, scope, "retention.held", f"tenant:{scope.tenant_id}", by=by)
        elif (await _row(connection))["purging"]:
            raise deletion_began()
    return changed == 1


async def release(pool: Pool, scope: TenantScope, *, by: HoldBy) -> bool:
    """Let what is over be deleted again; False if nothing was held.

    Raises ApiError 409 if the operator holds it and somebody else asks.
    """
    async with tenant_transaction(pool, scope) as connection:
        await queries("retention").lock(connection)
        changed: int = await queries("retention").release(connection, by=by)
        if changed:
            await record(
                connection, scope, "retention.released", f"tenant:{scope.tenant_id}", by=by
            )
        elif (await _row(connection))["held_at"] is not None:
            raise ApiError(
                409, "retention.held", "Your operator holds this tenant, and alone lifts that."
            )
    return changed == 1


async def _read(connection: Connection) -> Retention:
    row = await _row(connection)
    deleted = [
        Deleted(each["what"], each["row_count"], each["last_day"])
        async for each in queries("retention").deleted(connection, days=SHOWN_DAYS)
    ]
    return Retention(
        times=kept(terms_of(row["terms"], row["bounds"]), choices_of(row["chosen"])),
        hold=Hold(row["held_at"], row["held_by"]) if row["held_at"] else None,
        delete_after=row["delete_after"],
        deleted=tuple(deleted),
    )


async def _row(connection: Connection) -> dict[str, Any]:
    row: dict[str, Any] | None = await queries("retention").read(connection)
    if row is None:
        raise not_found("tenant")
    return row


async def _record_times(
    connection: Connection,
    scope: TenantScope,
    before: Mapping[Kind, Kept],
    after: Mapping[Kind, Kept],
) -> None:
    """Write what is kept for another time than before, if anything is."""
    changes = {
        kind: f"{days_text(before[kind].days)} → {days_text(after[kind].days)}"
        for kind in Kind
        if before[kind].days != after[kind].days
    }
    if changes:
        await record(connection, scope, "retention.changed", f"tenant:{scope.tenant_id}", **changes)


def _not_allowed(wrong: Mapping[Kind, str]) -> ApiError:
    errors = [
        {"field": f"body.days.{kind}", "message": text, "in": "body", "pointer": f"#/days/{kind}"}
        for kind, text in wrong.items()
    ]
    sentences = "; ".join(f"{kind}: {text}" for kind, text in wrong.items())
    return ApiError(400, "tenant.retention", f"{sentences}.", errors=errors)
