"""Rows of a run that takes long: kept as they come, so that it may be interrupted and taken up."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

Row = dict[str, Any]
"""Values of JSON. Some of them say which row it is."""


class RowsUnreadable(Exception):
    """A file of rows holds something else."""


class RowFile:
    """Rows as lines of JSON; without a path they are kept nowhere."""

    def __init__(self, path: Path | None) -> None:
        """Read what there is. Raises RowsUnreadable."""
        self._path = path
        self.rows = _read(path) if path and path.exists() else []

    def find(self, which: Mapping[str, Any]) -> Row | None:
        """Return the newest row in which all these fields have these values."""
        for row in reversed(self.rows):
            if all(row.get(name) == value for name, value in which.items()):
                return row
        return None

    def add(self, row: Row) -> None:
        """Keep one more row. Raises OSError."""
        self.rows.append(row)
        if self._path:
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")


@contextmanager
def ended_like_an_interrupt() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does, so that servers are stopped and rows printed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(path: Path) -> list[Row]:
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise RowsUnreadable(f"{path} cannot be read as rows of a run: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise RowsUnreadable(f"{path} holds other things than rows of a run: give another --rows")
    return rows
