"""The keys of a log, kept in step with the keys of its tenant: each change is a record of the log.

What counts for a verifier is what the log says. So a key signs checkpoints only once the record
that introduces it is in the log, endorsed by the key before it; and a revocation is a record too,
with the size up to which the key is still believed.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from api.database import Connection
from api.evidence.sealing import Log, append_key_change
from api.evidence.statements import statement
from api.keyring.wiring import Keys
from udfs.evidence.key_history import key_history
from udfs.evidence.keys import VerifierKey
from udfs.evidence.malformed import Malformed
from udfs.evidence.pack import LogKey
from udfs.evidence.record_codec import decode_record
from udfs.evidence.records import KeyChange, KeyEvent, Record, endorsement_text
from udfs.keysource import ring
from udfs.keysource.keys import KeyRecord, Purpose
from udfs.keysource.trouble import KeyDestroyed, KeyRevoked

log_of_process = structlog.get_logger(__name__)

_DESTROYED: Final = "destroyed before it could sign for the key that follows"


@dataclass(frozen=True, slots=True)
class LogSigner:
    """A key of a tenant as what signs its log (`udfs.evidence.keys.Signer`)."""

    signer: ring.Signer

    @property
    def key_id(self) -> str:
        """Of tenant_keys."""
        return str(self.signer.record.id)

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        public_key = self.signer.record.public_key
        assert public_key is not None, "a signing key has a public part"
        return public_key

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes; it may wait for a network."""
        return self.signer.sign(message)


async def signer_in_log(connection: Connection, keys: Keys, log: Log, *, now_ms: int) -> LogSigner:
    """Return what signs a locked log now, once the log itself says so.

    Raises KeysUnavailable and KeyTrouble: then nothing may be signed, and what was written in the
    transaction is to be undone.
    """
    signer = LogSigner(await keys.ring.signer(log.tenant))
    keeper = _Keeper(connection, keys, log, now_ms)
    await keeper.revoke()
    await keeper.introduce(signer)
    return signer


async def revoke_in_log(connection: Connection, keys: Keys, log: Log, *, now_ms: int) -> None:
    """Let a locked log say which of its keys were revoked, whether or not another one can sign.

    Raises KeyTrouble.
    """
    await _Keeper(connection, keys, log, now_ms).revoke()


async def read_key_history(connection: Connection, tenant: UUID) -> list[LogKey]:
    """Return the keys of a log, oldest first. Raises ValueError for a record that is not one."""
    rows = await connection.execute(statement("key_records"), {"tenant_id": tenant}, binary=True)
    return history_of([row["line"] for row in await rows.fetchall()])


def history_of(lines: Sequence[bytes]) -> list[LogKey]:
    """Return the keys that records about keys tell of. Raises ValueError for what is no record."""
    return key_history([_decoded(line) for line in lines])


def _decoded(line: bytes) -> Record:
    record = decode_record(line)
    if isinstance(record, Malformed):
        raise ValueError(f"a record of the log cannot be read: {record}")
    return record


@dataclass(slots=True)
class _Keeper:
    """Writes what the log does not say yet of its tenant's keys."""

    connection: Connection
    keys: Keys
    log: Log
    now_ms: int

    async def revoke(self) -> None:
        """Say of each key of the log that was revoked up to where it counts."""
        known = {one.verifier_key: one for one in await self._history()}
        for record in await self.keys.care.all_of(self.log.tenant):
            if record.purpose is not Purpose.SIGNING or record.revocation is None:
                continue
            of_log = known.get(self._verifier_key(record))
            if of_log is None:
                continue
            size = await self._size_before(record.revocation.untrusted_from)
            if of_log.revoked_since is None or size < of_log.revoked_since:
                await self._revoke(record, size, record.revocation.reason)

    async def introduce(self, signer: LogSigner) -> None:
        """Let a key follow the one before, unless it is the log's already."""
        history = await self._history()
        newest = history[-1] if history else None
        fresh = self._verifier_key(signer.signer.record)
        if newest is not None and newest.verifier_key == fresh:
            if newest.revoked_since is not None:
                raise KeyRevoked(
                    "the key was revoked a moment ago",
                    where=f"tenant {self.log.tenant}, key {signer.key_id}",
                    next_step="The one that follows signs within seconds.",
                )
            return
        event = KeyEvent.ROTATED if newest else KeyEvent.CREATED
        endorsement = await self._endorsement(newest, fresh) if newest else ""
        change = KeyChange(event, fresh, endorsement)
        await self._append(change, f"{event.value}:{signer.key_id}")

    async def _endorsement(self, before: LogKey, fresh: str) -> str:
        """Return what the key before signs, empty if it is revoked.

        A key that is gone cannot sign: it is revoked then from its last checkpoint on.
        """
        if before.revoked_since is not None:
            return ""
        record = await self._record_of(before)
        try:
            if record is None:
                raise KeyDestroyed("the key is gone", where=before.verifier_key, next_step="")
            old = await self.keys.ring.endorser(self.log.tenant, record.id)
        except (KeyDestroyed, KeyRevoked):
            await self._append(
                KeyChange(
                    KeyEvent.REVOKED,
                    before.verifier_key,
                    since_size=await self._size_before(None),
                    reason=_DESTROYED,
                ),
                f"revoked:{before.verifier_key}",
            )
            return ""
        text = endorsement_text(
            origin=self.log.origin, seq=self.log.frontier.size, verifier_key=fresh
        )
        return b64encode(await asyncio.to_thread(old.sign, text.encode())).decode()

    async def _revoke(self, record: KeyRecord, size: int, reason: str) -> None:
        change = KeyChange(
            KeyEvent.REVOKED, self._verifier_key(record), since_size=size, reason=reason[:1_000]
        )
        await self._append(change, f"revoked:{record.id}:{size}")

    async def _append(self, change: KeyChange, identity: str) -> None:
        seq = await append_key_change(
            self.connection, self.log, change, identity=identity, now_ms=self.now_ms
        )
        log_of_process.info(
            "evidence.key", tenant=str(self.log.tenant), became=change.event.value, seq=seq
        )

    async def _history(self) -> list[LogKey]:
        return await read_key_history(self.connection, self.log.tenant)

    async def _record_of(self, key: LogKey) -> KeyRecord | None:
        for record in await self.keys.care.all_of(self.log.tenant):
            if record.public_key and self._verifier_key(record) == key.verifier_key:
                return record
        return None

    async def _size_before(self, moment: datetime | None) -> int:
        """Return the size of the newest checkpoint from before a moment; None: of all."""
        before_ms = int(moment.timestamp() * 1000) if moment else 2**62
        found = await self.connection.execute(
            statement("size_before"), {"tenant_id": self.log.tenant, "time_ms": before_ms}
        )
        row = await found.fetchone()
        return int(next(iter(row.values()))) if row else 0

    def _verifier_key(self, record: KeyRecord) -> str:
        assert record.public_key is not None, "a signing key has a public part"
        return str(VerifierKey(self.log.origin, record.public_key))
