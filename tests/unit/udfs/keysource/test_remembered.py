"""What is remembered, for how long, and how much of it."""

from __future__ import annotations

import asyncio

import pytest

from udfs.keysource.remembered import Remembered
from udfs.keysource.trouble import KeyRefused, KeysUnavailable


class Answers:
    """Somebody who answers with numbers that count up, unless they are away."""

    def __init__(self) -> None:
        self.count = 0
        self.away = False

    async def __call__(self) -> int:
        await asyncio.sleep(0)
        if self.away:
            raise KeysUnavailable("away", where="the test", next_step="Try again.")
        self.count += 1
        return self.count


def remembered(clock: list[float], *, most: int = 10) -> Remembered[str, int]:
    return Remembered(age_s=10, grace_s=5, most=most, monotonic=lambda: clock[0])


async def test_an_answer_is_good_for_its_age() -> None:
    clock, ask = [0.0], Answers()
    kept = remembered(clock)
    seen = []
    for moment in (0.0, 9.9, 10.0):
        clock[0] = moment
        seen.append(await kept.get("k", ask))
    assert seen == [1, 1, 2]
    assert (kept.counts.hits, kept.counts.misses) == (1, 2)


async def test_an_old_answer_does_for_the_grace_and_no_longer() -> None:
    clock, ask = [0.0], Answers()
    kept = remembered(clock)
    await kept.get("k", ask)
    ask.away = True
    clock[0] = 14.9
    assert await kept.get("k", ask) == 1
    clock[0] = 15.0
    with pytest.raises(KeysUnavailable):
        await kept.get("k", ask)


async def test_a_refusal_has_no_grace() -> None:
    clock, ask = [0.0], Answers()
    kept = remembered(clock)
    await kept.get("k", ask)
    clock[0] = 11.0

    async def refuse() -> int:
        raise KeyRefused("no", where="the test", next_step="None.")

    with pytest.raises(KeyRefused):
        await kept.get("k", refuse)


async def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    ask = Answers()
    kept = remembered([0.0], most=2)
    for key in ("a", "b", "a", "c"):
        await kept.get(key, ask)
    assert len(kept) == 2
    assert kept.counts.evictions == 1
    before = ask.count
    await kept.get("a", ask)
    assert ask.count == before
    await kept.get("b", ask)
    assert ask.count == before + 1


async def test_what_is_too_old_for_the_grace_is_forgotten_when_something_is_remembered() -> None:
    clock, ask = [0.0], Answers()
    kept = remembered(clock)
    await kept.get("old", ask)
    clock[0] = 15.0
    await kept.get("new", ask)
    assert len(kept) == 1


async def test_an_answer_on_its_way_is_not_remembered_once_dropped() -> None:
    ask = Answers()
    kept = remembered([0.0])
    waiting = asyncio.ensure_future(kept.get("k", ask))
    await asyncio.sleep(0)
    kept.drop("k")
    assert await waiting == 1
    assert len(kept) == 0


async def test_who_gives_up_takes_nothing_from_those_who_wait() -> None:
    ask = Answers()
    kept = remembered([0.0])
    first = asyncio.ensure_future(kept.get("k", ask))
    second = asyncio.ensure_future(kept.get("k", ask))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    assert ask.count == 1
