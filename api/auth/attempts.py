"""Guessing is slowed down: by account, by network, by browser known to the account.

Each failure beyond the free ones doubles the time until the next attempt, up to a limit. Nobody is
locked out for longer than that limit, and who signs in from a browser in which they did so before
is counted apart: guesses of others do not keep them out. An account that does not exist is slowed
down like one that does.

An attempt counts as failed until it is taken back, so attempts made at the same time are no way
around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final
from uuid import UUID, uuid4

from api.database import Connection, queries
from api.problems import ApiError

KEPT: Final = timedelta(days=1)
"""No limit looks further back."""


@dataclass(frozen=True, slots=True)
class Limit:
    """free: so many failures within the window cost nothing; most_s: no wait is longer."""

    free: int
    most_s: int
    window: timedelta

    def wait_s(self, failed_count: int) -> int:
        """Return how long after the last failure the next attempt is allowed."""
        over = failed_count - self.free
        return 0 if over < 0 else min(self.most_s, 2 ** min(over, 20))


ACCOUNT: Final = Limit(free=5, most_s=5 * 60, window=KEPT)
KNOWN_BROWSER: Final = Limit(free=5, most_s=5 * 60, window=KEPT)
NETWORK: Final = Limit(free=50, most_s=60, window=timedelta(minutes=15))
CODE: Final = Limit(free=5, most_s=60 * 60, window=KEPT)
"""Whoever gets to guess codes knows the password already. 24 guesses a day at one in 300,000."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What failures are counted for: 32 bytes, a keyed hash, and the limit that holds for it."""

    hash: bytes
    limit: Limit


async def begin_attempt(connection: Connection, subjects: Sequence[Subject]) -> UUID:
    """Write down an attempt as failed and return its id.

    Raises ApiError 429 with Retry-After if it comes too early; it is not counted then.
    """
    waits = [
        await _left_s(connection, subject) for subject in sorted(subjects, key=lambda s: s.hash)
    ]
    if (left_s := max(waits)) > 0:
        raise ApiError(
            429,
            "auth.throttled",
            "Too many failed attempts. Wait before the next one.",
            headers={"Retry-After": str(math.ceil(left_s))},
        )
    attempt = uuid4()
    await queries("accounts").insert_failures(
        connection, subjects=[subject.hash for subject in subjects], attempt=attempt
    )
    return attempt


async def forgive(connection: Connection, attempt: UUID) -> None:
    """Take an attempt back that was right; the failures before it still count."""
    await queries("accounts").forgive_attempt(connection, attempt=attempt)


async def forget(connection: Connection, subjects: Sequence[bytes]) -> None:
    """Forget all failures of somebody who has proved who they are."""
    await queries("accounts").forget_failures(connection, subjects=list(subjects))


def network_of(address: str) -> str:
    """Return what one household or host owns: an IPv4 address, or the first 64 bits of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return parsed.exploded
    if parsed.ipv4_mapped:
        return parsed.ipv4_mapped.exploded
    return parsed.exploded[:19]


async def _left_s(connection: Connection, subject: Subject) -> float:
    await queries("accounts").lock_subject(connection, subject=subject.hash.hex())
    row = await queries("accounts").failures(
        connection, subject=subject.hash, window=subject.limit.window
    )
    last: datetime | None = row["last_failed_at"]
    if last is None:
        return 0.0
    wait = timedelta(seconds=subject.limit.wait_s(row["failed_count"]))
    now: datetime = row["now"]
    return (last + wait - now).total_seconds()
