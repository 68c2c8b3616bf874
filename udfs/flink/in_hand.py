"""What a Python worker has in hand, noted where it outlives the worker.

A worker that dies inside native code (a segmentation fault, the kernel's memory killer) says
nothing. So each operator keeps a small file mapped into memory, writes there which record it is
about to look at, and clears the mark afterwards: two stores, no system call. The kernel keeps the
page when the process is gone, and frees the lock by which a living process is told from a dead one.

A file is named `<process>.<number>.<operator>` and holds u8 mark (1: in hand), u16 lane, i32
partition, i64 offset, i64 time in ms, u8 length and the tenant.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from uuid import uuid4

from udfs.wire import betrace_pb2 as wire

MATCH = "match"
CORRELATE = "correlate"
_RECORD = Struct("<HiqqB")
_AT = 1
_TENANT_AT = _AT + _RECORD.size
_SIZE = 256
_MOST_TENANT_BYTES = _SIZE - _TENANT_AT

_LOG = logging.getLogger(__name__)


class Note:
    """The note of one operator in this process."""

    def __init__(self, folder: Path, operator: str) -> None:
        """Begin a note. Raises OSError where no file can be kept."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{process_name()}.{uuid4().hex}.{operator}"
        # Locked before it has its name: others take what is not locked for a dead process's.
        self._file, unnamed = tempfile.mkstemp(dir=folder)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, _SIZE)
        self._page = mmap.mmap(self._file, _SIZE)
        os.rename(unnamed, self._path)

    def take(self, *, lane: int, partition: int, offset: int, time_ms: int, tenant: str) -> None:
        """Note that a record is looked at from now on."""
        name = tenant.encode()[:_MOST_TENANT_BYTES]
        page = self._page
        _RECORD.pack_into(page, _AT, lane, partition, offset, time_ms, len(name))
        page[_TENANT_AT : _TENANT_AT + len(name)] = name
        page[0] = 1

    def busy(self) -> None:
        """Note that something is being done that is no record's."""
        self._page[0] = 1

    def put_down(self) -> None:
        """Note that nothing is in hand."""
        self._page[0] = 0

    def close(self) -> None:
        """Take the note away: this process ends in good order."""
        self._path.unlink(missing_ok=True)
        self._page.close()
        os.close(self._file)


class NoNote(Note):
    """For machines on which no file can be kept: what kills a worker is not found out there."""

    def __init__(self) -> None:
        self._page = bytearray(_SIZE)  # type: ignore[assignment]

    def close(self) -> None:
        """Leave nothing behind."""


def open_note(folder: Path, operator: str) -> Note:
    """Return a note of this process, or one that nobody will find."""
    try:
        return Note(folder, operator)
    except OSError:
        _LOG.exception("no notes can be kept in %s", folder)
        return NoNote()


def notes_folder(*log: str) -> Path:
    """Return the folder of the notes about a log, on this machine and for this user."""
    name = blake2b("\0".join(log).encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"betrace-notes-{os.getuid()}" / name


def fallen(folder: Path) -> list[wire.Death]:
    """Return what processes that are gone had in hand, and forget it.

    Where several operators had something in hand, those that did not hold the interpreter are
    innocent and nothing tells which: such a death counts for nobody.
    """
    left: dict[str, list[tuple[str, bytes]]] = {}
    for path in sorted(folder.glob("*.*.*")):
        content = _take_away(path)
        if content is not None and content[0]:
            process, _, operator = path.name.split(".")
            left.setdefault(process, []).append((operator, content))
    return [
        _death(process, in_hand[0][1])
        for process, in_hand in left.items()
        if len(in_hand) == 1 and in_hand[0][0] == MATCH
    ]


def _death(process: str, note: bytes) -> wire.Death:
    lane, partition, offset, time_ms, length = _RECORD.unpack_from(note, _AT)
    return wire.Death(
        partition=partition,
        offset=offset,
        time_ms=time_ms,
        tenant=note[_TENANT_AT : _TENANT_AT + length].decode(errors="replace"),
        lane=lane,
        process=bytes.fromhex(process),
    )


def _take_away(path: Path) -> bytes | None:
    """Return a dead process's note and remove it; None if its process lives or it is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
        return os.read(file, _SIZE)
    except BlockingIOError:
        return None
    finally:
        os.close(file)


@cache
def process_name() -> str:
    """Return what names this process among all that ever were."""
    return uuid4().hex
