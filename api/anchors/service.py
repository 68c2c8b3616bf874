"""Targets of a tenant: made, changed, removed, tried; and what became of its checkpoints there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from api.anchors.drafts import TargetChange, TargetDraft
from api.anchors.model import (
    Anchor,
    Head,
    Kind,
    SealedSecret,
    Target,
    kind_of,
    options_of,
    place_of,
)
from api.anchors.sealed_secrets import KeysAway, NoKeys, SecretBox
from api.anchors.webhook import new_secret
from api.anchors.work import Anchoring, Busy, Tried
from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found, unavailable

TARGETS_MAX: Final = 10
PAGE_MAX: Final = 500
_NUMBERS_END: Final = 2**63


@dataclass(frozen=True, slots=True)
class MadeTarget:
    """A target, and the secret of a webhook: to be shown once, empty if none was made."""

    target: Target
    secret: str


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint with what became of it at each target that it was for."""

    head: Head
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class AnchoredPage:
    """A page of checkpoints, newest first."""

    items: tuple[Anchored, ...]
    next_cursor: str | None


async def list_targets(pool: Pool, scope: TenantScope) -> Sequence[Target]:
    """Return where checkpoints of the tenant go, the oldest target first."""
    async with tenant_transaction(pool, scope) as connection:
        return [Target.from_row(row) async for row in queries("anchors").targets(connection)]


async def read_target(pool: Pool, scope: TenantScope, target_id: UUID) -> Target:
    """Return a target. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, target_id)


async def make_target(
    pool: Pool, scope: TenantScope, draft: TargetDraft, *, secrets: SecretBox
) -> MadeTarget:
    """Let checkpoints go somewhere from now on, the newest one first.

    Raises ApiError 409 if there is one to that place, too many, or no keys to keep its secret;
    503 while they do not answer.
    """
    kind, target_id = kind_of(draft.where), uuid4()
    shown = new_secret() if kind is Kind.WEBHOOK else ""
    sealed = await _seal(secrets, scope, target_id, shown or draft.secret)
    async with tenant_transaction(pool, scope) as connection:
        await queries("anchors").lock_tenant(connection)
        if await queries("anchors").count_targets(connection) >= TARGETS_MAX:
            raise ApiError(
                409, "anchor.too_many", f"A tenant has at most {TARGETS_MAX} targets; remove one."
            )
        added = await queries("anchors").add_target(
            connection,
            id=target_id,
            kind=kind.value,
            place=place_of(draft.where),
            options=Jsonb(options_of(draft.where)),
            every_s=draft.every_s,
            created_by=scope.actor,
            **_columns(sealed),
        )
        if not added:
            raise ApiError(409, "anchor.exists", "There is a target of this kind to this place.")
        await record(
            connection,
            scope,
            "anchor_target.created",
            _named(target_id),
            kind=kind.value,
            place=place_of(draft.where),
            every_s=draft.every_s,
        )
        return MadeTarget(await _read(connection, target_id), shown)


async def change_target(
    pool: Pool, scope: TenantScope, target_id: UUID, change: TargetChange, *, secrets: SecretBox
) -> MadeTarget:
    """Change what is other; a target that fails is tried at once.

    Raises ApiError 400 for what a target of its kind does not have, 404, 409, 503.
    """
    before = await read_target(pool, scope, target_id)
    try:
        where = change.changed(before.where)
    except ValueError as error:
        raise _unusable(error) from error
    shown = new_secret() if change.new_secret else ""
    sealed = await _seal(secrets, scope, target_id, shown or change.secret or "")
    after = replace(
        before,
        where=where,
        every_s=before.every_s if change.every_s is None else change.every_s,
        enabled=before.enabled if change.enabled is None else change.enabled,
        secret=sealed or before.secret,
    )
    async with tenant_transaction(pool, scope) as connection:
        changed = await queries("anchors").change_target(
            connection,
            id=target_id,
            options=Jsonb(options_of(after.where)),
            every_s=after.every_s,
            enabled=after.enabled,
            **_columns(after.secret),
        )
        if not changed:
            raise not_found("target")
        await record(
            connection, scope, "anchor_target.changed", _named(target_id), **_told(before, after)
        )
        return MadeTarget(await _read(connection, target_id), shown)


async def remove_target(pool: Pool, scope: TenantScope, target_id: UUID) -> None:
    """Hand nothing to a target any more, and forget its secret. What was done stays on record.

    Raises ApiError 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        target = await _read(connection, target_id)
        await queries("anchors").remove_target(connection, id=target_id)
        await queries("anchors").give_up_on_target(connection, target_id=target_id)
        await queries("anchors").settle_failing(connection, id=target_id, actor=scope.actor)
        await record(
            connection,
            scope,
            "anchor_target.removed",
            _named(target_id),
            kind=target.kind.value,
            place=target.place,
        )


