"""API keys from Postgres, as `ingest` asks for them.

While Postgres is away, a key that was good a short while ago stays good here, so that spans go on:
until then, a process that cannot reach Postgres does not learn that a key was revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from api.auth.addresses import Address
from api.auth.key_uses import KeyUses, keep_uses
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Permission
from api.database import DatabaseUnavailable, QueryTooSlow, open_pool
from api.ingest.credentials import Keys, KeysUnavailable
from api.settings import Settings


class StoredKeys:
    """Implements `Keys`."""

    def __init__(self, verifier: KeyVerifier) -> None:
        self._verifier = verifier

    async def ingest_tenant(self, key: str, *, address: Address | None) -> str | None:
        """Return the tenant of a key that may send spans; see `Keys`."""
        try:
            principal = await self._verifier.verify(key, address=address)
        except (DatabaseUnavailable, QueryTooSlow) as error:
            raise KeysUnavailable from error
        if principal is None:
            return None
        if not principal.may(Permission.SPANS_INGEST):
            raise PermissionError
        return str(principal.scope.tenant_id)


@asynccontextmanager
async def open_stored_keys(settings: Settings) -> AsyncIterator[Keys]:
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
        writing = asyncio.create_task(keep_uses(pool, uses), name="key-uses")
        try:
            yield StoredKeys(verifier)
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
