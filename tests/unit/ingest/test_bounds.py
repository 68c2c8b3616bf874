"""Decompression, memory and rates stop at their bounds."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.ingest.allowance import Exhausted, Memory
from api.ingest.inflate import Compression, ExpandsTooFar, Inflater, NotCompressed

MIB = 1024 * 1024


def inflate(data: bytes, compression: Compression, *, max_bytes: int, step: int = 7) -> bytes:
    inflater = Inflater(compression, max_bytes=max_bytes)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    expanded = b"".join(chunk for piece in pieces for chunk in inflater.feed(piece))
    inflater.finish()
    return expanded


@settings(deadline=None)
@given(st.binary(max_size=2_000), st.integers(1, 500))
def test_a_body_comes_out_whole_however_it_is_cut(body: bytes, step: int) -> None:
    compressed = {
        Compression.IDENTITY: body,
        Compression.GZIP: gzip.compress(body),
        Compression.DEFLATE: zlib.compress(body),
    }
    assert {
        name: inflate(data, name, max_bytes=2_000, step=step) for name, data in compressed.items()
    } == dict.fromkeys(compressed, body)


def test_a_gzip_body_may_have_several_members() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    assert inflate(body, Compression.GZIP, max_bytes=7) == b"one two"


def gzip_bomb(expanded_bytes: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    chunks = [compressor.compress(bytes(MIB)) for _ in range(expanded_bytes // MIB)]
    return b"".join([*chunks, compressor.flush()])


def test_a_bomb_of_200_mb_is_stopped_before_it_fills_the_memory() -> None:
    bomb = gzip_bomb(200 * MIB)
    inflater = Inflater(Compression.GZIP, max_bytes=4 * MIB)
    seen: list[int] = []

    def expand() -> None:
        seen.extend(len(chunk) for chunk in inflater.feed(bomb))

    tracemalloc.start()
    with pytest.raises(ExpandsTooFar):
        expand()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(seen) == 4 * MIB
    assert peak_bytes < 4 * MIB


@pytest.mark.parametrize(
    ("data", "compression"),
    [
        (b"plain", Compression.GZIP),
        (gzip.compress(b"cut short")[:-4], Compression.GZIP),
        (gzip.compress(b"x"), Compression.DEFLATE),
        (zlib.compress(b"x") + b"more", Compression.DEFLATE),
    ],
    ids=["not compressed", "cut short", "another format", "something after it"],
)
def test_what_is_not_compressed_as_said_is_refused(data: bytes, compression: Compression) -> None:
    with pytest.raises(NotCompressed):
        inflate(data, compression, max_bytes=100)


def test_leases_share_one_memory_and_give_back_what_they_took() -> None:
    memory = Memory(100)
    one, other = memory.lease(), memory.lease()
    one.grow(60)
    with pytest.raises(Exhausted):
        other.grow(41)
    other.grow(40)
    one.close()
    one.close()
    assert memory.held_bytes == 40
