"""One broker for the worker's tests; topics of their own for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest

from api.kafka.topics import TopicAdmin, TopicNames, topic_specs
from api.worker.backtests.process import Runner
from api.worker.database import WorkerConnection, connect
from tests.integration.worker.backtests import MINUTE_MS, TimedLog, World, timed_topics
from tests.integration.worker.world import OTHER_TENANT, TENANT, add_rule, add_tenant
from tests.support.kafka import Broker, running_kafka
from tests.support.postgres import Database

_numbers = count(1)


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """A running Kafka broker."""
    with running_kafka() as broker:
        yield broker


@pytest.fixture
def topics(broker: Broker) -> TopicNames:
    """Names of fresh topics, made as an installation makes them."""
    names = TopicNames(f"test{next(_numbers)}")
    with TopicAdmin(broker.address) as admin:
        admin.create(topic_specs(names))
    return names


@pytest.fixture
def seeded(database: Database) -> Database:
    """A database with two tenants that have a rule each."""
    for tenant in (TENANT, OTHER_TENANT):
        add_tenant(database.admin, tenant)
        add_rule(database.admin, tenant=tenant)
    return database


@pytest.fixture
def connection(seeded: Database) -> Iterator[WorkerConnection]:
    """A connection of the worker's role to the seeded database."""
    with connect(seeded.worker, name="test") as connection:
        yield connection


@pytest.fixture
def world(broker: Broker, database: Database) -> World:
    """What backtests need, with a log whose records bear the times that the test gives them."""
    return World(broker, timed_topics(broker, f"timed{next(_numbers)}"), database)


@pytest.fixture
def log(world: World) -> TimedLog:
    """A log that began three hours ago."""
    origin_ms = time.time_ns() // 1_000_000 - 180 * MINUTE_MS
    log = TimedLog(world.broker, world.topics, origin_ms)
    log.beat(0)
    return log


@pytest.fixture
def runner(world: World) -> Iterator[Runner]:
    """What does the backtests of a worker."""
    with world.runner() as runner:
        yield runner
