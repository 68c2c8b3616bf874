"""The keys of tenants at work: the one for now, and any by its id.

    current, signer ─► newest on record ─► none, or revoked? make the next generation: one wins
    open            ─► on record by id  ─► its state allows it? unwrap

What is on record is asked for anew after some seconds, so that a rotation or a revocation reaches
every process within these. Unwrapped keys are kept longer, and dropped as soon as the process hears
that they are revoked or destroyed. Python cannot wipe them from its memory.

For one event loop; sources are asked in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Self
from uuid import UUID

from udfs.keysource.keys import Form, KeyRecord, KeyState, Purpose
from udfs.keysource.making import BETRACE, make_next
from udfs.keysource.remembered import Counts, Remembered
from udfs.keysource.shelf import KeyShelf
from udfs.keysource.source import Sign
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import KeyRevoked, UnknownKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How long things are remembered, and how many.

    record_s: what is on record, and so the bound on how long a revoked key goes on. secret_s:
    unwrapped keys. grace_s: for so much longer, while the source or the record is away.
    """

    record_s: float = 5.0
    secret_s: float = 3_600.0
    grace_s: float = 600.0
    most: int = 1_000


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key in the clear: 32 bytes."""

    record: KeyRecord
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """A signing key ready to sign."""

    record: KeyRecord
    sign: Sign = field(repr=False)

    @property
    def asks(self) -> bool:
        """Whether each signature is a question to the source, to be put in a thread."""
        return self.record.sealed is not None and self.record.sealed.form is Form.INSIDE


class KeyRing:
    """Keys of all tenants. Every method raises KeysUnavailable, and KeyTrouble as it says."""

    def __init__(
        self,
        sources: Sources,
        shelf: KeyShelf,
        *,
        ages: Ages | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._shelf = shelf
        self._caches = _Caches.of(ages or Ages(), monotonic)

    async def current(self, tenant: UUID, purpose: Purpose) -> OpenKey:
        """Return the key to seal or hash with now, making one if there is none."""
        record = await self._current(tenant, purpose)
        return OpenKey(record, await self._secret(record))

    async def signer(self, tenant: UUID) -> Signer:
        """Return what signs for the tenant now, making a key if there is none."""
        return await self._signer(await self._current(tenant, Purpose.SIGNING))

    async def endorser(self, tenant: UUID, key_id: UUID) -> Signer:
        """Return what signs with a key that may be retired: for its word on the key that follows.

        Raises UnknownKey, KeyRevoked, KeyDestroyed.
        """
        record = await self.record(tenant, key_id)
        if record.purpose is not Purpose.SIGNING:
            raise unknown_key(tenant, key_id)
        if record.state is KeyState.REVOKED:
            raise KeyRevoked(
                "the key was revoked",
                where=f"tenant {tenant}, key {key_id}",
                next_step="Nothing is signed with it any more.",
            )
        return await self._signer(record)

    async def open(
        self, tenant: UUID, key_id: UUID, purpose: Purpose, *, even_revoked: bool = False
    ) -> OpenKey:
        """Return a key to read or compare with, active or retired.

        even_revoked: for whoever seals anew what a revoked key sealed; a thief may have written
        that as well. Raises UnknownKey, KeyRevoked, KeyDestroyed, KeyRefused.
        """
        record = await self.record(tenant, key_id)
        if record.purpose is not purpose or purpose is Purpose.SIGNING:
            raise unknown_key(tenant, key_id)
        if record.state is KeyState.REVOKED and not even_revoked:
            raise KeyRevoked(
                "the key was revoked",
                where=f"tenant {tenant}, key {key_id}",
                next_step="Seal anew with the current key what it sealed, then destroy it.",
            )
        return OpenKey(record, await self._secret(record))

    async def record(self, tenant: UUID, key_id: UUID) -> KeyRecord:
        """Return what is on record of a key, with its public key. Raises UnknownKey."""

        async def ask() -> KeyRecord:
            found = await self._shelf.find(tenant, key_id)
            if found is None:
                raise unknown_key(tenant, key_id)
            return found

        record = await self._caches.records.get((tenant, key_id), ask)
        if record.state in (KeyState.REVOKED, KeyState.DESTROYED):
            self._caches.drop_secret(tenant, key_id)
        return record

    def drop(self, tenant: UUID) -> None:
        """Forget all that is remembered of a tenant."""
        self._caches.drop(tenant)

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of questions, by what was asked for."""
        return self._caches.counts

    async def _current(self, tenant: UUID, purpose: Purpose) -> KeyRecord:
        async def ask() -> KeyRecord:
            newest = await self._shelf.newest(tenant, purpose)
            if newest is not None and newest.state is KeyState.ACTIVE:
                return newest
            if newest is not None:
                # A revoked key has no grace, if making another one fails.
                self._caches.newest.expire((tenant, purpose))
                self._caches.drop_secret(tenant, newest.id)
            return await make_next(
                self._sources.first,
                self._shelf,
                tenant=tenant,
                purpose=purpose,
                after=newest,
                by=BETRACE,
            )

        return await self._caches.newest.get((tenant, purpose), ask)

    async def _signer(self, record: KeyRecord) -> Signer:
        source, sealed = self._sources.opening(record)

        async def ask() -> Sign:
            return await asyncio.to_thread(source.signer, sealed, record.binding)

        return Signer(record, await self._caches.signers.get((record.tenant, record.id), ask))

    async def _secret(self, record: KeyRecord) -> bytes:
        source, sealed = self._sources.opening(record)

        async def ask() -> bytes:
            return await asyncio.to_thread(source.unwrap, sealed, record.binding)

        return await self._caches.secrets.get((record.tenant, record.id), ask)


@dataclass(frozen=True, slots=True)
class _Caches:
    """What a ring remembers; every key begins with the tenant."""

    newest: Remembered[tuple[UUID, Purpose], KeyRecord]
    records: Remembered[tuple[UUID, UUID], KeyRecord]
    secrets: Remembered[tuple[UUID, UUID], bytes]
    signers: Remembered[tuple[UUID, UUID], Sign]

    @classmethod
    def of(cls, ages: Ages, monotonic: Callable[[], float]) -> Self:
        made = partial(Remembered, grace_s=ages.grace_s, most=ages.most, monotonic=monotonic)
        return cls(
            newest=made(age_s=ages.record_s),
            records=made(age_s=ages.record_s),
            secrets=made(age_s=ages.secret_s),
            signers=made(age_s=ages.secret_s),
        )

    def drop_secret(self, tenant: UUID, key_id: UUID) -> None:
        """Forget a key in the clear."""
        self.secrets.drop((tenant, key_id))
        self.signers.drop((tenant, key_id))

    def drop(self, tenant: UUID) -> None:
        """Forget all of a tenant."""
        for cache in (self.newest, self.records, self.secrets, self.signers):
            cache.drop_if(lambda key: key[0] == tenant)

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of questions, by what was asked for."""
        return {field.name: getattr(self, field.name).counts for field in fields(self)}


def unknown_key(tenant: UUID, key_id: UUID) -> UnknownKey:
    """Return the trouble of a key that the tenant has not, or not for what it is asked for."""
    return UnknownKey(
        "the tenant has no such key for this purpose",
        where=f"tenant {tenant}, key {key_id}",
        next_step="`betrace keyring list` names its keys.",
    )
