"""Erasing what is personal in a record: text and salt go, the record and every proof stay."""

from __future__ import annotations

from uuid import UUID

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.problems import ApiError, not_found


async def erase_payload(pool: Pool, scope: TenantScope, seq: int) -> UUID:
    """Erase the payload of a record for ever; return the id of the act that says so.

    The act is on the audit log, and in the evidence log a moment later. Raises ApiError 404 for a
    record that is not there or has nothing personal, 409 if that was erased before.
    """
    async with tenant_transaction(pool, scope) as connection:
        payload = await queries("evidence").payload(connection, seq=seq)
        if payload is None:
            raise not_found("payload")
        if payload["erased_at"] is not None:
            raise ApiError(409, "evidence.erased", "The payload of this record was erased before.")
        act_id = await record(connection, scope, "evidence.payload_erased", f"record:{seq}")
        await queries("evidence").erase_payload(
            connection, seq=seq, erased_by=scope.actor, act_id=act_id
        )
    return act_id