async def send_now(
    pool: Pool, scope: TenantScope, target_id: UUID, *, anchoring: Anchoring
) -> Tried:
    """Hand the newest checkpoint to a target now; what was given up waits again.

    One that is not taken is tried again as usual. Raises ApiError 404; 409 if nothing was sealed
    yet, or the target is being served.
    """
    await read_target(pool, scope, target_id)
    try:
        tried = await anchoring.send_now(scope, target_id)
    except Busy as error:
        raise ApiError(
            409, "anchor.busy", "Something is handed to this target just now. Look again soon."
        ) from error
    if tried is None:
        raise ApiError(
            409,
            "anchor.no_checkpoint",
            "The log has no checkpoint yet; one is made in the minute after something was sealed.",
        )
    async with tenant_transaction(pool, scope) as connection:
        await queries("anchors").try_again(connection, target_id=target_id)
        await record(
            connection,
            scope,
            "anchor_target.tried",
            _named(target_id),
            checkpoint=tried.anchor.checkpoint,
            refusal=tried.refusal or None,
        )
    return tried


async def list_anchored(
    pool: Pool, scope: TenantScope, *, cursor: str | None = None, limit: int = 50
) -> AnchoredPage:
    """Return a page of checkpoints with their anchors, newest first.

    Raises ApiError 400 for a cursor that is none.
    """
    before = decode_cursor(cursor, int)[0] if cursor else None
    if before is not None and not 0 < before < _NUMBERS_END:
        raise foreign_cursor()
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("anchors").page(connection, before=before, limit=limit + 1)
        heads = [Head.from_row(row) async for row in rows]
        shown = heads[:limit]
        found = queries("anchors").of_checkpoints(
            connection, numbers=[head.number for head in shown]
        )
        anchors = [Anchor.from_row(row) async for row in found]
    items = tuple(
        Anchored(head, tuple(each for each in anchors if each.checkpoint == head.number))
        for head in shown
    )
    more = len(heads) > limit
    return AnchoredPage(items, encode_cursor(shown[-1].number) if more else None)


async def read_stamp(pool: Pool, scope: TenantScope, anchor_id: UUID) -> tuple[int, bytes]:
    """Return the number of a checkpoint and the DER TimeStampResp over it.

    Raises ApiError 404 for an anchor that is no time stamp.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("anchors").answer(connection, id=anchor_id)
    if row is None or row["kind"] != Kind.TSA or row["answer"] is None:
        raise not_found("time stamp")
    return row["checkpoint"], bytes(row["answer"])


async def _read(connection: Connection, target_id: UUID) -> Target:
    row = await queries("anchors").target(connection, id=target_id)
    if row is None:
        raise not_found("target")
    return Target.from_row(row)


async def _seal(
    secrets: SecretBox, scope: TenantScope, target_id: UUID, secret: str
) -> SealedSecret | None:
    if not secret:
        return None
    try:
        return await secrets.seal(scope.tenant_id, target_id, secret)
    except NoKeys as error:
        raise ApiError(
            409,
            "anchor.no_keys",
            "The secret of this target cannot be kept: keys of tenants are not set up here. Your "
            "operator can do that (BETRACE_KEYS_PROVIDER).",
        ) from error
    except KeysAway as error:
        raise unavailable(
            "anchor.keys_away",
            "The secret of this target cannot be kept now: what has the keys of tenants does not "
            "answer. Try again in a minute.",
        ) from error


def _columns(sealed: SealedSecret | None) -> dict[str, Any]:
    return {
        "secret_key_id": sealed.key_id if sealed else None,
        "secret": sealed.sealed if sealed else None,
    }


def _told(before: Target, after: Target) -> dict[str, Any]:
    """Return what is other, for the record; secrets and certificates are not told."""
    told: dict[str, Any] = {}
    for name in ("every_s", "enabled"):
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            told[name] = f"{was} → {now}"
    was, now = options_of(before.where), options_of(after.where)
    for name in now:
        if was[name] != now[name]:
            told[name] = "changed" if name == "certificates" else f"{was[name]} → {now[name]}"
    if before.secret != after.secret:
        told["secret"] = "changed"
    return told


def _named(target_id: UUID) -> str:
    return f"anchor_target:{target_id}"


def _unusable(error: ValueError) -> ApiError:
    field, _, words = str(error).partition(": ")
    message = words or field
    errors = [{"field": f"body.{field}", "message": message, "in": "body"}] if words else []
    return ApiError(400, "anchor.target", f"{error}.", errors=errors)
