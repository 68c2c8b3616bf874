"""Decompression that stops at a bound, so that a small body cannot fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum

_STEP_BYTES = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


class Compression(StrEnum):
    """Content-Encoding values that are understood. deflate is the zlib format (RFC 9110)."""

    IDENTITY = "identity"
    GZIP = "gzip"
    DEFLATE = "deflate"


class ExpandsTooFar(Exception):
    """The body is larger, decompressed, than allowed."""


class NotCompressed(Exception):
    """The body is not what its Content-Encoding says, or ends too early."""


class Inflater:
    """Decompresses one body as it comes; gzip bodies may have several members (RFC 1952)."""

    def __init__(self, compression: Compression, *, max_bytes: int) -> None:
        self._compression = compression
        self._left_bytes = max_bytes
        self._stream = self._new_stream()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body expand to, in steps of at most 1 MiB.

        Raises ExpandsTooFar, before more than max_bytes + 1 were made, and NotCompressed.
        """
        if self._compression is Compression.IDENTITY:
            yield self._counted(data)
            return
        while data:
            if self._stream.eof:
                if self._compression is not Compression.GZIP:
                    raise NotCompressed("bytes follow the end of the compressed body")
                self._stream = self._new_stream()
            self._begun = True
            try:
                expanded = self._stream.decompress(data, min(self._left_bytes + 1, _STEP_BYTES))
            except zlib.error as error:
                raise NotCompressed(f"the body is not {self._compression}: {error}") from error
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if expanded:
                yield self._counted(expanded)

    def finish(self) -> None:
        """Raise NotCompressed where the body ended too early. An empty body is well."""
        if self._begun and not self._stream.eof:
            raise NotCompressed(f"the {self._compression} body ends too early")

    def _counted(self, expanded: bytes) -> bytes:
        self._left_bytes -= len(expanded)
        if self._left_bytes < 0:
            raise ExpandsTooFar
        return expanded

    def _new_stream(self) -> zlib._Decompress:
        return zlib.decompressobj(zlib.MAX_WBITS | (16 if self._compression == "gzip" else 0))
