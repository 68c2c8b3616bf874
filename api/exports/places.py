"""Work that a process does a few times at once and not more: whoever comes late is told to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import unavailable


class ExportPlaces:
    """The places for exports of one kind, each of which holds a connection and an old snapshot.

    others: what takes them, as a refusal names it. For one event loop.
    """

    def __init__(self, count: int, *, others: str) -> None:
        self._free = count
        self._others = others

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place until the block ends. Raises ApiError 503 if there is none."""
        if not self._free:
            raise unavailable(
                "export.busy",
                f"{self._others} on this server: try again in a minute.",
                retry_after_s=60,
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
