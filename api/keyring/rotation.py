"""Rotation on a schedule: keys that are old are followed by new ones, by any process that sees it.

Every process looks once an hour; of several that rotate a key at once, one does. A key that came of
age while all of them were down is rotated when one is up again. Redaction keys are rotated by hand
alone: with another one, equal values have other tokens.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from api.database import Pool
from api.keyring.wiring import Keys
from api.repeating import again_and_again
from api.tenants.service import list_tenants
from udfs.keysource.keys import KeyState, Purpose
from udfs.keysource.making import BETRACE
from udfs.keysource.trouble import KeyTrouble

log = structlog.get_logger(__name__)
SCHEDULED: Final = (Purpose.SIGNING, Purpose.DATA)
_PAUSE_S: Final = 3_600.0


async def keep_rotating(pool: Pool, keys: Keys, *, days: int, registry: CollectorRegistry) -> None:
    """Ask the source whether it answers and rotate what is old, again and again, until cancelled.

    days: how old keys become; 0: nothing is rotated.
    """
    failures = Counter(
        "betrace_keys_rotation_failures",
        "Tenants whose keys could not be rotated when it was due; the log says why.",
        registry=registry,
    )

    async def look() -> None:
        try:
            await asyncio.to_thread(keys.source.check)
        except KeyTrouble as trouble:
            log.error("keys.source_trouble", cause=str(trouble))
        if days:
            await rotate_due(pool, keys, older_than=timedelta(days=days), failures=failures)

    await again_and_again(look, pause_s=_PAUSE_S, trouble="keys.rotation_waits")


async def rotate_due(
    pool: Pool,
    keys: Keys,
    *,
    older_than: timedelta,
    failures: Counter | None = None,
    now: datetime | None = None,
) -> int:
    """Rotate keys in use that are older than that, of all tenants; return how many.

    What goes wrong with one tenant is logged and counted, and does not stop the others.
    """
    made_before = (now or datetime.now(UTC)) - older_than
    rotated = 0
    for tenant in await list_tenants(pool):
        if tenant.delete_after is not None:
            continue
        try:
            rotated += await _rotate_old(keys, tenant.id, made_before)
        except KeyTrouble as trouble:
            log.error("keys.rotation_failed", tenant=str(tenant.id), cause=str(trouble))
            if failures is not None:
                failures.inc()
    return rotated


async def _rotate_old(keys: Keys, tenant: UUID, made_before: datetime) -> int:
    old = [
        record
        for record in await keys.care.all_of(tenant)
        if record.purpose in SCHEDULED
        and record.state is KeyState.ACTIVE
        and record.created_at < made_before
    ]
    for record in old:
        await keys.care.rotate_after(record, by=BETRACE)
    return len(old)
