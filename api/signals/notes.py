"""Notes of people on signals: Markdown, redacted before it is kept, corrected by who wrote it.

The audit log has the hash of every text that was kept, and never the text. What personal data and
secrets a note held is gone before it reaches the database, by the tenant's policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found, stale
from api.redaction.redactors import Redactors
from api.redaction.service import redacted_text
from api.signals.service import parse_signal_id

TEXT_MAX: Final = 10_000
PAGE_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note. text_hash: SHA-256 of the text as first kept or last changed, in hex.

    acting: who wrote in the author's place, empty: nobody. removed_at: then there is no text.
    """

    id: str
    signal_id: str
    text: str
    text_hash: str
    author: str
    acting: str
    version: int
    created_at: datetime
    changed_at: datetime | None
    removed_at: datetime | None
    removed_by: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Note:
        """Build from a row that has the columns of the fields."""
        return cls(**{**{name: row[name] for name in cls.__slots__}, "id": str(row["id"])})


@dataclass(frozen=True, slots=True)
class NotePage:
    """Notes of a signal, newest first."""

    items: tuple[Note, ...]
    next_cursor: str | None


class Notes:
    """Reads and writes notes."""

    def __init__(self, pool: Pool, redactors: Redactors) -> None:
        self._pool = pool
        self._redactors = redactors

    async def page(
        self, scope: TenantScope, signal_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> NotePage:
        """Return a page of the notes of a signal, newest first.

        Raises ApiError 404; 400 for a cursor that is none.
        """
        before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
        wanted = parse_signal_id(signal_id)
        async with tenant_transaction(self._pool, scope) as connection:
            await _look_for_signal(connection, wanted)
            rows = queries("signals").notes(
                connection,
                signal_id=wanted,
                before_at=before_at,
                before_id=before_id,
                limit=limit + 1,
            )
            notes = [Note.from_row(row) async for row in rows]
        items = tuple(notes[:limit])
        more = len(notes) > limit
        last = items[-1] if more else None
        return NotePage(items, encode_cursor(last.created_at, UUID(last.id)) if last else None)

    async def read(self, scope: TenantScope, signal_id: str, note_id: str) -> Note:
        """Return one note. Raises ApiError 404."""
        wanted, id_ = parse_signal_id(signal_id), _parse_id(note_id)
        async with tenant_transaction(self._pool, scope) as connection:
            return await _read(connection, wanted, id_)

    async def add(self, scope: TenantScope, signal_id: str, text: str) -> Note:
        """Keep a note, redacted. Raises ApiError 404; 400 without text or for too much; 503."""
        wanted, note_id = parse_signal_id(signal_id), uuid4()
        kept = await self._redacted(scope, text)
        async with tenant_transaction(self._pool, scope) as connection:
            await _look_for_signal(connection, wanted)
            await queries("signals").add_note(
                connection,
                id=note_id,
                signal_id=wanted,
                text=kept,
                text_hash=_hash(kept),
                author=scope.actor,
            )
            await _record(connection, scope, "signal.note_added", wanted, note_id, kept)
            return await _read(connection, wanted, note_id)

    async def change(
        self, scope: TenantScope, signal_id: str, note_id: str, text: str, *, version: int | None
    ) -> Note:
        """Correct a note; only who wrote it may. The audit log keeps the hashes of both texts.

        Raises ApiError 404; 403 for a note of somebody else; 409 if the version given is not the
        current one; 400 as `add`.
        """
        wanted, id_ = parse_signal_id(signal_id), _parse_id(note_id)
        kept = await self._redacted(scope, text)
        async with tenant_transaction(self._pool, scope) as connection:
            await _lock(connection, scope, wanted, id_, version=version)
            await queries("signals").change_note(
                connection, id=id_, text=kept, text_hash=_hash(kept)
            )
            await _record(connection, scope, "signal.note_changed", wanted, id_, kept)
            return await _read(connection, wanted, id_)

    async def remove(
        self, scope: TenantScope, signal_id: str, note_id: str, *, version: int | None
    ) -> Note:
        """Take the text of a note away; only who wrote it may. Its place stays.

        Raises ApiError 404, 403, 409 as `change`.
        """
        wanted, id_ = parse_signal_id(signal_id), _parse_id(note_id)
        async with tenant_transaction(self._pool, scope) as connection:
            await _lock(connection, scope, wanted, id_, version=version)
            await queries("signals").remove_note(connection, id=id_, actor=scope.actor)
            await _record(connection, scope, "signal.note_removed", wanted, id_, None)
            return await _read(connection, wanted, id_)

    async def _redacted(self, scope: TenantScope, text: str) -> str:
        wanted = text.strip()
        if not wanted:
            raise ApiError(400, "note.empty", "Write something: a note needs a text.")
        if len(wanted) > TEXT_MAX:
            raise ApiError(
                400,
                "note.too_long",
                f"The note has {len(wanted):,} characters, {TEXT_MAX:,} at most: link to the rest.",
            )
        plain = wanted.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return await redacted_text(self._redactors, scope, plain)


async def _look_for_signal(connection: Connection, signal_id: bytes) -> None:
    if await queries("signals").version_of(connection, id=signal_id) is None:
        raise not_found("signal")


async def _read(connection: Connection, signal_id: bytes, note_id: UUID) -> Note:
    row = await queries("signals").note(connection, signal_id=signal_id, id=note_id)
    if row is None:
        raise not_found("note")
    return Note.from_row(row)


async def _lock(
    connection: Connection,
    scope: TenantScope,
    signal_id: bytes,
    note_id: UUID,
    *,
    version: int | None,
) -> None:
    """Hold a note that may be changed. Raises ApiError 404, 403, 409."""
    row = await queries("signals").lock_note(connection, signal_id=signal_id, id=note_id)
    if row is None or row["removed_at"] is not None:
        raise not_found("note")
    if row["author"] != scope.actor:
        raise ApiError(
            403, "note.of_somebody_else", "Only who wrote a note corrects or removes it."
        )
    if version not in (None, row["version"]):
        raise stale("note", current=row["version"])


async def _record(
    connection: Connection,
    scope: TenantScope,
    action: str,
    signal_id: bytes,
    note_id: UUID,
    text: str | None,
) -> None:
    await record(
        connection,
        scope,
        action,
        f"signal:{signal_id.hex()}",
        note=note_id,
        characters=None if text is None else len(text),
        sha256=None if text is None else _hash(text).hex(),
    )


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found("note") from error
