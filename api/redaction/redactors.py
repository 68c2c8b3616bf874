"""The redactors of tenants at hand, each with the policy and the key of now.

    of(tenant) ─► policy on record, asked for every 5 s ─┐
               └► key of the ring,  asked for every 5 s ─┴─► the redactor of both, kept

So a change is in effect everywhere within some seconds. Nothing is ever let through for want of an
answer: while Postgres or the source of keys is away the last answers count for a time, as those
about API keys do, and then `RedactionUnavailable` says to try again. An installation without a
source of keys has redactors without a key: what would need one is removed.

For one event loop; the redactors themselves may be used by threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from api.auth.principal import grant_scope
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, tenant_transaction
from api.redaction.stored import PolicyUnreadable, StoredPolicy, current_policy
from api.redaction.vault import StoredVault, VaultUnavailable
from udfs.keysource.keys import Purpose
from udfs.keysource.remembered import Remembered
from udfs.keysource.ring import KeyRing, OpenKey
from udfs.keysource.trouble import KeysUnavailable, KeyTrouble
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Prepared, Redactor
from udfs.redaction.tokens import RedactionKey

REMEMBERED_S: Final = 5.0
GRACE_S: Final = 600.0
"""As long as the ring goes on with a key, by `Ages`."""
_ANSWER_WITHIN_S: Final = 5.0
_MOST_TENANTS: Final = 1_000
_MOST_PREPARED: Final = 100
"""Policies, of which each takes some MB; tenants without one of their own share theirs."""

log = structlog.get_logger(__name__)


class RedactionUnavailable(Exception):
    """The policy or the key of a tenant cannot be had now: nothing may be written for it."""


@dataclass(frozen=True, slots=True)
class TenantRedactor:
    """What redacts for a tenant. version: of its policy, 0: the defaults. has_key: whether values
    that are to stay equal do; without a key they are removed.
    """

    redactor: Redactor
    version: int
    has_key: bool
    vault: StoredVault

    async def settle(self) -> None:
        """Return when all tokens made so far can be undone; to be awaited before one leaves.

        Raises RedactionUnavailable.
        """
        try:
            await self.vault.settle()
        except VaultUnavailable as error:
            raise RedactionUnavailable("the vault of tokens does not answer") from error


@dataclass(frozen=True, slots=True)
class _Made:
    """A redactor, and what it was made of."""

    of: tuple[int, str]
    tenant: TenantRedactor


class Redactors:
    """Makes and keeps redactors of all tenants.

    ring: None: there are no keys. grace_s: so long after its last answer an outage of Postgres does
    no harm. pool: of the application's role, or the worker's.
    """

    def __init__(
        self,
        pool: Pool,
        ring: KeyRing | None,
        *,
        age_s: float = REMEMBERED_S,
        grace_s: float = GRACE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._ring = ring
        self._policies: Remembered[UUID, StoredPolicy] = Remembered(
            age_s=age_s, grace_s=grace_s, most=_MOST_TENANTS, monotonic=monotonic
        )
        self._made: OrderedDict[UUID, _Made] = OrderedDict()
        self._prepared: OrderedDict[str, asyncio.Task[Prepared]] = OrderedDict()

    async def of(self, tenant: UUID) -> TenantRedactor:
        """Return the redactor of a tenant. Raises RedactionUnavailable."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                stored = await self._policies.get(tenant, lambda: self._ask(tenant))
                key = await self._key(tenant)
                return await self._made_of(tenant, stored, key)
        except (KeyTrouble, PolicyUnreadable, TimeoutError) as error:
            # A key that is refused or gone is no reason to let anything through either.
            log.warning("redaction.unavailable", tenant=str(tenant), cause=type(error).__name__)
            raise RedactionUnavailable("policy or key of the tenant cannot be had now") from error

    async def trying(self, tenant: UUID, policy: Policy) -> Redactor:
        """Return a redactor with the tenant's key and another policy. Raises RedactionUnavailable.

        It keeps nothing in the vault: for showing what would be.
        """
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                key = await self._key(tenant)
                return Redactor(await asyncio.to_thread(Prepared, policy), _redaction_key(key))
        except (KeyTrouble, TimeoutError) as error:
            raise RedactionUnavailable("the key of the tenant cannot be had now") from error

    def drop(self, tenant: UUID) -> None:
        """Forget what is remembered of a tenant: its policy was just changed here."""
        self._policies.drop(tenant)

    def drop_key(self, tenant: UUID) -> None:
        """Forget which key a tenant has: there is another one."""
        if self._ring is not None:
            self._ring.drop(tenant)

    async def _ask(self, tenant: UUID) -> StoredPolicy:
        scope = grant_scope(tenant, actor="betrace")
        try:
            async with tenant_transaction(self._pool, scope) as connection:
                return await current_policy(connection)
        except (DatabaseUnavailable, QueryTooSlow) as error:
            raise KeysUnavailable(
                "the record of policies does not answer",
                where="Postgres, table redaction_policies",
                next_step="Try again.",
            ) from error

    async def _key(self, tenant: UUID) -> OpenKey | None:
        if self._ring is None:
            return None
        return await self._ring.current(tenant, Purpose.REDACTION)

    async def _made_of(
        self, tenant: UUID, stored: StoredPolicy, key: OpenKey | None
    ) -> TenantRedactor:
        of = stored.version, str(key.record.id) if key else ""
        made = self._made.get(tenant)
        if made is None or made.of != of:
            prepared = await self._prepare(stored)
            made = _Made(of, self._new(tenant, stored, prepared, key))
            self._made[tenant] = made
        self._made.move_to_end(tenant)
        while len(self._made) > _MOST_TENANTS:
            self._made.popitem(last=False)
        return made.tenant

    def _new(
        self, tenant: UUID, stored: StoredPolicy, prepared: Prepared, key: OpenKey | None
    ) -> TenantRedactor:
        vault = StoredVault(self._pool, tenant)
        redactor = Redactor(prepared, _redaction_key(key), vault=vault, version=stored.version)
        return TenantRedactor(redactor, stored.version, key is not None, vault)

    async def _prepare(self, stored: StoredPolicy) -> Prepared:
        """Compile a policy once for all who have the same, beside the event loop."""
        same = stored.content
        task = self._prepared.get(same)
        if task is None or (task.done() and task.exception() is not None):
            task = asyncio.create_task(asyncio.to_thread(Prepared, stored.policy))
            self._prepared[same] = task
        self._prepared.move_to_end(same)
        while len(self._prepared) > _MOST_PREPARED:
            self._prepared.popitem(last=False)
        return await asyncio.shield(task)


def _redaction_key(key: OpenKey | None) -> RedactionKey | None:
    return RedactionKey(str(key.record.id), key.secret) if key else None
