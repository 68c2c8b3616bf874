"""Lists of dead letters, one letter, and what people do about it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.dead_letters.model import DeadLetter, LetterFilter, LetterId, LetterPage, LetterState
from api.dead_letters.replay import Replayed, Replayer
from api.problems import ApiError, not_found

PAGE_MAX: Final = 1_000
NOTHING: Final = Replayed(0, 0)


async def list_letters(
    pool: Pool,
    scope: TenantScope,
    chosen: LetterFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> LetterPage:
    """Return one page of letters, newest first. Raises ApiError 400 for a cursor that is none."""
    before_at, before = _place(cursor) if cursor else (None, LetterId(0, 0))
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("dead_letters").page(
            connection,
            state=chosen.state.value if chosen.state else None,
            source=chosen.source,
            code=chosen.code,
            from_at=chosen.from_at,
            to_at=chosen.to_at,
            before_at=before_at,
            before_partition=before.partition,
            before_offset=before.offset,
            limit=limit + 1,
        )
        letters = [DeadLetter.from_row(row) async for row in rows]
    items = tuple(letters[:limit])
    return LetterPage(items, _cursor(items[-1]) if len(letters) > limit else None)


async def get_letter(pool: Pool, scope: TenantScope, letter_id: str) -> DeadLetter:
    """Return one letter with its content. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, LetterId.parse(letter_id), lock=False)


async def replay_letter(
    pool: Pool, scope: TenantScope, replayer: Replayer, letter_id: str
) -> tuple[DeadLetter, Replayed]:
    """Put a letter back into the stream, once: what was put back already stays as it is.

    Raises ApiError 404; 409 if it was discarded or cannot be put back; 422 if it would be refused
    again; 503 without Kafka.
    """
    wanted = LetterId.parse(letter_id)
    async with tenant_transaction(pool, scope) as connection:
        letter = await _read(connection, wanted, lock=True)
        if letter.state is LetterState.REPLAYED:
            return letter, NOTHING
        if letter.state is LetterState.DISCARDED:
            raise ApiError(409, "dead_letter.discarded", "The letter was discarded.")
        replayed = await replayer.replay(str(scope.tenant_id), letter)
        note = f"{replayed.spans} spans taken, {replayed.refused} refused again"
        await _settle(connection, scope, wanted, LetterState.REPLAYED, note=note)
        return await _read(connection, wanted, lock=False), replayed


async def discard_letter(
    pool: Pool, scope: TenantScope, letter_id: str, *, note: str
) -> DeadLetter:
    """Put a letter aside for good, with the reason. Raises ApiError 404; 409 if it was put back."""
    wanted = LetterId.parse(letter_id)
    async with tenant_transaction(pool, scope) as connection:
        letter = await _read(connection, wanted, lock=True)
        if letter.state is LetterState.REPLAYED:
            raise ApiError(409, "dead_letter.replayed", "The letter was put back already.")
        if letter.state is LetterState.WAITING:
            await _settle(connection, scope, wanted, LetterState.DISCARDED, note=note)
        return await _read(connection, wanted, lock=False)


async def _read(connection: Connection, wanted: LetterId, *, lock: bool) -> DeadLetter:
    statements = queries("dead_letters")
    read = statements.lock if lock else statements.one
    row = await read(connection, partition=wanted.partition, offset=wanted.offset)
    if row is None:
        raise not_found("dead letter")
    return DeadLetter.from_row(row)


async def _settle(
    connection: Connection, scope: TenantScope, letter: LetterId, state: LetterState, *, note: str
) -> None:
    await queries("dead_letters").settle(
        connection,
        partition=letter.partition,
        offset=letter.offset,
        state=state.value,
        actor=scope.actor,
        note=note,
    )
    place = f"letter:{letter.partition}-{letter.offset}"
    await record(connection, scope, f"letter.{state}", place)


def _cursor(last: DeadLetter) -> str:
    return encode_cursor(last.at, last.id)


def _place(cursor: str) -> tuple[datetime, LetterId]:
    at, letter = decode_cursor(cursor, datetime, str)
    try:
        return at, LetterId.parse(letter)
    except ApiError as error:
        raise foreign_cursor() from error
