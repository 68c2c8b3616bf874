"""The bench of what requests cost before their own work measures what requests go through."""

from __future__ import annotations

from pydantic import SecretStr

from api.bench.overhead import (
    CHANGE,
    KEY,
    LIMIT,
    PERMISSION,
    REFUSAL,
    SESSION,
    WITH_KEY,
    WITH_SESSION,
    OverheadFigures,
    StepTime,
    measure_overhead,
)
from api.database import Pool
from api.settings import Settings
from tests.support.redis import RedisServer
from tests.support.tenants import make_tenant


async def test_every_step_is_measured_with_and_without_redis(
    settings: Settings, pool: Pool, shared_redis: RedisServer
) -> None:
    scope = await make_tenant(pool)
    for url in ("", shared_redis.url):
        chosen = settings.model_copy(update={"redis_url": SecretStr(url)})
        figures = await measure_overhead(chosen, scope, calls=30)
        steps = [KEY, SESSION, LIMIT, PERMISSION, REFUSAL, CHANGE, WITH_KEY, WITH_SESSION]
        assert [row.step for row in figures.rows] == steps
        for row in figures.rows:
            assert 0 <= row.p50_us <= row.p95_us


def test_the_target_is_of_a_whole_request_and_what_it_puts_on_the_record() -> None:
    def figures(whole_us: int, change_us: int) -> OverheadFigures:
        return OverheadFigures(
            (StepTime(CHANGE, 1, change_us), StepTime(WITH_KEY, 1, whole_us, is_sum=True))
        )

    within = [figures(*each).within_target for each in ((3_000, 1_999), (3_000, 2_000), (5_000, 0))]
    assert within == [True, False, False]
