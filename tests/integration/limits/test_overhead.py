"""The bench of what requests cost before their own work measures what requests go through."""

from __future__ import annotations

from pydantic import SecretStr

from api.bench.overhead import (
    CHANGE,
    CREDENTIAL,
    LIMIT,
    PERMISSION,
    REFUSAL,
    KindFigures,
    OverheadFigures,
    PartFigures,
    Spread,
    measure_overhead,
)
from api.bench.overhead_callers import KEY, KNOWN_KEY, PERSON, PROGRAM, SESSION
from api.bench.report import overhead_table
from api.database import Pool
from api.settings import Settings
from tests.support.redis import RedisServer
from tests.support.tenants import make_tenant

KINDS = [KNOWN_KEY, KEY, SESSION, PROGRAM, PERSON]


async def test_every_kind_and_every_part_is_measured_with_and_without_redis(
    settings: Settings, pool: Pool, shared_redis: RedisServer
) -> None:
    scope = await make_tenant(pool)
    for url in ("", shared_redis.url):
        chosen = settings.model_copy(update={"redis_url": SecretStr(url)})
        figures = await measure_overhead(chosen, scope, calls=10)
        assert [kind.kind for kind in figures.kinds] == KINDS
        parts = [*(f"{CREDENTIAL}{kind}" for kind in KINDS), LIMIT, PERMISSION, REFUSAL, CHANGE]
        assert [part.part for part in figures.parts] == parts
        for spread in (
            *(part.took for part in figures.parts),
            *(spread for kind in figures.kinds for spread in (kind.whole, kind.bare)),
        ):
            assert 0 <= spread.p50_us <= spread.p95_us <= spread.p99_us
        assert overhead_table(figures, hardware="this").row_count > len(KINDS) + len(parts)


def test_a_spread_is_of_what_was_measured_and_of_nothing_between() -> None:
    assert Spread.of(range(1, 201)) == Spread(100, 190, 198)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_the_target_is_of_the_dearest_request_and_what_it_puts_on_the_record() -> None:
    def figures(*added_us: int, change_us: int) -> OverheadFigures:
        bare = Spread(10, 20, 30)
        kinds = [KindFigures("", Spread(11, 20 + us, 30 + us), bare) for us in added_us]
        change = PartFigures(CHANGE, Spread(1, change_us, change_us))
        return OverheadFigures(10, tuple(kinds), (change,))

    within = [
        figures(*added_us, change_us=change_us).within_target
        for added_us, change_us in (((100, 3_000), 1_999), ((3_000, 100), 2_000), ((5_000,), 0))
    ]
    assert within == [True, False, False]
