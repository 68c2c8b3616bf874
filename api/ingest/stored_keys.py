"""API keys from Postgres, with a memory that outlasts a short stop of it.

`api.auth.keys` remembers answers for seconds. While Postgres is away, a key that was good a short
while ago stays good here: nobody can revoke it during that time anyway, and spans go on.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from api.auth.keys import KeyVerifier
from api.auth.principal import Permission
from api.database import DatabaseUnavailable, QueryTooSlow, open_pool
from api.ingest.credentials import Keys, KeysUnavailable
from api.settings import Settings

_GRACE_S = 15 * 60.0
_CAPACITY = 10_000


class StoredKeys:
    """Implements `Keys`. Remembers tenants by a hash of the key, never the key."""

    def __init__(
        self, verifier: KeyVerifier, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._verifier = verifier
        self._monotonic = monotonic
        self._salt = secrets.token_bytes(32)
        self._good: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    async def ingest_tenant(self, key: str) -> str | None:
        """Return the tenant of a key that may send spans; see `Keys`."""
        remembered_as = hmac.digest(self._salt, key.encode(), "sha256")
        try:
            principal = await self._verifier.verify(key)
        except (DatabaseUnavailable, QueryTooSlow) as error:
            return self._lately_good(remembered_as, error)
        if principal is None:
            self._good.pop(remembered_as, None)
            return None
        if not principal.may(Permission.SPANS_INGEST):
            raise PermissionError
        tenant = str(principal.scope.tenant_id)
        self._good[remembered_as] = tenant, self._monotonic()
        self._good.move_to_end(remembered_as)
        if len(self._good) > _CAPACITY:
            self._good.popitem(last=False)
        return tenant

    def _lately_good(self, remembered_as: bytes, error: Exception) -> str:
        tenant, good_at_s = self._good.get(remembered_as, ("", 0.0))
        if not tenant or self._monotonic() - good_at_s > _GRACE_S:
            raise KeysUnavailable from error
        return tenant


@asynccontextmanager
async def open_stored_keys(settings: Settings) -> AsyncIterator[Keys]:
    """Open a pool on Postgres and yield the keys in it. Connections are made when needed."""
    async with open_pool(
        settings.app_dsn, size=min(settings.database_pool_max, 4), name="betrace-ingest"
    ) as pool:
        yield StoredKeys(KeyVerifier(pool, pepper=settings.pepper))
