"""The value of a record of spans: an ExportTraceServiceRequest, plain or as one frame of zstd.

Compressed once by `ingest`, a record stays small on its whole way: through the broker and its log,
the JVM, and the pipe to the Python worker, which opens it. The broker's own compression would end
in the JVM. A reader tells the two apart by the first bytes: a request begins with 0A, a frame with
the magic number of RFC 8878.
"""

from __future__ import annotations

import threading

import zstandard

MAX_BYTES = 8 * 1024 * 1024
"""Of any record: `max.message.bytes` of the topics, and what a frame may grow to."""

_MAGIC = zstandard.FRAME_HEADER
_LEVEL = 1
_SMALL_BYTES = 512
"""Below that a frame saves nothing worth the call."""


class _Contexts(threading.local):
    """zstd's working memory: dear to make, and not to be used by two threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


class PayloadUnreadable(ValueError):
    """A frame that is damaged, or too large when opened."""


def compress(request: bytes) -> bytes:
    """Return the value to write for a request: a frame, or a small request as it is."""
    if len(request) < _SMALL_BYTES:
        return request
    return _contexts.compressor.compress(request)


def expand(value: bytes) -> bytes:
    """Return the request that a value holds. Raises PayloadUnreadable."""
    if not value.startswith(_MAGIC):
        return value
    try:
        size = zstandard.frame_content_size(value)
        if size > MAX_BYTES:
            raise PayloadUnreadable(f"{size} bytes when opened; at most {MAX_BYTES} are taken")
        # A frame that does not tell its size is opened up to the bound.
        return _contexts.decompressor.decompress(
            value, max_output_size=MAX_BYTES, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise PayloadUnreadable(f"not a frame of zstd: {error}") from error


def expand_readable(value: bytes) -> bytes:
    """Return the request that a value holds; of a damaged one nothing, as it is not judged."""
    try:
        return expand(value)
    except PayloadUnreadable:
        return b""
