"""What tokens stand for, kept in Postgres before the tokens leave.

Strategies say what they made in the midst of their work (`keep`), whoever hands the result on waits
until it is stored (`settle`). Values come here encrypted with the tenant's redaction key.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final
from uuid import UUID

from api.auth.principal import grant_scope
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, queries, tenant_transaction

_MOST_KNOWN: Final = 2_000
"""Tokens of a tenant that are known to be stored, and are not stored again."""
_AT_ONCE: Final = 5_000
_MOST_WAITING: Final = 100_000
"""While Postgres is away; beyond that values are removed in place of tokenised."""


class VaultUnavailable(Exception):
    """Tokens could not be stored: what holds them must not leave."""


class StoredVault:
    """The vault of one tenant, as one process writes it. Implements `Vault`.

    `keep` may be called by any thread, `settle` by one event loop.
    """

    def __init__(self, pool: Pool, tenant: UUID) -> None:
        self._pool = pool
        self._scope = grant_scope(tenant, actor="betrace")
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._known: OrderedDict[str, None] = OrderedDict()

    def keep(self, token: str, sealed: str) -> None:
        """Take what a token stands for, to be stored by the next `settle`.

        Raises VaultUnavailable where too much waits already.
        """
        with self._lock:
            if token in self._known:
                self._known.move_to_end(token)
            elif len(self._waiting) >= _MOST_WAITING:
                raise VaultUnavailable
            else:
                self._waiting[token] = sealed

    async def settle(self) -> None:
        """Store what was taken. Raises VaultUnavailable; then it waits for the next call.

        What others are storing at this moment is stored here as well: nobody goes before it is.
        """
        while self._waiting:
            with self._lock:
                part = dict(list(self._waiting.items())[:_AT_ONCE])
            try:
                async with tenant_transaction(self._pool, self._scope) as connection:
                    await queries("redaction").keep(
                        connection, tokens=list(part), sealed=list(part.values())
                    )
            except (DatabaseUnavailable, QueryTooSlow) as error:
                raise VaultUnavailable from error
            self._stored(part)

    def _stored(self, part: dict[str, str]) -> None:
        with self._lock:
            for token in part:
                self._waiting.pop(token, None)
                self._known[token] = None
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
