"""API1:2023 Broken object level authorization: an id is no right."""

from __future__ import annotations

import pytest

from api.database import Pool
from tests.integration.api.conftest import Caller
from tests.support.filled import filled_tenant
from tests.support.postgres import Database

THINGS = [
    "/api/v1/rules/{rule_id}",
    "/api/v1/rules/{rule_id}/versions",
    "/api/v1/signals/{signal_id}",
    "/api/v1/signals/{signal_id}/notes",
    "/api/v1/signals/{signal_id}/rows",
    "/api/v1/traces/{trace_id}",
    "/api/v1/backtests/{backtest_id}",
    "/api/v1/dead-letters/{letter_id}",
    "/api/v1/keys/{key_id}",
]


@pytest.mark.parametrize("path", THINGS)
async def test_anothers_thing_is_not_there_and_its_name_is_not_told(
    path: str, stranger: Caller, pool: Pool, shared_database: Database
) -> None:
    filled = await filled_tenant(pool, shared_database)
    answer = await stranger.client.get(path.format(**filled.ids))
    assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")
    assert filled.mark not in answer.text


async def test_lists_hold_ones_own_alone_whatever_the_query_says(
    stranger: Caller, pool: Pool, shared_database: Database
) -> None:
    filled = await filled_tenant(pool, shared_database)
    theirs = str(filled.scope.tenant_id)
    for path in ("rules", "signals", "keys", "backtests", "dead-letters", "notices", "audit"):
        answer = await stranger.client.get(
            f"/api/v1/{path}", params={"tenant_id": theirs, "tenant": theirs}
        )
        assert answer.status_code == 200
        assert filled.mark not in answer.text
        assert theirs not in answer.json()
