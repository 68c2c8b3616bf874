"""Sealers that are killed with SIGKILL in the middle leave no gap, no fork, and lose nothing.

`make test-faults` tries many more seeds, and kills the database under them.
"""

from __future__ import annotations

import pytest

from tests.support.killed_sealers import assert_nothing_is_lost
from tests.support.postgres import Database


@pytest.mark.parametrize("seed", range(3))
async def test_sealers_that_are_killed_leave_no_gap_and_no_fork(
    seed: int, database: Database
) -> None:
    await assert_nothing_is_lost(database, seed=seed)
