"""Handing checkpoints over as they come: what is due, one target at a time, again after a failure.

    plan: newest checkpoint ─► a row waits for each target that is due
    due targets ─► claimed by one process ─► sent, oldest first ─► done
                                                  └─ not taken: the target is left alone, for
                                                     twice as long each time, and then caught up

No transaction is open while the other side is waited for, and nothing here locks what the sequencer
writes: sealing goes on, whoever does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import structlog

from api.anchors.metrics import AnchorMetrics
from api.anchors.model import Anchor, Head, Kind, NotAnchored, Receipt, State, Target
from api.anchors.sending import Sender
from api.auth.principal import TenantScope, grant_scope
from api.database import Pool, one_statement, queries, tenant_transaction
from api.notices.model import ITSELF

LEASE_S: Final = 300
"""A process that dies while it is at a target is followed by another one after so long."""
TURN_S: Final = 60.0
"""For so long one target is served before others have their turn."""
FIRST_S: Final = 30
MOST_S: Final = 3_600
GIVE_UP_S: Final = 30 * 86_400
TOLD_AFTER: Final = 5
"""Failures in a row, after which the tenant's admins have a notice: some eight minutes."""
_AT_ONCE: Final = 8
_DUE_AT_ONCE: Final = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A checkpoint that waits for a target. id: of the anchor."""

    id: UUID
    head: Head


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a checkpoint that was handed over by hand. refusal: why not, or empty."""

    anchor: Anchor
    refusal: str


