"""Changes on the record: a row in the same transaction, so that there is never one without it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from psycopg.types.json import Jsonb

from api.audit.origin import Origin, current_origin
from api.audit.record import Entry, Outcome
from api.auth.principal import TenantScope
from api.database import Connection, queries, set_local


async def record(
    connection: Connection,
    scope: TenantScope,
    action: str,
    target: str = "",
    *,
    actor: str = "",
    **details: object,
) -> UUID:
    """Write that something was done, in the caller's transaction, which is the scope's.

    Returns the id of the row.

    action: <kind>.<done>, as rule.changed. target: <kind>:<id>. details: short facts, never a
    text that somebody wrote, a secret, or a name of a person; None is left out. Whoever acts in
    the place of who asks is named without being mentioned here (`acting`).
    """
    origin = current_origin()
    done_by = actor or (origin.actor if origin else scope.actor)
    entry = _done(scope.tenant_id, done_by, action, target, details)
    await insert(connection, entry)
    return entry.id


async def record_session_end(connection: Connection, token_hash: bytes) -> None:
    """Write that a session ended: signed out of, or another took its place; nothing if it is over.

    connection: of a transaction that sees the session.
    """
    session = await queries("audit").session_of_hash(connection, hash=token_hash)
    if session is None:
        return
    await set_local(connection, tenant_id=str(session["tenant_id"]))
    details = {"acting": session["acting"] or None}
    await insert(
        connection, _done(session["tenant_id"], session["actor"], "session.ended", details=details)
    )


async def record_of_person(
    connection: Connection, user_id: UUID, action: str, *, actor: str = "", **details: object
) -> None:
    """Write that an account was changed, on the record of each tenant of the person.

    connection: of a transaction of the person. actor: else the person.
    """
    tenants = [
        row["tenant_id"]
        async for row in queries("audit").tenants_of_user(connection, user_id=user_id)
    ]
    whose = f"user:{user_id}"
    for tenant_id in tenants:
        await set_local(connection, tenant_id=str(tenant_id))
        await insert(connection, _done(tenant_id, actor or whose, action, whose, details))


async def record_of_operators(
    connection: Connection, action: str, target: str = "", *, actor: str, **details: object
) -> None:
    """Write that an operator did something that belongs to no tenant.

    connection: of a transaction that does nothing else afterwards: it is for writing the log alone.
    """
    await set_local(connection, purpose="audit")
    await insert(connection, _done(None, actor, action, target, details))


async def insert(connection: Connection, entry: Entry) -> None:
    """Write a row; one that is there already stays."""
    columns = entry.columns()
    await queries("audit").insert(
        connection,
        **{**columns, "outcome": entry.outcome.value, "details": Jsonb(dict(entry.details))},
    )


def _done(
    tenant_id: UUID | None,
    actor: str,
    action: str,
    target: str = "",
    details: Mapping[str, object] = MappingProxyType({}),
) -> Entry:
    """Return the row of something that is done now, by the request at hand if there is one."""
    now, origin = datetime.now(UTC), current_origin() or Origin()
    said = {name: str(value) for name, value in details.items() if value is not None}
    return Entry(
        tenant_id=tenant_id,
        at=now,
        until_at=now,
        actor=actor,
        action=action,
        target=target,
        outcome=Outcome.ALLOWED,
        details={**({"acting": origin.acting} if origin.acting else {}), **said},
        **origin.columns(),
    )
