"""What does not work right now, as far as the console can tell: what people see on top of the home.

Known are what the worker reports of the job, what waits to be sealed, what ingest refused, and
whether Kafka answers. An API process asks Kafka beside its requests, and never waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.health.service import Check, State, ask_all

REPORT_OLD_S: Final = 120.0
"""The worker reports every 30 seconds."""
UNSEALED_OLD_S: Final = 300.0
"""What is sealed waits for some seconds."""
_ASKED_AGAIN_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that does not work. what: it means for its readers; step: what they can do."""

    code: str
    what: str
    step: str
    href: str = ""


class Condition:
    """Knows what does not work. One instance serves one event loop."""

    def __init__(self, pool: Pool, checks: Mapping[str, Check]) -> None:
        self._pool = pool
        self._checks = checks
        self._states: Mapping[str, State] = {}
        self._asked_s = -_ASKED_AGAIN_S
        self._asking: asyncio.Task[None] | None = None

    async def troubles(self, scope: TenantScope) -> tuple[Trouble, ...]:
        """Return what does not work for a tenant, worst first; none if all is well."""
        self._ask_beside()
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("signal_sums").troubles(connection)
        kafka_lost = self._states.get("kafka") == "unavailable"
        return troubles_of(row, kafka_lost=kafka_lost)

    async def close(self) -> None:
        """End what asks beside."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _ask_beside(self) -> None:
        busy = self._asking is not None and not self._asking.done()
        if busy or time.monotonic() - self._asked_s < _ASKED_AGAIN_S:
            return
        self._asked_s = time.monotonic()
        self._asking = asyncio.create_task(self._ask(), name="condition")

    async def _ask(self) -> None:
        self._states = await ask_all(self._checks)


def troubles_of(row: Mapping[str, Any], *, kafka_lost: bool) -> tuple[Trouble, ...]:
    """Return what is wrong. row: of the statement `troubles`. kafka_lost: it did not answer."""
    found = (
        _of_kafka(lost=kafka_lost),
        _of_job(row["job_alarms"], row["job_report_age_s"]),
        _of_sealing(row["sealing_outage"], row["unsealed_age_s"]),
        _of_ingest(row["refused_requests"]),
    )
    return tuple(trouble for trouble in found if trouble is not None)


def _of_kafka(*, lost: bool) -> Trouble | None:
    if not lost:
        return None
    return Trouble(
        "kafka",
        "Kafka does not answer: spans are not taken and changes of rules wait.",
        "Senders try again by themselves. Who operates BeTrace sees it in /health/ready.",
    )


def _of_job(alarms: int | None, age_s: float | None) -> Trouble | None:
    if alarms:
        return Trouble(
            "job",
            "Judging is disturbed: signals come late, and some may be missing until it is mended.",
            "Nothing is lost: what was sent is judged afterwards. `betrace job status` says more.",
        )
    if age_s is not None and age_s > REPORT_OLD_S:
        return Trouble(
            "worker",
            f"The worker has been silent for {age_s / 60:.0f} min: signals do not reach this page.",
            "Nothing is lost: they are written when it runs again.",
        )
    return None


def _of_sealing(outage: str | None, age_s: float | None) -> Trouble | None:
    if outage is None and (age_s is None or age_s <= UNSEALED_OLD_S):
        return None
    return Trouble(
        "sealing",
        "Evidence is not being sealed: new records wait.",
        "They are kept and sealed later; the outage is on record.",
        "/evidence",
    )


def _of_ingest(count: int) -> Trouble | None:
    if count <= 0:
        return None
    times = "once" if count == 1 else f"{count:,} times"
    return Trouble(
        "ingest",
        f"Spans were refused {times} in the last 15 min.",
        "See what was wrong with them.",
        "/dead-letters",
    )
