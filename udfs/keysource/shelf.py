"""Where a tenant's keys are on record, and such a record in memory for pure tests.

Rows are added and marked; what was added is never changed but for how the private part is wrapped,
and that it is gone. tests/integration/keysource has what every shelf must do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from udfs.keysource.keys import KeyDraft, KeyRecord, Purpose, Revocation, Sealed


class KeyShelf(Protocol):
    """Every method raises KeysUnavailable while the record cannot be reached."""

    async def newest(self, tenant: UUID, purpose: Purpose) -> KeyRecord | None:
        """Return the key of the highest generation, whatever its state."""

    async def find(self, tenant: UUID, key_id: UUID) -> KeyRecord | None:
        """Return a key of the tenant by its id, whatever its state."""

    async def all_of(self, tenant: UUID) -> Sequence[KeyRecord]:
        """Return all keys of the tenant, by purpose and generation."""

    async def add(self, draft: KeyDraft) -> KeyRecord | None:
        """Put a key on record and return it, as made now; None if its generation is taken.

        Of several that add the same generation at once, one gets it.
        """

    async def revoke(self, tenant: UUID, key_id: UUID, revocation: Revocation) -> None:
        """Mark a key as revoked; if it is already, only an earlier `untrusted_from` counts."""

    async def destroy(self, tenant: UUID, key_id: UUID, *, by: str) -> None:
        """Remove the private part of a key from the record, for ever. Again does no harm."""

    async def reseal(self, tenant: UUID, key_id: UUID, sealed: Sealed, *, was: Sealed) -> bool:
        """Put the same key otherwise wrapped in place of `was`; return whether that was there."""


class MemoryShelf:
    """A record in memory."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._keys: dict[UUID, KeyRecord] = {}

    async def newest(self, tenant: UUID, purpose: Purpose) -> KeyRecord | None:
        """Return the key of the highest generation."""
        of_purpose = [key for key in await self.all_of(tenant) if key.purpose is purpose]
        return of_purpose[-1] if of_purpose else None

    async def find(self, tenant: UUID, key_id: UUID) -> KeyRecord | None:
        """Return a key by its id."""
        key = self._keys.get(key_id)
        return key if key is not None and key.tenant == tenant else None

    async def all_of(self, tenant: UUID) -> Sequence[KeyRecord]:
        """Return all keys of the tenant."""
        keys = [key for key in self._keys.values() if key.tenant == tenant]
        return sorted(keys, key=lambda key: (key.purpose, key.generation))

    async def add(self, draft: KeyDraft) -> KeyRecord | None:
        """Put a key on record."""
        before = await self.newest(draft.tenant, draft.purpose)
        if before is not None and before.generation >= draft.generation:
            return None
        now = self._clock()
        if before is not None:
            self._keys[before.id] = replace(before, retired_at=now)
        added = KeyRecord(
            id=draft.id,
            tenant=draft.tenant,
            purpose=draft.purpose,
            generation=draft.generation,
            sealed=draft.sealed,
            public_key=draft.public_key,
            created_at=now,
            created_by=draft.created_by,
        )
        self._keys[added.id] = added
        return added

    async def revoke(self, tenant: UUID, key_id: UUID, revocation: Revocation) -> None:
        """Mark a key as revoked."""
        key = self._keys[key_id]
        earlier = key.revocation
        if earlier is not None:
            since = min(earlier.untrusted_from, revocation.untrusted_from)
            revocation = replace(earlier, untrusted_from=since)
        self._keys[key_id] = replace(key, revocation=revocation)

    async def destroy(self, tenant: UUID, key_id: UUID, *, by: str) -> None:
        """Remove the private part."""
        key = self._keys[key_id]
        if key.destroyed_at is None:
            self._keys[key_id] = replace(key, sealed=None, destroyed_at=self._clock())

    async def reseal(self, tenant: UUID, key_id: UUID, sealed: Sealed, *, was: Sealed) -> bool:
        """Put the same key otherwise wrapped."""
        key = self._keys[key_id]
        if key.sealed != was:
            return False
        self._keys[key_id] = replace(key, sealed=sealed)
        return True
