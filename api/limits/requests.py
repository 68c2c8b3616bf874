"""Limits of requests: of the tenant, the person or the key, and the address.

Whoever presents a credential is counted when it is found good, before permissions are looked at;
whoever presents none, or a wrong one, is counted for the address. An address that is over its limit
is refused before its credential is looked up, which keeps floods of made-up keys away from the
database; a key that was good a moment ago is not held up by them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID

from api.auth.addresses import Address, network_of_address
from api.auth.principal import ApiKeyPrincipal, BearerPrincipal, Principal, UserPrincipal
from api.limits.buckets import Answer, Ask, Quota
from api.limits.headers import rate_limit_headers
from api.limits.metrics import LimitMetrics
from api.limits.settings import RequestLimits
from api.limits.shared import SharedBuckets
from api.problems import ApiError

LIMITED: Final = "request.limited"
HELD_BACK_S: Final = 1.0
"""A refusal is answered after so long: callers who do not wait by themselves send less then, and
what they send is not in the way of others. Nobody may come again earlier anyhow."""
_HELD_AT_MOST: Final = 200
"""Of one process; more are answered at once."""
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Limit:
    policy: str
    whose: str
    per_min: int


class RequestLimiter:
    """Counts requests, and refuses those over a limit. One instance serves one event loop."""

    def __init__(
        self,
        buckets: SharedBuckets,
        limits: RequestLimits,
        *,
        metrics: LimitMetrics,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._buckets = buckets
        self._limits = limits
        self._metrics = metrics
        self._sleep = sleep
        self._held_count = 0

    async def admit(self, address: Address | None) -> None:
        """Refuse an address that is over its limit, as far as this process knows.

        Raises ApiError 429.
        """
        answer = self._buckets.peek(_asks([self._of_address(address)], 1))
        if not answer.granted:
            await self._refuse(answer)

    async def count_stranger(self, address: Address | None, *, cost: int) -> Answer:
        """Count a request of whoever is not known. Raises ApiError 429."""
        return await self._count([self._of_address(address)], cost)

    async def count(self, principal: Principal, *, cost: int) -> Answer:
        """Count a request of somebody. Raises ApiError 429."""
        return await self._count(self._of_principal(principal), cost)

    async def count_operator(self, key_id: UUID, *, cost: int) -> Answer:
        """Count a request of an operator. Raises ApiError 429."""
        limit = _Limit("operator", str(key_id), self._limits.person_per_min)
        return await self._count([limit], cost)

    async def _count(self, limits: list[_Limit], cost: int) -> Answer:
        answer = await self._buckets.take(_asks(limits, cost))
        if not answer.granted:
            await self._refuse(answer)
        self._metrics.granted.inc()
        return answer

    async def _refuse(self, answer: Answer) -> NoReturn:
        for level in answer.levels:
            if level.wait_s:
                self._metrics.refused.labels(level.ask.policy).inc()
        await self._hold_back(min(answer.wait_s, HELD_BACK_S))
        raise too_many(answer)

    async def _hold_back(self, seconds: float) -> None:
        """Let whoever asks again and again wait for the answer, if not too many do already."""
        if self._held_count >= _HELD_AT_MOST:
            return
        self._held_count += 1
        try:
            await self._sleep(seconds)
        finally:
            self._held_count -= 1

    def _of_address(self, address: Address | None) -> _Limit:
        return _Limit("address", network_of_address(address), self._limits.address_per_min)

    def _of_principal(self, principal: Principal) -> list[_Limit]:
        defaults, own = self._limits, principal.limits
        tenant_per_min = _chosen(own.requests_per_min, defaults.tenant_per_min)
        tenant = _Limit("tenant", str(principal.scope.tenant_id), tenant_per_min)
        match principal:
            case UserPrincipal():
                return [tenant, self._of_person(principal, f"user:{principal.user_id}")]
            case BearerPrincipal() if principal.actor.startswith("user:"):
                return [tenant, self._of_person(principal, principal.actor)]
            case BearerPrincipal():
                whose = f"{principal.scope.tenant_id}:{principal.actor}"
            case ApiKeyPrincipal():
                whose = str(principal.key_id)
        return [
            tenant,
            _Limit("key", whose, _chosen(own.key_requests_per_min, defaults.key_per_min)),
        ]

    def _of_person(self, principal: UserPrincipal | BearerPrincipal, actor: str) -> _Limit:
        """One limit for a person in a tenant, in a browser or by a token."""
        own = principal.limits.person_requests_per_min
        per_min = _chosen(own, self._limits.person_per_min)
        return _Limit("person", f"{principal.scope.tenant_id}:{actor}", per_min)


def too_many(answer: Answer) -> ApiError:
    """Return the refusal of a request over a limit: which ones, and when to come again."""
    over = [level.ask for level in answer.levels if level.wait_s]
    wait_s = math.ceil(answer.wait_s)
    allowed = " and ".join(f"{ask.quota.units:.0f} a minute for the {ask.policy}" for ask in over)
    return ApiError(
        429,
        LIMITED,
        f"Too many requests: {allowed}. Send the next one in {wait_s} s.",
        headers={"Retry-After": str(wait_s), **rate_limit_headers(answer)},
        **{"violated-policies": [ask.policy for ask in over], "retry_after_s": wait_s},
    )


def _asks(limits: list[_Limit], cost: int) -> list[Ask]:
    return [
        Ask(limit.policy, limit.whose, Quota(limit.per_min, _MINUTE_S), cost)
        for limit in limits
        if limit.per_min
    ]


def _chosen(own: int | None, default: int) -> int:
    return default if own is None else own
