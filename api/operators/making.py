"""Making and revoking the keys of operators: by commands on the host, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation

from api.audit.trail import record_of_operators
from api.auth.addresses import Networks, parse_networks
from api.database import Pool, purpose_transaction, queries
from api.operators.keys import NAME_FORM, hash_operator_key, new_operator_key
from api.problems import ApiError, not_found


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """A key as stored. networks: where it is good, empty: anywhere."""

    id: UUID
    name: str
    networks: Networks
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read a row of the table."""
        return cls(**{**row, "networks": parse_networks(row["networks"])})

    def is_good(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor over."""
        return self.revoked_at is None and self.expires_at > now


async def create_operator_key(
    pool: Pool,
    name: str,
    *,
    lifetime: timedelta,
    networks: Networks,
    pepper: bytes,
    actor: str,
) -> str:
    """Make a key and return it, this once.

    Raises ApiError 400 for a name that none can have, 409 for one that was given before.
    """
    if not NAME_FORM.fullmatch(name):
        raise ApiError(
            400,
            "operator.name",
            f"{name!r} names no operator: take small letters, digits, dots and dashes.",
        )
    key = new_operator_key()
    try:
        async with purpose_transaction(pool, "operator") as connection:
            await queries("operators").insert_key(
                connection,
                id=uuid4(),
                name=name,
                key_hash=hash_operator_key(key, pepper=pepper),
                networks=[str(network) for network in networks],
                created_by=actor,
                expires_at=datetime.now(UTC) + lifetime,
            )
            await record_of_operators(
                connection, "operator.created", f"operator:{name}", actor=actor
            )
    except UniqueViolation as error:
        raise ApiError(
            409,
            "operator.exists",
            f"There was an operator {name!r} already, and records name it: take another name.",
        ) from error
    return key


async def list_operator_keys(pool: Pool) -> list[OperatorKey]:
    """Return all keys by name, those that are over as well."""
    async with purpose_transaction(pool, "operator") as connection:
        return [OperatorKey.from_row(row) async for row in queries("operators").keys(connection)]


async def revoke_operator_key(pool: Pool, name: str, *, actor: str) -> None:
    """Let a key, and the sessions begun with it, be good for nothing. Raises ApiError 404."""
    async with purpose_transaction(pool, "operator") as connection:
        if not await queries("operators").revoke(connection, name=name):
            raise not_found("operator's key in use")
        await record_of_operators(connection, "operator.revoked", f"operator:{name}", actor=actor)
