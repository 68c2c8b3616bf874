"""What a dead letter is to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from api.problems import not_found

KEPT_BYTES = 16 * 1024
"""Of what could not be used; a content of this size was cut."""

_LONGEST = 40
_MAX_PARTITION = 2**31 - 1
_MAX_OFFSET = 2**63 - 1


class LetterState(StrEnum):
    """What people did about it."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class LetterId:
    """Where the letter lies on the topic of dead letters, written `partition-offset`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id. Raises ApiError 404 for what has not its form."""
        partition, dash, offset = text.partition("-")
        if not dash or not partition.isdecimal() or not offset.isdecimal() or len(text) > _LONGEST:
            raise not_found("dead letter")
        found = cls(int(partition), int(offset))
        if found.partition > _MAX_PARTITION or found.offset > _MAX_OFFSET:
            raise not_found("dead letter")
        return found

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One thing that could not be used.

    topic, partition, offset: where it was read from; topic is empty for what came over OTLP. cut:
    only its first 16 KiB were kept. content: None in lists.
    """

    id: str
    source: str
    code: str
    detail: str
    topic: str
    partition: int
    offset: int
    content_bytes: int
    content: bytes | None
    at: datetime
    state: LetterState
    settled_at: datetime | None
    settled_by: str | None
    note: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/dead_letters.sql."""
        content = row.get("content")
        return cls(
            id=str(LetterId(row["letter_partition"], row["letter_offset"])),
            source=row["source"],
            code=row["code"],
            detail=row["detail"],
            topic=row["topic"],
            partition=row["log_partition"],
            offset=row["log_offset"],
            content_bytes=row["content_bytes"],
            content=None if content is None else bytes(content),
            at=row["at"],
            state=LetterState(row["state"]),
            settled_at=row["settled_at"],
            settled_by=row["settled_by"],
            note=row["note"],
        )

    @property
    def cut(self) -> bool:
        """Whether more was refused than is kept here."""
        return self.content_bytes >= KEPT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters a list shows. code: that one, or all below it (`otlp`)."""

    state: LetterState | None = None
    source: str | None = None
    code: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LetterPage:
    """One page of letters."""

    items: tuple[DeadLetter, ...]
    next_cursor: str | None
