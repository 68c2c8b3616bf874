"""A ZIP archive that is written while it is read: nothing but a piece of it is in memory.

tenant.jsonl, members.jsonl, …   one JSON object a line
manifest.json                    the last file: what the others hold, their SHA-256, when it was
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

MANIFEST: Final = "manifest.json"
_PIECE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """What the manifest says of a file. bytes, sha256 (hex): of its content, unpacked."""

    name: str
    what: str
    rows: int
    bytes: int
    sha256: str


class Archive:
    """Writes files one after the other; what comes out is to be sent at once."""

    def __init__(self, taken_at: datetime) -> None:
        """taken_at: in UTC, the time of all files."""
        self.files: list[FileEntry] = []
        self._taken_at = taken_at
        self._out = _Out()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED)

    async def add(self, name: str, lines: AsyncIterable[str], *, what: str) -> AsyncIterator[bytes]:
        """Write a file of lines, and yield pieces of the archive as they get ready."""
        digest, rows, size = hashlib.sha256(), 0, 0
        with self._zip.open(self._info(name), "w", force_zip64=True) as file:
            piece = bytearray()
            async for line in lines:
                piece += line.encode() + b"\n"
                rows += 1
                if len(piece) >= _PIECE_BYTES:
                    size += len(piece)
                    yield await asyncio.to_thread(self._pack, file, digest, piece)
                    piece = bytearray()
            size += len(piece)
            yield await asyncio.to_thread(self._pack, file, digest, piece)
        self.files.append(
            FileEntry(name=name, what=what, rows=rows, bytes=size, sha256=digest.hexdigest())
        )

    def finish(self, manifest: dict[str, Any]) -> bytes:
        """Write the manifest with the list of files, and return the end of the archive."""
        whole = {**manifest, "files": [asdict(entry) for entry in self.files]}
        text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
        self._zip.writestr(self._info(MANIFEST), text)
        self._zip.close()
        return self._out.take()

    def _pack(self, file: Any, digest: Any, piece: bytearray) -> bytes:
        digest.update(piece)
        file.write(piece)
        return self._out.take()

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._taken_at.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        return info


class _Out(io.RawIOBase):
    """Where the archive is written to: what was not taken yet. It cannot be sought in."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
