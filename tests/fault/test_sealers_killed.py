"""Sealers of evidence that are killed, and the database under them, at many moments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.killed_sealers import assert_nothing_is_lost
from tests.support.postgres import Server, running_server

pytestmark = [pytest.mark.fault, pytest.mark.matrix]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A server of these tests' own: it is killed."""
    with running_server() as server:
        yield server


@pytest.mark.parametrize("seed", range(100, 140))
async def test_sealers_that_are_killed_leave_no_gap_and_no_fork(
    seed: int, postgres: Server
) -> None:
    await assert_nothing_is_lost(postgres.database(), seed=seed)


@pytest.mark.parametrize("seed", range(200, 215))
async def test_a_database_that_is_killed_leaves_no_gap_and_no_fork(
    seed: int, postgres: Server
) -> None:
    await assert_nothing_is_lost(postgres.database(), seed=seed, server=True)
