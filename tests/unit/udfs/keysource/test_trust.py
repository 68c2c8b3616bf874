"""Which signatures count, by what is on record of the key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from udfs.keysource.keys import KeyRecord, Purpose, Revocation
from udfs.keysource.trust import OVERLAP, Distrust, distrust

MADE = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = KeyRecord(
    id=UUID(int=1),
    tenant=UUID(int=2),
    purpose=Purpose.SIGNING,
    generation=1,
    sealed=None,
    public_key=bytes(32),
    created_at=MADE,
    created_by="betrace",
)
RETIRED = replace(KEY, retired_at=MADE + 90 * DAY)
REVOKED = replace(
    RETIRED,
    revocation=Revocation(
        at=MADE + 100 * DAY, by="operator:x", reason="y", untrusted_from=MADE + 50 * DAY
    ),
)


@pytest.mark.parametrize(
    ("key", "signed_at", "expected"),
    [
        (KEY, MADE, None),
        (KEY, MADE + 1_000 * DAY, None),
        (KEY, MADE - OVERLAP - timedelta(seconds=1), Distrust.BEFORE_CREATION),
        (RETIRED, MADE + 90 * DAY + OVERLAP, None),
        (RETIRED, MADE + 90 * DAY + 2 * OVERLAP, Distrust.AFTER_RETIREMENT),
        (REVOKED, MADE + 50 * DAY - timedelta(seconds=1), None),
        (REVOKED, MADE + 50 * DAY, Distrust.AFTER_COMPROMISE),
        (REVOKED, MADE + 95 * DAY, Distrust.AFTER_COMPROMISE),
        (replace(KEY, destroyed_at=MADE + DAY), MADE + timedelta(hours=1), None),
    ],
)
def test_a_signature_counts_by_when_it_was_made(
    key: KeyRecord, signed_at: datetime, expected: Distrust | None
) -> None:
    assert distrust(key, signed_at=signed_at) is expected
