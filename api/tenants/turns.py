"""Changes of one tenant that must see each other, one after the other."""

from __future__ import annotations

from typing import Any

from api.database import Connection, queries
from api.problems import not_found


async def take_turn(connection: Connection) -> dict[str, Any]:
    """Wait for whoever else changes the tenant of this transaction, and return its row.

    Until the transaction ends nobody else's turn comes, so that none slips past a limit.
    Raises ApiError 404 without a tenant.
    """
    row = await turn_if_any(connection)
    if row is None:
        raise not_found("tenant")
    return row


async def turn_if_any(connection: Connection) -> dict[str, Any] | None:
    """As `take_turn`, for work that nobody asked for: None for a tenant that is gone."""
    row: dict[str, Any] | None = await queries("tenants").lock_tenant(connection)
    return row
