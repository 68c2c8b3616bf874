"""API keys from Postgres, as `ingest` asks for them.

While Postgres is away, a key that was good a short while ago stays good here, so that spans go on:
until then, a process that cannot reach Postgres does not learn that a key was revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from api.audit.decisions import Decisions, Lines
from api.auth.addresses import Address
from api.auth.key_uses import KeyUses, keep_uses
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Permission
from api.database import DatabaseUnavailable, QueryTooSlow, open_pool
from api.ingest.credentials import Keys, KeysUnavailable, MayNotSend, Sender, Tenants
from api.ingest.gate import Records
from api.ingest.records import StoredRecords
from api.ingest.stored_tenants import StoredTenants
from api.keyring.wiring import open_keys
from api.redaction.counting import RedactionCounts, keep_counts
from api.redaction.redactors import Redactors
from api.settings import Settings


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Who may send, where it is written who may not, and what is taken out of what they send."""

    keys: Keys
    tenants: Tenants
    records: Records
    redactors: Redactors
    redaction_counts: RedactionCounts


class StoredKeys:
    """Implements `Keys`."""

    def __init__(self, verifier: KeyVerifier) -> None:
        self._verifier = verifier

    def knows(self, key: str) -> bool:
        """Return whether a key was good a moment ago."""
        return self._verifier.knows(key)

    async def sender(self, key: str, *, address: Address | None) -> Sender | None:
        """Return who may send spans with a key; see `Keys`."""
        try:
            principal = await self._verifier.verify(key, address=address)
        except (DatabaseUnavailable, QueryTooSlow) as error:
            raise KeysUnavailable from error
        if principal is None:
            return None
        if not principal.may(Permission.SPANS_INGEST):
            raise MayNotSend(principal)
        return Sender(str(principal.scope.tenant_id), principal)


@asynccontextmanager
async def open_stored_keys(settings: Settings) -> AsyncIterator[KeyStore]:
    """Open a pool on Postgres and yield the keys in it. Connections are made when needed."""
    uses = KeyUses()
    async with open_pool(
        settings.app_dsn, size=min(settings.database_pool_max, 4), name="betrace-ingest"
    ) as pool:
        verifier = KeyVerifier(
            pool,
            pepper=settings.pepper,
            uses=uses,
            accept_test=settings.accept_test_keys,
            grace_s=settings.key_grace_s,
        )
        decisions = Decisions(pool, lines=Lines.FIRST)
        keys = open_keys(settings.keys, pool)
        counts = RedactionCounts()
        beside = [
            asyncio.create_task(keep_uses(pool, uses), name="key-uses"),
            asyncio.create_task(keep_counts(pool, counts), name="redaction-counts"),
            asyncio.create_task(decisions.run(), name="decisions"),
        ]
        try:
            yield KeyStore(
                StoredKeys(verifier),
                StoredTenants(pool, grace_s=settings.key_grace_s),
                StoredRecords(decisions, pepper=settings.pepper),
                Redactors(pool, keys.ring if keys else None, grace_s=settings.key_grace_s),
                counts,
            )
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError):
                    await task
            await decisions.flush(whole=True)
