"""Whether a key or a session is an operator's, and the sessions of browsers.

Nothing is remembered: an operator is refused at the next request after the key was revoked.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from api.audit.trail import record_of_operators
from api.auth.addresses import Address, AddressRefused, is_within, parse_networks
from api.auth.hashes import keyed_hash
from api.database import Pool, credential_transaction, queries
from api.operators.keys import hash_operator_key, is_operator_key
from api.operators.principal import OperatorPrincipal, grant_operator

IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Begun:
    """A session of a browser. token: what it sends from now on."""

    token: str
    operator: OperatorPrincipal


class Operators:
    """Finds out which operator sent a request."""

    def __init__(self, pool: Pool, *, pepper: bytes) -> None:
        self._pool = pool
        self._pepper = pepper

    async def by_key(self, key: str, *, address: Address | None) -> OperatorPrincipal | None:
        """Return who holds a key, None if nobody does. Raises AddressRefused."""
        if not is_operator_key(key):
            return None
        key_hash = hash_operator_key(key, pepper=self._pepper)
        async with credential_transaction(self._pool, key_hash) as connection:
            row = await queries("operators").by_key(connection, hash=key_hash)
            if row is None:
                return None
            _refuse_place(row, address)
            await queries("operators").used(connection, hash=key_hash)
        return _principal(row, key_hash)

    async def by_session(self, token: str, *, address: Address | None) -> OperatorPrincipal | None:
        """Return whose session it is, None if it is over or idle. Raises AddressRefused."""
        token_hash = self._hash(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            row = await queries("operators").by_session(connection, hash=token_hash, idle=IDLE)
            if row is None:
                return None
            _refuse_place(row, address)
            if row["seen_a_while_ago"]:
                await queries("operators").touch(connection, hash=token_hash)
        return _principal(row, token_hash)

    async def begin(self, key: str, *, address: Address | None) -> Begun | None:
        """Begin a session with a key; None if it is nobody's. Raises AddressRefused."""
        found = await self.by_key(key, address=address)
        if found is None:
            return None
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        token_hash = self._hash(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            await queries("operators").begin(
                connection,
                token_hash=token_hash,
                key_id=found.key_id,
                csrf_token=csrf,
                absolute=ABSOLUTE,
            )
            await record_of_operators(connection, "operator.began", actor=found.scope.actor)
        scope = grant_operator(found.name, credential_hash=token_hash)
        return Begun(token, OperatorPrincipal(found.key_id, found.name, scope, csrf))

    async def end(self, operator: OperatorPrincipal) -> None:
        """End a session."""
        token_hash = operator.scope.credential_hash
        async with credential_transaction(self._pool, token_hash) as connection:
            await queries("operators").end(connection, hash=token_hash)
            await record_of_operators(connection, "operator.ended", actor=operator.scope.actor)

    def _hash(self, token: str) -> bytes:
        return keyed_hash(self._pepper, "operator-session", token)


def _refuse_place(row: Mapping[str, Any], address: Address | None) -> None:
    networks = parse_networks(row["networks"])
    if networks and not is_within(address, networks):
        raise AddressRefused(address)


def _principal(row: Mapping[str, Any], credential_hash: bytes) -> OperatorPrincipal:
    scope = grant_operator(row["name"], credential_hash=credential_hash)
    return OperatorPrincipal(row["id"], row["name"], scope, row["csrf_token"])
