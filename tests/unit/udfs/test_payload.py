"""Records of spans on the wire: plain, or one frame of zstd, opened within bounds."""

from __future__ import annotations

import pytest
import zstandard

from tests.support.engine import SpanDraft, export_request
from udfs.payload import MAX_BYTES, PayloadUnreadable, compress, expand, expand_readable

REQUEST = export_request(
    [SpanDraft(trace="t", id=f"span {number}", name="GET /pay") for number in range(50)]
)


def test_a_request_comes_out_as_it_went_in_and_travels_small() -> None:
    value = compress(REQUEST)

    assert expand(value) == REQUEST
    assert len(value) < len(REQUEST) / 2


@pytest.mark.parametrize("request_bytes", [b"", REQUEST[:300]], ids=["a heartbeat", "a small one"])
def test_what_a_frame_would_not_shorten_stays_as_it_is(request_bytes: bytes) -> None:
    assert compress(request_bytes) == request_bytes
    assert expand(request_bytes) == request_bytes


def test_plain_requests_are_read_too() -> None:
    assert expand(REQUEST) == REQUEST


def unsized(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(content)


def test_a_frame_that_does_not_tell_its_size_is_opened() -> None:
    assert expand(unsized(REQUEST)) == REQUEST


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (compress(REQUEST)[:-3], "not a frame"),
        (compress(REQUEST) + b"more", "unused data"),
        (compress(REQUEST)[:4], "not a frame"),
        (compress(bytes(MAX_BYTES + 1)), f"{MAX_BYTES + 1} bytes when opened"),
        (unsized(bytes(MAX_BYTES + 1)), "not a frame"),
    ],
    ids=["cut", "followed by something", "only a magic number", "a bomb", "a bomb without a size"],
)
def test_damaged_and_oversized_frames_are_refused(value: bytes, says: str) -> None:
    with pytest.raises(PayloadUnreadable, match=says):
        expand(value)
    assert expand_readable(value) == b""
