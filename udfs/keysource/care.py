"""What becomes of keys: rotated, revoked, destroyed, wrapped by another master key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from udfs.keysource.keys import Form, KeyRecord, KeyState, Purpose, Revocation, Sealed
from udfs.keysource.making import make_next
from udfs.keysource.ring import KeyRing, unknown_key
from udfs.keysource.shelf import KeyShelf
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import KeyRefused


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class KeyCare:
    """Looks after the keys of all tenants.

    ring: of this process, which forgets a tenant's keys when one of them changes; rings of others
    hear of it within the age of their records. Every method raises KeysUnavailable, and KeyTrouble
    as it says. by: who asks for it, as the audit log names them.
    """

    def __init__(
        self,
        sources: Sources,
        shelf: KeyShelf,
        ring: KeyRing,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._sources = sources
        self._shelf = shelf
        self._ring = ring
        self._clock = clock

    async def all_of(self, tenant: UUID) -> Sequence[KeyRecord]:
        """Return what is on record of all keys of a tenant, by purpose and generation."""
        return await self._shelf.all_of(tenant)

    async def rotate(self, tenant: UUID, purpose: Purpose, *, by: str) -> KeyRecord:
        """Let the next generation follow and return it: ours, or that of who was faster."""
        newest = await self._shelf.newest(tenant, purpose)
        return await self._follow(newest, tenant=tenant, purpose=purpose, by=by)

    async def rotate_after(self, record: KeyRecord, *, by: str) -> KeyRecord:
        """Let a key be followed, unless another process did so since it was read."""
        return await self._follow(record, tenant=record.tenant, purpose=record.purpose, by=by)

    async def revoke(
        self,
        tenant: UUID,
        key_id: UUID,
        *,
        reason: str,
        by: str,
        untrusted_from: datetime | None = None,
    ) -> KeyRecord:
        """Trust a key no more. If it was in use, another one is made when one is needed next.

        untrusted_from: since when somebody else may have had it; its signatures of then and later
        count for nothing. None: from now on. Raises UnknownKey, KeyRefused for a time to come.
        """
        at = self._clock()
        since = untrusted_from or at
        if since > at:
            raise KeyRefused(
                f"a key cannot be untrusted from {since.isoformat()} on, which is to come",
                where=_place(tenant, key_id),
                next_step="Give the earliest moment at which somebody else may have had it.",
            )
        await self._find(tenant, key_id)
        revocation = Revocation(at=at, by=by, reason=reason, untrusted_from=since)
        await self._shelf.revoke(tenant, key_id, revocation)
        self._ring.drop(tenant)
        return await self._find(tenant, key_id)

    async def destroy(self, tenant: UUID, key_id: UUID, *, by: str) -> KeyRecord:
        """Destroy the private part of a key that is not in use. Its public key stays on record.

        Raises UnknownKey, KeyRefused for an active key.
        """
        record = await self._find(tenant, key_id)
        if record.state is KeyState.ACTIVE:
            raise KeyRefused(
                "the key is in use",
                where=_place(tenant, key_id),
                next_step="Rotate or revoke it first.",
            )
        await self._destroy(record, by=by)
        self._ring.drop(tenant)
        return await self._find(tenant, key_id)

    async def shred(self, tenant: UUID, *, by: str) -> int:
        """Destroy all keys of a tenant, those in use as well; return how many there were.

        What they sealed is unreadable from then on. Again does no harm.
        """
        left = [record for record in await self._shelf.all_of(tenant) if record.sealed]
        for record in left:
            await self._destroy(record, by=by)
        for source in self._sources:
            await asyncio.to_thread(source.forget, tenant)
        self._ring.drop(tenant)
        return len(left)

    async def rewrap(self, tenant: UUID) -> int:
        """Wrap all keys of a tenant by the newest master key of the first source.

        Returns how many are otherwise wrapped than before. Signing keys inside another source
        stay there until they are rotated.
        """
        changed = 0
        for record in await self._shelf.all_of(tenant):
            if record.sealed is None:
                continue
            sealed = await asyncio.to_thread(self._rewrapped, record)
            if sealed == record.sealed:
                continue
            if await self._shelf.reseal(tenant, record.id, sealed, was=record.sealed):
                changed += 1
                await self._leave(record, sealed)
        self._ring.drop(tenant)
        return changed

    async def _follow(
        self, after: KeyRecord | None, *, tenant: UUID, purpose: Purpose, by: str
    ) -> KeyRecord:
        made = await make_next(
            self._sources.first, self._shelf, tenant=tenant, purpose=purpose, after=after, by=by
        )
        self._ring.drop(tenant)
        return made

    async def _destroy(self, record: KeyRecord, *, by: str) -> None:
        """Destroy it at the source first: a crash in between leaves a record that tries again."""
        if record.sealed is not None:
            source, sealed = self._sources.opening(record)
            await asyncio.to_thread(source.destroy, sealed, record.binding)
        await self._shelf.destroy(record.tenant, record.id, by=by)

    async def _leave(self, record: KeyRecord, sealed: Sealed) -> None:
        """Destroy what the source from before holds of a key that another one wraps now."""
        source, was = self._sources.opening(record)
        if was.provider != sealed.provider:
            await asyncio.to_thread(source.destroy, was, record.binding)

    def _rewrapped(self, record: KeyRecord) -> Sealed:
        source, sealed = self._sources.opening(record)
        first = self._sources.first
        if source is first:
            return first.rewrap(sealed, record.binding)
        if sealed.form is Form.INSIDE:
            return sealed
        return first.wrap(source.unwrap(sealed, record.binding), record.binding)

    async def _find(self, tenant: UUID, key_id: UUID) -> KeyRecord:
        record = await self._shelf.find(tenant, key_id)
        if record is None:
            raise unknown_key(tenant, key_id)
        return record


def _place(tenant: UUID, key_id: UUID) -> str:
    return f"tenant {tenant}, key {key_id}"
