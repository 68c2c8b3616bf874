"""Making, rotating and revoking keys of a tenant, and lists of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation

from api.audit.trail import record
from api.auth.keys import hash_key, new_key, shown_part
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.keys.authority import Authority, refuse_excess
from api.keys.model import Key, KeyDraft, KeyPage, KeyState, MadeKey
from api.problems import ApiError, not_found
from api.tenants.turns import take_turn

PAGE_MAX: Final = 1_000
OVERLAP_MAX: Final = timedelta(days=30)
OVERLAP: Final = timedelta(days=1)
LIFETIME_MAX: Final = timedelta(days=3_660)


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """What makes keys of this installation: the key of their hashes, and how many a tenant has.

    most: keys in use of one tenant. Twice as many while they are rotated.
    """

    pepper: bytes
    most: int = 100


async def create_key(
    pool: Pool,
    scope: TenantScope,
    draft: KeyDraft,
    *,
    maker: KeyMaker,
    authority: Authority,
    text: str | None = None,
) -> MadeKey:
    """Make a key of the tenant.

    text: a well-formed key made elsewhere, to be stored in place of a new one.
    Raises ApiError 403 for more than the authority covers, 400 for an end in the past or
    over ten years away, 409 if a key in use has the name or there are too many.
    """
    refuse_excess(authority, draft)
    _refuse_end(draft)
    try:
        async with tenant_transaction(pool, scope) as connection:
            return await create_key_in(connection, scope, draft, maker=maker, text=text)
    except UniqueViolation as error:
        raise ApiError(409, "key.exists", f"There is a key {draft.name!r} already.") from error


async def create_key_in(
    connection: Connection,
    scope: TenantScope,
    draft: KeyDraft,
    *,
    maker: KeyMaker,
    text: str | None = None,
) -> MadeKey:
    """Make a key within a transaction of the tenant, for somebody who may.

    Raises ApiError 409 for too many, UniqueViolation for a name in use.
    """
    await take_turn(connection)
    await queries("keys").free_name(connection, name=draft.name)
    await _refuse_too_many(connection, maker.most, with_replaced=False)
    made = await _insert(connection, scope, draft, maker=maker, text=text)
    await record(connection, scope, "key.created", _target(made.key), **_rights(draft))
    return made


async def rotate_key(
    pool: Pool,
    scope: TenantScope,
    key_id: UUID,
    *,
    maker: KeyMaker,
    authority: Authority,
    overlap: timedelta = OVERLAP,
    expires_at: datetime | None = None,
) -> MadeKey:
    """Replace a key by one of the same name and rights; the old one ends by itself.

    overlap: for so long both are good, or until the old one's own end if that is earlier.
    expires_at: end of the new one; None: it lasts as long as the old one was made to last.
    Raises ApiError 404, 403 as `create_key`, 400 for times out of bounds, 409 for a key that has
    ended or was replaced, and for too many keys.
    """
    if not timedelta() <= overlap <= OVERLAP_MAX:
        raise ApiError(
            400, "key.overlap", f"Keys overlap for at most {OVERLAP_MAX.days} days, and for 0 s."
        )
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        old = await _read(connection, key_id)
        if old.state is not KeyState.ACTIVE:
            raise ApiError(
                409, "key.not_active", f"The key is {old.state}: only active ones are rotated."
            )
        draft = old.successor(made_at=datetime.now(UTC), expires_at=expires_at)
        refuse_excess(authority, draft)
        _refuse_end(draft)
        await _refuse_too_many(connection, 2 * maker.most, with_replaced=True)
        new_id = uuid4()
        await queries("keys").replace(connection, id=old.id, successor=new_id, overlap=overlap)
        made = await _insert(connection, scope, draft, maker=maker, key_id=new_id)
        await record(connection, scope, "key.rotated", _target(made.key), replaces=old.id)
    return made


async def revoke_key(pool: Pool, scope: TenantScope, key_id: UUID) -> Key:
    """Refuse a key from now on; one that has ended already stays as it is.

    Processes that verified it lately go on for `REMEMBERED_S`. Raises ApiError 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        if (await _read(connection, key_id)).in_use:
            await queries("keys").revoke(connection, id=key_id, actor=scope.actor)
            await record(connection, scope, "key.revoked", f"key:{key_id}")
        return await _read(connection, key_id)


async def read_key(pool: Pool, scope: TenantScope, key_id: UUID) -> Key:
    """Return a key. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, key_id)


async def find_in_use(pool: Pool, scope: TenantScope, name: str) -> Key | None:
    """Return the key in use that has a name."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("keys").in_use_named(connection, name=name)
        return await _read(connection, row["id"]) if row else None


async def list_keys(
    pool: Pool,
    scope: TenantScope,
    *,
    ended: bool = False,
    cursor: str | None = None,
    limit: int = PAGE_MAX,
) -> KeyPage:
    """Return a page of keys, newest first. ended: also those that are not accepted any more.

    Raises ApiError 400 for a cursor that is none.
    """
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("keys").page(
            connection, ended=ended, before_at=before_at, before_id=before_id, limit=limit + 1
        )
        keys = [Key.from_row(row) async for row in rows]
    items = tuple(keys[:limit])
    return KeyPage(items, _cursor(items[-1]) if len(keys) > limit else None)


async def _insert(
    connection: Connection,
    scope: TenantScope,
    draft: KeyDraft,
    *,
    maker: KeyMaker,
    text: str | None = None,
    key_id: UUID | None = None,
) -> MadeKey:
    key_id, text = key_id or uuid4(), text or new_key(draft.kind)
    await queries("keys").insert(
        connection,
        id=key_id,
        tenant_id=scope.tenant_id,
        name=draft.name,
        role=draft.role,
        scopes=None if draft.scopes is None else sorted(draft.scopes),
        key_hash=hash_key(text, pepper=maker.pepper),
        shown=shown_part(text),
        networks=[str(network) for network in draft.networks],
        created_by=scope.actor,
        expires_at=draft.expires_at,
    )
    return MadeKey(await _read(connection, key_id), text)


async def _read(connection: Connection, key_id: UUID) -> Key:
    row = await queries("keys").one(connection, id=key_id)
    if row is None:
        raise not_found("key")
    return Key.from_row(row)


async def _refuse_too_many(connection: Connection, most: int, *, with_replaced: bool) -> None:
    count = await queries("keys").count_in_use(connection, with_replaced=with_replaced)
    if count >= most:
        raise ApiError(
            409,
            "key.too_many",
            f"The tenant has {count} keys in use, and may have {most}. Revoke one that is not "
            "needed any more.",
            limit=most,
        )


def _refuse_end(draft: KeyDraft) -> None:
    if draft.expires_at is None:
        return
    now = datetime.now(UTC)
    if draft.expires_at <= now:
        raise ApiError(400, "key.expires_at", "expires_at is over: give a time to come, or none.")
    if draft.expires_at - now > LIFETIME_MAX:
        raise ApiError(400, "key.expires_at", "expires_at is over ten years away: give none.")


def _target(key: Key) -> str:
    return f"key:{key.id}"


def _rights(draft: KeyDraft) -> dict[str, Any]:
    """Return what the record says of a new key."""
    scopes = None if draft.scopes is None else " ".join(sorted(draft.scopes))
    return {"role": draft.role, "scopes": scopes, "expires_at": draft.expires_at}


def _cursor(last: Key) -> str:
    return encode_cursor(last.created_at, last.id)