class Anchoring:
    """Hands over what is due, of all tenants. For one event loop.

    pool: of the worker's role; the application's will do for single targets.
    """

    def __init__(
        self,
        pool: Pool,
        sender: Sender,
        metrics: AnchorMetrics | None = None,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """stopped: asked between two checkpoints whether to hand over another one."""
        self._pool = pool
        self._stopped = stopped
        self._sender = sender
        self._metrics = metrics

    async def round(self) -> int:
        """Hand over what is due; return how many checkpoints were taken.

        Raises DatabaseUnavailable, QueryTooSlow.
        """
        async with one_statement(self._pool) as connection:
            await queries("anchors").plan(connection)
        async with one_statement(self._pool) as connection:
            due = [row async for row in queries("anchors").due(connection, limit=_DUE_AT_ONCE)]
        turns = asyncio.Semaphore(_AT_ONCE)

        async def serve(row: Mapping[str, Any]) -> int:
            async with turns:
                return await self.serve(row["tenant_id"], row["id"])

        counts = await asyncio.gather(*map(serve, due), return_exceptions=True)
        await self._tell()
        taken = 0
        for count in counts:
            if isinstance(count, BaseException):
                raise count
            taken += count
        return taken

    async def serve(self, tenant_id: UUID, target_id: UUID) -> int:
        """Hand over what waits for a target until it does not take one; return how many it took."""
        scope = grant_scope(tenant_id, actor="betrace")
        target = await self._claim(scope, target_id, at_once=False)
        if target is None:
            return 0
        taken, until = 0, time.monotonic() + TURN_S
        try:
            while time.monotonic() < until and not self._stopped():
                waiting = await self._next(scope, target)
                if waiting is None or await self._hand_over(scope, target, waiting):
                    break
                taken += 1
        finally:
            await self._release(scope, target)
        return taken

    async def send_now(self, scope: TenantScope, target_id: UUID) -> Tried | None:
        """Hand the newest checkpoint over at once, also to a target that is off or failing.

        One that was handed over before is sent again, and what is on record of it stays. None if
        the log has no checkpoint yet. Raises Busy.
        """
        target = await self._claim(scope, target_id, at_once=True)
        if target is None:
            raise Busy
        try:
            async with tenant_transaction(self._pool, scope) as connection:
                row = await queries("anchors").newest_head(connection)
                if row is None:
                    return None
                head = Head.from_row(row)
                await queries("anchors").ask_for(
                    connection,
                    target_id=target_id,
                    number=head.number,
                    size=head.size,
                    time_ms=head.time_ms,
                )
                anchor = await _anchor(connection, target_id, head)
            refusal = await self._hand_over(scope, target, Waiting(anchor.id, head))
            async with tenant_transaction(self._pool, scope) as connection:
                return Tried(await _anchor(connection, target_id, head), refusal)
        finally:
            await self._release(scope, target)

    async def _claim(self, scope: TenantScope, target_id: UUID, *, at_once: bool) -> Target | None:
        async with tenant_transaction(self._pool, scope) as connection:
            claimed = await queries("anchors").claim(
                connection, id=target_id, lease_s=LEASE_S, at_once=at_once
            )
            row = claimed and await queries("anchors").target(connection, id=target_id)
            return Target.from_row(row) if row else None

    async def _release(self, scope: TenantScope, target: Target) -> None:
        async with tenant_transaction(self._pool, scope) as connection:
            await queries("anchors").release(connection, id=target.id)

    async def _next(self, scope: TenantScope, target: Target) -> Waiting | None:
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("anchors").next_pending(connection, target_id=target.id)
        return Waiting(row["id"], Head.from_row(row)) if row else None

    async def _hand_over(self, scope: TenantScope, target: Target, waiting: Waiting) -> str:
        """Send one checkpoint and write down how that went; return why it was not taken, or ""."""
        try:
            receipt = await self._sender.send(target, waiting.head, message_id=waiting.id)
        except NotAnchored as refusal:
            said = str(refusal)
        except Exception:  # the rim: what one target meets does not stop the others
            log.exception("anchors.failed", **_of(target), checkpoint=waiting.head.number)
            said = "BeTrace met an error of its own. Its operator finds it in the worker's log."
        else:
            said = ""
        if said:
            await self._not_done(scope, target, waiting, said)
            return said
        await self._done(scope, target, waiting, receipt)
        return ""

    async def _done(
        self, scope: TenantScope, target: Target, waiting: Waiting, receipt: Receipt
    ) -> None:
        async with tenant_transaction(self._pool, scope) as connection:
            await queries("anchors").done(
                connection,
                id=waiting.id,
                imprint=sha256(waiting.head.note).digest(),
                answer=receipt.answer,
                stamped_at=receipt.stamped_at,
            )
            await queries("anchors").worked(connection, id=target.id)
            if target.failures:
                await queries("anchors").settle_failing(connection, id=target.id, actor=ITSELF)
        self._count(target.kind, "done")
        if target.failures:
            log.info("anchors.works_again", **_of(target), failures=target.failures)

    async def _not_done(
        self, scope: TenantScope, target: Target, waiting: Waiting, reason: str
    ) -> None:
        said = reason[:1_000]
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("anchors").not_done(
                connection, id=waiting.id, reason=said, give_up_s=GIVE_UP_S
            )
            failures = await queries("anchors").failed(
                connection, id=target.id, reason=said, first_s=FIRST_S, most_s=MOST_S
            )
            await queries("anchors").tell_of_failing(connection, id=target.id, least=TOLD_AFTER)
        given_up = row is not None and row["state"] == State.FAILED
        self._count(target.kind, "given_up" if given_up else "refused")
        log.warning(
            "anchors.not_taken",
            **_of(target),
            checkpoint=waiting.head.number,
            failures=failures["failures"] if failures else None,
            cause=said,
        )

    async def _tell(self) -> None:
        if self._metrics is None:
            return
        async with one_statement(self._pool) as connection:
            rows = [row async for row in queries("anchors").figures(connection)]
        self._metrics.show(rows)

    def _count(self, kind: Kind, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.attempts.labels(kind.value, outcome).inc()


class Busy(Exception):
    """Somebody else is handing something to the target at this moment, or it is gone."""


async def _anchor(connection: Any, target_id: UUID, head: Head) -> Anchor:
    row = await queries("anchors").of_target_and_checkpoint(
        connection, target_id=target_id, checkpoint=head.number
    )
    return Anchor.from_row(row)


def _of(target: Target) -> dict[str, str]:
    return {"tenant": str(target.tenant_id), "target": str(target.id), "kind": target.kind.value}
