"""Links are kept as they came, and still each counts once where it matters."""

from __future__ import annotations

import random

import pytest

from udfs.facts import LINK_BYTES
from udfs.kept_trace import LARGE_LINKS, KeptTrace, unpack_kept


def link(number: int, parent: int = 0) -> bytes:
    return number.to_bytes(8, "big") + parent.to_bytes(8, "big")


def chain(*numbers: int) -> bytes:
    return b"".join(link(number, number - 1) for number in numbers)


def restored(kept: KeptTrace) -> KeptTrace:
    again, end = unpack_kept(kept.pack(), 0)
    assert end == len(kept.pack())
    return again


def links_of(kept: KeptTrace) -> dict[bytes, tuple[bytes, ...]]:
    structure = kept.structure(now_ms=0, settle_ms=0, clock_skew_ms=0)
    return dict(structure.links)


def test_a_link_that_comes_again_is_one_link() -> None:
    kept = KeptTrace()
    for numbers in ((1, 2), (2, 3), (1, 2, 3)):
        assert kept.add_links(chain(*numbers))
    assert links_of(kept) == links_of(restored(kept))
    assert links_of(kept) == {link(n)[:8]: (link(n - 1)[:8],) for n in (1, 2, 3)}


def test_spans_that_share_an_id_keep_both_parents() -> None:
    kept = KeptTrace()
    kept.add_links(link(5, 1) + link(5, 2) + link(5, 1))
    assert links_of(kept) == {link(5)[:8]: (link(1)[:8], link(2)[:8])}


def test_what_comes_after_a_judgement_is_seen_by_the_next() -> None:
    kept = KeptTrace()
    kept.add_links(chain(2))
    before = links_of(kept)
    kept.add_links(chain(1))
    assert len(before) == 1
    assert set(links_of(kept)) == {link(1)[:8], link(2)[:8]}


def test_an_orphan_is_one_whatever_came_twice() -> None:
    kept = KeptTrace()
    kept.add_links(chain(3, 3))
    assert kept.has_orphans()
    kept.add_links(chain(2, 1))
    assert not kept.has_orphans()


def test_without_room_only_what_is_new_is_missed() -> None:
    kept = KeptTrace()
    kept.add_links(chain(1, 2, 2))
    assert kept.add_links(chain(1, 2), most=0)
    assert not kept.add_links(chain(2, 3), most=0)
    assert set(links_of(kept)) == {link(1)[:8], link(2)[:8]}


def test_a_large_trace_has_each_link_once_in_its_state() -> None:
    kept = KeptTrace()
    for begin in range(0, 2 * LARGE_LINKS, 500):
        numbers = range(begin + 1, begin + 501)
        assert kept.add_links(chain(*numbers))
        assert kept.add_links(chain(*numbers))
    assert kept.is_large
    assert kept.weight_bytes == len(kept.pack())
    assert len(links_of(kept)) == 2 * LARGE_LINKS
    assert len(kept.pack()) < LINK_BYTES * 2 * LARGE_LINKS + 100


def test_repeats_alone_do_not_make_a_trace_large() -> None:
    kept = KeptTrace()
    for _ in range(2 * LARGE_LINKS // 100):
        kept.add_links(chain(*range(1, 101)))
    assert not kept.is_large
    assert kept.weight_bytes <= LINK_BYTES * (LARGE_LINKS + 100)


@pytest.mark.parametrize("seed", range(8))
def test_memory_makes_no_difference(seed: int) -> None:
    """One lives on, one is restored before every step: they say and weigh the same."""
    rng = random.Random(seed)
    living, reborn = KeptTrace(), KeptTrace()
    most = rng.choice((LARGE_LINKS // 2, LARGE_LINKS + 700, 4 * LARGE_LINKS))
    for _ in range(60):
        begin = rng.randrange(1, 3 * LARGE_LINKS)
        numbers = range(begin, begin + rng.randrange(1, 600))
        room = most if rng.random() < 0.9 else 0
        reborn = restored(reborn)
        if rng.random() < 0.1:
            assert links_of(living) == links_of(reborn)
        assert living.add_links(chain(*numbers), most=room) == reborn.add_links(
            chain(*numbers), most=room
        )
        assert living.pack() == reborn.pack()
        assert living.weight_bytes == reborn.weight_bytes
        assert living.is_large == reborn.is_large
    assert links_of(living) == links_of(reborn)
    assert living.has_orphans() == reborn.has_orphans()
