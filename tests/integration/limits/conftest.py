"""A Redis for the tests of limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis import RedisServer, running_redis


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
