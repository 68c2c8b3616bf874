"""Reading the log of a tenant: its state, its heads, single records, proofs. Each call is a
transaction of the tenant."""

from __future__ import annotations

from collections.abc import Sequence

from api.auth.principal import TenantScope
from api.database import Pool
from api.evidence.model import LogState, SealedRecord, StoredCheckpoint


async def read_state(pool: Pool, scope: TenantScope) -> LogState:
    """Return what the log is like now."""
    raise NotImplementedError


async def list_checkpoints(
    pool: Pool, scope: TenantScope, *, before: int | None = None, limit: int = 100
) -> Sequence[StoredCheckpoint]:
    """Return checkpoints, the newest first. before: with a smaller number."""
    raise NotImplementedError


async def find_checkpoint(pool: Pool, scope: TenantScope, number: int) -> StoredCheckpoint:
    """Return a checkpoint. Raises ApiError 404."""
    raise NotImplementedError


async def find_record(pool: Pool, scope: TenantScope, seq: int) -> SealedRecord:
    """Return a record. Raises ApiError 404."""
    raise NotImplementedError
