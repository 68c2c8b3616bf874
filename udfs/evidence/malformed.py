"""What came from outside and is not what it should be, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why bytes or text could not be read; the text says what was expected where."""

    detail: str

    def __str__(self) -> str:
        return self.detail
