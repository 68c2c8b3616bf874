"""Whether a signing key is to be trusted for a moment, by what is on record of it. Pure.

Whoever calls must know the moment from something else than the signer's word: the place in a log
whose later entries are trusted, or a time stamp of a third party.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from udfs.keysource.keys import KeyRecord

OVERLAP: Final = timedelta(minutes=2)
"""For so long a retired key may still sign in processes that have not heard of its successor: the
age of their records (5 s), and what clocks differ."""


class Distrust(StrEnum):
    """Why a signature by a key counts for nothing."""

    BEFORE_CREATION = "before_creation"
    AFTER_RETIREMENT = "after_retirement"
    AFTER_COMPROMISE = "after_compromise"


def distrust(
    key: KeyRecord, *, signed_at: datetime, overlap: timedelta = OVERLAP
) -> Distrust | None:
    """Return why a signature of that moment is not to be trusted, None if it is."""
    revoked = key.revocation
    if revoked is not None and signed_at >= revoked.untrusted_from:
        return Distrust.AFTER_COMPROMISE
    if signed_at < key.created_at - overlap:
        return Distrust.BEFORE_CREATION
    if key.retired_at is not None and signed_at > key.retired_at + overlap:
        return Distrust.AFTER_RETIREMENT
    return None
