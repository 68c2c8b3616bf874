"""What parts hand on is read as it was written, in order, and within its bound."""

from __future__ import annotations

import pytest

from udfs.backtest import handed
from udfs.backtest.handed import Handed, HandedOn, TooManyMembers, unpack_chunk
from udfs.contributions import MANY_SIGNALS, MANY_SPANS, Item, pack_items


def element(source: int, *items: tuple[int, int, bytes]) -> bytes:
    return pack_items([Item(at, source, nth, content) for at, nth, content in items], source=source)


def test_chunks_hold_what_was_said_in_order() -> None:
    packer = HandedOn()
    packer.take(MANY_SIGNALS, 7, element(3, (2_000, 1, b"[1]"), (2_000, 2, b"[2]")))
    packer.take(MANY_SPANS, 9, element(1, (1_500, 1, b"[3]")))
    packer.settle()
    packer.take(MANY_SPANS, 9, element(1, (2_500, 1, b"[4]")))
    packer.settle()
    (chunk,) = packer.chunks()
    assert list(unpack_chunk(chunk.packed)) == [
        Handed(1_500, 1, 1, MANY_SPANS, 9, b"[3]"),
        Handed(2_000, 3, 1, MANY_SIGNALS, 7, b"[1]"),
        Handed(2_000, 3, 2, MANY_SIGNALS, 7, b"[2]"),
        Handed(2_500, 1, 1, MANY_SPANS, 9, b"[4]"),
    ]
    assert (chunk.item_count, packer.item_count) == (4, 4)


def test_many_are_cut_into_chunks_that_are_read_one_by_one() -> None:
    packer = HandedOn()
    said = [(number, 1, b"[%d]" % number) for number in range(5_000)]
    packer.take(MANY_SPANS, 0, element(0, *said))
    packer.settle()
    chunks = packer.chunks()
    assert [chunk.item_count for chunk in chunks] == [2_000, 2_000, 1_000]
    read = [one for chunk in chunks for one in unpack_chunk(chunk.packed)]
    assert [(one.judged_ms, one.nth, one.content) for one in read] == said


def test_nothing_said_is_no_chunk() -> None:
    packer = HandedOn()
    packer.settle()
    assert packer.chunks() == []


def test_more_than_a_backtest_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MEMBERS_MAX", 2)
    packer = HandedOn()
    packer.take(MANY_SPANS, 0, element(0, *((number, 1, b"[]") for number in range(3))))
    with pytest.raises(TooManyMembers, match=r"more than 2 spans and signals.*shorter range"):
        packer.settle()


@pytest.mark.parametrize("packed", [b"", b"\x00", b"\x02(\xb5/\xfd"])
def test_another_format_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="this build reads 1"):
        list(unpack_chunk(packed))
