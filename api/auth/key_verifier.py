"""Whether a presented API key is good, for whom, and from where.

How long a key goes on after it was revoked, in every process that takes keys: REMEMBERED_S, since
answers are remembered for so long. Where a process cannot reach Postgres it may be given a grace
(`ingest` has one): the last good answer then counts for so long. A key's own end is never passed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.auth.addresses import Address, AddressRefused, is_within, parse_networks
from api.auth.key_uses import KeyUses
from api.auth.keys import KeyKind, hash_key, kind_of
from api.auth.principal import GRANTS, ApiKeyPrincipal, Permission, Role, grant_scope
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, one_statement, queries
from api.limits.settings import TenantLimits

REMEMBERED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database said of a key, when, and when the key ends by itself (monotonic)."""

    principal: ApiKeyPrincipal
    asked_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class _Entry:
    stale_s: float
    found: asyncio.Task[_Known | None]

    @property
    def known(self) -> _Known | None:
        """The answer, if there is one already and it is good."""
        if not self.found.done() or self.found.cancelled() or self.found.exception():
            return None
        return self.found.result()


class KeyVerifier:
    """Verifies API keys against the database, remembering answers for `ttl_s` seconds.

    grace_s: so long after the database last said that a key is good, an outage does no harm to it;
    0: none. Many requests with one key ask the database once. The memory holds at most `capacity`
    answers, by hash, never a key. One instance serves one event loop.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        pepper: bytes,
        uses: KeyUses | None = None,
        accept_test: bool = False,
        ttl_s: float = REMEMBERED_S,
        grace_s: float = 0.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._pepper = pepper
        self._uses = uses
        self._accept_test = accept_test
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def knows(self, key: str) -> bool:
        """Return whether a key was good a moment ago, without asking anybody."""
        entry = self._entries.get(hash_key(key, pepper=self._pepper))
        return entry is not None and entry.stale_s > self._clock() and entry.known is not None

    async def verify(self, key: str, *, address: Address | None) -> ApiKeyPrincipal | None:
        """Return who holds the key, or None if nobody does.

        address: where the request came from, None if unknown.
        Raises AddressRefused, DatabaseUnavailable, QueryTooSlow.
        """
        kind = kind_of(key)
        if kind is None or (kind is KeyKind.TEST and not self._accept_test):
            return None
        known = await self._known(hash_key(key, pepper=self._pepper))
        if known is None or known.ends_s <= self._clock():
            return None
        principal = known.principal
        if principal.networks and not is_within(address, principal.networks):
            raise AddressRefused(address)
        if self._uses is not None:
            self._uses.note(principal)
        return principal

    async def _known(self, key_hash: bytes) -> _Known | None:
        entry = self._entries.get(key_hash)
        if entry is None or entry.stale_s <= self._clock():
            entry = self._remember(key_hash, before=entry.known if entry else None)
        try:
            return await asyncio.shield(entry.found)
        except Exception:
            if self._entries.get(key_hash) is entry:
                del self._entries[key_hash]
            raise

    def _remember(self, key_hash: bytes, *, before: _Known | None) -> _Entry:
        looking_up = asyncio.create_task(self._look_up(key_hash, before))
        entry = _Entry(self._clock() + self._ttl_s, looking_up)
        self._entries[key_hash] = entry
        self._entries.move_to_end(key_hash)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return entry

    async def _look_up(self, key_hash: bytes, before: _Known | None) -> _Known | None:
        asked_s = self._clock()
        try:
            async with one_statement(self._pool) as connection:
                row = await queries("auth").key_at_hand(connection, key_hash=key_hash)
        except (DatabaseUnavailable, QueryTooSlow):
            # An answer is remembered for ttl_s from here on, so the grace ends that much earlier.
            if before is None or self._clock() + self._ttl_s > before.asked_s + self._grace_s:
                raise
            return before
        if row is None:
            return None
        left_s = math.inf if row["left_s"] is None else float(row["left_s"])
        return _Known(_principal(row), asked_s, asked_s + left_s)


def _principal(row: Mapping[str, Any]) -> ApiKeyPrincipal:
    role = Role(row["role"]) if row["role"] else None
    return ApiKeyPrincipal(
        key_id=row["id"],
        name=row["name"],
        role=role,
        scope=grant_scope(row["tenant_id"], actor=f"key:{row['name']}"),
        permissions=GRANTS[role] if role else known_scopes(row["scopes"]),
        networks=parse_networks(row["networks"]),
        expires_at=row["expires_at"],
        limits=TenantLimits.from_settings(row["tenant_settings"]),
        delete_after=row["delete_after"],
    )


def known_scopes(names: list[str]) -> frozenset[Permission]:
    """Return the permissions of those names; a name that this release has not grants nothing."""
    return frozenset(permission for permission in Permission if permission.value in names)
