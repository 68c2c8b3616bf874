"""Tickets: secrets that stand for a person for a while, and are used up.

Stored is a keyed hash. Whoever holds a ticket may see it and its person, and nothing else
(`credential_transaction` with its hash).
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from api.auth.hashes import keyed_hash
from api.database import Connection, queries, set_local


class Ticket(StrEnum):
    """What a ticket is for: setting a forgotten password, or the second step of a sign-in."""

    RESET = "reset"
    CODE = "code"

    def hash(self, token: str, *, pepper: bytes) -> bytes:
        """Return the 32 bytes under which a token of the kind is stored."""
        return keyed_hash(pepper, _PURPOSES[self], token)

    async def issue(
        self, connection: Connection, user_id: UUID, *, lifetime: timedelta, pepper: bytes
    ) -> str:
        """Return the token of a new ticket, in a transaction of the person."""
        token = secrets.token_urlsafe(32)
        await queries("accounts").insert_ticket(
            connection,
            token_hash=self.hash(token, pepper=pepper),
            kind=self.value,
            user_id=user_id,
            lifetime=lifetime,
        )
        return token

    async def holder(self, connection: Connection, token_hash: bytes) -> UUID | None:
        """Go on as the person whose ticket it is; None if there is none any more."""
        row = await queries("accounts").ticket(connection, token_hash=token_hash, kind=self.value)
        if row is None:
            return None
        user_id: UUID = row["user_id"]
        await set_local(connection, user_id=str(user_id))
        return user_id

    async def use(self, connection: Connection, token_hash: bytes) -> bool:
        """Use a ticket up; False if there is none any more."""
        used = await queries("accounts").use_ticket(
            connection, token_hash=token_hash, kind=self.value
        )
        return used is not None

    async def drop(self, connection: Connection) -> None:
        """Let the person's tickets of the kind open nothing any more."""
        await queries("accounts").drop_tickets(connection, kind=self.value)


_PURPOSES = {Ticket.RESET: "reset", Ticket.CODE: "ticket"}
