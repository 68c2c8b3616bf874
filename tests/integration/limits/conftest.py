"""A Redis for the tests of limits, and what the API needs beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from api.database import Pool, open_pool
from api.settings import Settings
from tests.support.postgres import Database, Server
from tests.support.redis import RedisServer, running_redis
from tests.support.tenants import PEPPER

NO_KAFKA = "127.0.0.1:1"


@pytest.fixture(scope="package")
def shared_redis() -> Iterator[RedisServer]:
    """A server that no test stops."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server of the test's own."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="package")
def shared_database(postgres: Server) -> Database:
    """One migrated database."""
    return postgres.database()


@pytest.fixture
async def pool(shared_database: Database) -> AsyncIterator[Pool]:
    """A pool of the application's role."""
    async with open_pool(shared_database.app, size=4) as opened:
        yield opened


@pytest.fixture
def settings(shared_database: Database) -> Settings:
    """Settings of an application on the database, without Redis."""
    return Settings.model_validate(
        {"database_url": shared_database.app, "secret_key": PEPPER.decode(), "kafka": NO_KAFKA}
    )
