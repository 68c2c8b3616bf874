"""Which rules the worker finds over their budget, and which it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from api.worker.accounting import AccountingWriter
from api.worker.database import WorkerConnection
from api.worker.redaction import Letters
from tests.integration.worker.world import (
    NOON_MS,
    OTHER_TENANT,
    RULE,
    TENANT,
    Told,
    rows,
    set_rule_state,
)
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

STATS = "betrace.stats"
MINUTE_MS = 60_000


def minute(
    number: int, over_budget: int, judged: int = 1_000, *, tenant: str = TENANT, lane: int = 0
) -> Told:
    """Return what one lane counted in the n-th minute of event time."""
    rule = wire.RuleStats(
        rule_id=RULE,
        version=1,
        satisfied=judged - over_budget,
        inconclusive=over_budget,
        over_budget=over_budget,
    )
    at_ms = NOON_MS + number * MINUTE_MS
    stats = wire.Stats(lane=lane, tenant=tenant, minute_ms=at_ms, revision=at_ms, rules=[rule])
    return Told(stats.SerializeToString(), topic=STATS)


def write(connection: WorkerConnection, *told: Told) -> int:
    """Write a batch; return how many rules were found."""
    with connection.transaction():
        written = AccountingWriter(STATS, "betrace.dead-letters", Letters()).write(connection, told)
    return written.rows.get("notices", 0)


def notices(database: Database) -> list[dict[str, object]]:
    return rows(
        database.admin, "select tenant_id::text, rule_id, rule_version, figures from notices"
    )


@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        ([(0, 40), (1, 0), (4, 40), (9, 40)], 1),
        ([(0, 40), (4, 0), (9, 61)], 0),
        ([(0, 40), (4, 40), (10, 40)], 0),
        ([(0, 30), (4, 30), (9, 30)], 0),
    ],
    ids=[
        "in three of ten minutes",
        "in two minutes only",
        "in three of eleven minutes",
        "in a hundredth of the judgements",
    ],
)
def test_a_rule_is_found_that_keeps_running_out_of_its_budget(
    connection: WorkerConnection, minutes: Sequence[tuple[int, int]], found: int
) -> None:
    assert sum(write(connection, minute(*each)) for each in minutes) == found


def test_a_share_of_few_judgements_is_enough(
    seeded: Database, connection: WorkerConnection
) -> None:
    lanes = [minute(number, 1, 9, lane=lane) for number in range(3) for lane in (1, 2)]
    assert write(connection, *lanes) == 1
    assert notices(seeded) == [
        {
            "tenant_id": TENANT,
            "rule_id": RULE,
            "rule_version": 1,
            "figures": {
                "over_budget": 6,
                "judged": 54,
                "minutes": 3,
                "since": "2027-01-15T08:00:00+00:00",
                "until": "2027-01-15T08:03:00+00:00",
            },
        }
    ]


def test_a_version_is_found_once_however_often_it_is_counted(
    seeded: Database, connection: WorkerConnection
) -> None:
    batch = [minute(number, 50) for number in range(3)]
    assert [write(connection, *batch), write(connection, *batch)] == [1, 0]
    assert write(connection, minute(3, 50)) == 0


@pytest.mark.parametrize("state", ["off", "quarantined"])
def test_a_rule_that_is_not_judged_any_more_is_left_alone(
    seeded: Database, connection: WorkerConnection, state: str
) -> None:
    set_rule_state(seeded.admin, state)
    assert write(connection, *(minute(number, 50) for number in range(3))) == 0


def test_what_one_tenant_has_found_another_does_not_see(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, *(minute(number, 50, tenant=OTHER_TENANT) for number in range(3)))
    seen = {}
    with psycopg.connect(seeded.app) as app:
        for tenant in (TENANT, OTHER_TENANT):
            app.execute("select set_config('app.tenant_id', %s, true)", [tenant])
            seen[tenant] = app.execute("select rule_id from notices").fetchall()
    assert seen == {TENANT: [], OTHER_TENANT: [(RULE,)]}
