"""Buckets in a real Redis: the same answers as local ones, together, and while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from api.limits.buckets import Ask, LocalBuckets, Quota
from api.limits.metrics import LimitMetrics
from api.limits.settled import SettledBuckets
from api.limits.shared import RedisBuckets, SharedBuckets, open_redis_buckets
from tests.support.redis import RedisServer

SLOW = Quota(10, 3_600)
"""Gains next to nothing while a test runs."""


class Clock:
    """A clock moved by hand."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Replica:
    """What one process has."""

    def __init__(self, redis: RedisBuckets | None, metrics: LimitMetrics, clock: Clock) -> None:
        self.registry_value = metrics.redis_up
        self.redis = redis
        self.shared = SharedBuckets(LocalBuckets(), redis, metrics=metrics, clock=clock)
        self.settled = SettledBuckets(LocalBuckets(), redis, metrics=metrics, clock=clock)


@asynccontextmanager
async def replicas(
    server: RedisServer, count: int, *, clock: Clock | None = None
) -> AsyncIterator[tuple[list[Replica], list[CollectorRegistry]]]:
    """So many processes on one Redis, with a prefix of their own."""
    prefix, clock = str(uuid4()), clock or Clock()
    async with AsyncExitStack() as stack:
        made, registries = [], []
        for _ in range(count):
            registry = CollectorRegistry()
            metrics = LimitMetrics(registry)
            redis = await stack.enter_async_context(
                open_redis_buckets(server.url, prefix=prefix, metrics=metrics)
            )
            assert redis is not None
            redis._clock = clock
            made.append(Replica(redis, metrics, clock))
            registries.append(registry)
        yield made, registries


def ask(cost: float = 1, *, policy: str = "tenant", quota: Quota = SLOW) -> Ask:
    return Ask(policy, "a", quota, cost)


async def test_replicas_grant_together_what_one_would(shared_redis: RedisServer) -> None:
    async with replicas(shared_redis, 2) as (made, _):
        answers = await asyncio.gather(
            *(made[number % 2].shared.take([ask()]) for number in range(30))
        )
        assert sum(answer.granted for answer in answers) == 10
        again = await made[0].shared.take([ask()])
        assert again.wait_s == pytest.approx(360, abs=30)


async def test_levels_are_those_of_a_local_bucket(shared_redis: RedisServer) -> None:
    costs = [1, 3, 4, 5, 2, 1]
    local = LocalBuckets()
    expected = [local.take([ask(cost)], now_s=0).levels[0].units for cost in costs]
    async with replicas(shared_redis, 2) as (made, _):
        seen = [
            (await made[number % 2].shared.take([ask(cost)])).levels[0].units
            for number, cost in enumerate(costs)
        ]
    assert seen == expected == [9, 6, 2, 2, 0, 0]


async def test_what_one_bucket_refuses_costs_nothing_in_the_other(
    shared_redis: RedisServer,
) -> None:
    async with replicas(shared_redis, 1) as ([replica], _):
        both = [ask(), ask(policy="person", quota=Quota(2, 3_600))]
        granted = [(await replica.shared.take(both)).granted for _ in range(4)]
        left = await replica.shared.take([ask()])
    assert granted == [True, True, False, False]
    assert left.levels[0].units == 7


async def test_buckets_that_are_full_again_are_forgotten(shared_redis: RedisServer) -> None:
    async with replicas(shared_redis, 1) as ([replica], _):
        assert replica.redis is not None
        quick = Quota(10, 0.05)
        await replica.redis.take([ask(10, quota=quick)])
        async with asyncio.timeout(30):
            while (answer := await replica.redis.take([ask(10, quota=quick)])) is not None:
                if answer.granted:
                    break
        assert answer is not None
        assert answer.levels[0].full_in_s == pytest.approx(0.05)


async def test_while_redis_is_away_each_replica_goes_on_from_what_it_knows(
    redis: RedisServer,
) -> None:
    clock = Clock()
    async with replicas(redis, 2, clock=clock) as (made, registries):
        for replica in made:
            for _ in range(3):
                assert (await replica.shared.take([ask()])).granted
        redis.stop()
        with capture_logs() as logs:
            granted = [
                sum([(await replica.shared.take([ask()])).granted for _ in range(10)])
                for replica in made
            ]
        assert granted == [7, 4]  # each has seen its own last answer: 3 and 6 were used
        assert [entry["event"] for entry in logs] == ["limits.redis_away"] * 2
        assert [
            registry.get_sample_value("betrace_limits_redis_up") for registry in registries
        ] == [0, 0]
        assert registries[0].get_sample_value("betrace_limits_counted_alone_total") == 7

        redis.start()
        clock.now_s += 2
        with capture_logs() as logs:
            answer = await made[0].shared.take([ask(policy="other")])
        assert answer.granted
        assert [entry["event"] for entry in logs] == ["limits.redis_back"]
        assert registries[0].get_sample_value("betrace_limits_redis_up") == 1


async def test_nobody_waits_for_a_redis_that_was_away_a_moment_ago(redis: RedisServer) -> None:
    clock = Clock()
    async with replicas(redis, 1, clock=clock) as ([replica], _):
        redis.stop()
        assert replica.redis is not None
        assert await replica.redis.take([ask()]) is None
        redis.start()
        assert await replica.redis.take([ask()]) is None  # not asked
        clock.now_s += 1.1
        assert (await replica.redis.take([ask()])) is not None


async def test_what_replicas_used_is_settled_and_becomes_the_debt_of_all(
    shared_redis: RedisServer,
) -> None:
    async with replicas(shared_redis, 2) as (made, _):
        one, other = (replica.settled for replica in made)
        one.charge([ask(8)])
        other.charge([ask(7)])
        assert (one.peek([ask()]).granted, other.peek([ask()]).granted) == (True, True)
        await one.settle()
        await other.settle()
        assert other.peek([ask()]).wait_s == pytest.approx(6 * 360, abs=30)  # 5 in debt, and 1
        assert one.peek([ask()]).granted  # has told Redis before the other did
        one.charge([ask(1)])
        await one.settle()
        assert one.peek([ask()]).wait_s == pytest.approx(7 * 360, abs=30)


async def test_what_is_charged_while_it_is_settled_is_not_lost(shared_redis: RedisServer) -> None:
    async with replicas(shared_redis, 1) as ([replica], _):
        replica.settled.charge([ask(4)])
        settling = asyncio.create_task(replica.settled.settle())
        await asyncio.sleep(0)
        replica.settled.charge([ask(4)])
        await settling
        level = replica.settled.peek([ask()]).levels[0]
        assert level.units == 2
