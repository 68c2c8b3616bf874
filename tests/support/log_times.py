"""What a broker would say of how far the spans log reaches."""

from __future__ import annotations

from api.kafka.log_times import Extent, LogTimesUnavailable


class FakeLogTimes:
    """Holds everything since ever, unless told otherwise; `found` None: nobody answers."""

    def __init__(self) -> None:
        self.found: dict[int, Extent] | None = {0: Extent(0, 10, 1_000, 2_000)}

    def extents(self) -> dict[int, Extent]:
        """Return what was told. Raises LogTimesUnavailable."""
        if self.found is None:
            raise LogTimesUnavailable("nobody answers")
        return self.found
