"""Buckets that all replicas share, in Redis.

One script looks at all buckets of a request, and takes from all of them or from none. Time is that
of the Redis server, so the clocks of replicas do not matter. One server is meant (with replicas and
Sentinel if you like), not a cluster: the buckets of one request lie in different slots.

    key    <prefix>limit:<policy>:<whose>
    value  when the bucket is full again, microseconds since 1970 as decimal digits; expires then

While Redis is away, each replica counts for itself with the newest levels that it has seen: a limit
is then as many times what it should be as there are replicas, and nobody is refused for nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from api.limits.buckets import Answer, Ask, LocalBuckets, level_after, level_before
from api.limits.metrics import LimitMetrics

log = structlog.get_logger(__name__)

_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local granted, full_at, full_in = 1, {}, {}
for i, key in ipairs(KEYS) do
  local cost, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local before = math.max(tonumber(redis.call('GET', key)) or now, now)
  full_at[i] = before + cost
  full_in[i] = before - now
  if window >= 0 and full_at[i] - now > window then granted = 0 end
end
if granted == 1 then
  for i, key in ipairs(KEYS) do
    full_in[i] = full_at[i] - now
    if full_in[i] > 0 then
      local expires_ms = math.ceil(full_in[i] / 1000)
      redis.call('SET', key, string.format('%.0f', full_at[i]), 'PX', expires_ms)
    end
  end
end
table.insert(full_in, 1, granted)
return full_in
"""
"""KEYS: buckets. ARGV, for each: cost and window in microseconds; window -1: take it in any case.
Returns 1 or 0, granted or not, and for each bucket in how many microseconds it is full."""

_IN_ANY_CASE: Final = -1
_US: Final = 1_000_000
_PATIENCE_S: Final = 0.25
_AGAIN_AFTER_S: Final = 1.0
"""So long after Redis did not answer, nobody waits for it."""
_CONNECTIONS: Final = 32


@asynccontextmanager
async def open_redis_buckets(
    url: str, *, prefix: str, metrics: LimitMetrics
) -> AsyncIterator[RedisBuckets | None]:
    """Yield the buckets of a Redis, which is connected to when needed; None without a URL.

    prefix: what the keys of this installation begin with.
    """
    if not url:
        yield None
        return
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_PATIENCE_S,
        socket_timeout=_PATIENCE_S,
        socket_connect_timeout=_PATIENCE_S,
    )
    async with Redis.from_pool(pool) as redis:
        yield RedisBuckets(redis, prefix=f"{prefix}:", metrics=metrics)


class RedisBuckets:
    """The script on one Redis, and whether that answers."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        metrics: LimitMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._prefix = prefix
        self._metrics = metrics
        self._clock = clock
        self._up = True
        self._again_s = 0.0

    async def take(self, asks: Sequence[Ask], *, forced: bool = False) -> Answer | None:
        """Grant all of the asks or none; forced: charge them. None if Redis does not answer."""
        if not self._up and self._clock() < self._again_s:
            return None
        keys = [f"{self._prefix}limit:{ask.key}" for ask in asks]
        try:
            granted, *full_in_us = await self._script(keys=keys, args=_arguments(asks, forced))
        except (RedisError, OSError, TimeoutError) as error:
            self._is_away(error)
            return None
        self._is_there()
        level = level_after if granted else level_before
        return Answer(tuple(level(ask, us / _US) for ask, us in zip(asks, full_in_us, strict=True)))

    def _is_away(self, error: Exception) -> None:
        self._again_s = self._clock() + _AGAIN_AFTER_S
        self._metrics.redis_up.set(0)
        if self._up:
            self._up = False
            log.warning("limits.redis_away", cause=str(error), counted="by each replica for itself")

    def _is_there(self) -> None:
        if not self._up:
            self._up = True
            log.info("limits.redis_back")
        self._metrics.redis_up.set(1)


def _arguments(asks: Sequence[Ask], forced: bool) -> list[int]:
    arguments = []
    for ask in asks:
        cost_s = ask.quota.duration_s(ask.cost) if forced else ask.cost_s
        window_us = _IN_ANY_CASE if forced else round(ask.quota.window_s * _US)
        arguments += [round(cost_s * _US), window_us]
    return arguments


class FollowingBuckets:
    """Local buckets that follow those in Redis, each kind in its own way."""

    def __init__(
        self,
        local: LocalBuckets,
        redis: RedisBuckets | None,
        *,
        metrics: LimitMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """redis: None counts in this process alone."""
        self._local = local
        self._redis = redis
        self._metrics = metrics
        self._clock = clock

    def peek(self, asks: Sequence[Ask]) -> Answer:
        """Return what would become of the asks, as far as this process knows."""
        return self._local.peek(asks, now_s=self._clock())


class SharedBuckets(FollowingBuckets):
    """Those that follow ask by ask.

    What the last answers say is enough to refuse: others only take. So a caller far over its limit
    costs no question, and when Redis is away counting goes on from there.
    """

    async def take(self, asks: Sequence[Ask]) -> Answer:
        """Grant all of the asks, or none."""
        if self._redis is None:
            return self._local.take(asks, now_s=self._clock())
        known = self.peek(asks)
        if not known.granted:
            return known
        asked_s = self._clock()
        answer = await self._redis.take(asks)
        if answer is None:
            self._metrics.counted_alone.inc()
            return self._local.take(asks, now_s=self._clock())
        for level in answer.levels:
            self._local.learn(level.ask, level.full_in_s, now_s=asked_s)
        return answer
