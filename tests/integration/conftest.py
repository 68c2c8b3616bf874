"""Real servers for integration tests: one of each a test process, a fresh database a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import Database, Server, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running Postgres server."""
    with running_server() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Database:
    """An empty database with the newest schema."""
    return postgres.database()
