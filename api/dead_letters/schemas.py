"""Dead letters as JSON."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dead_letters.model import DeadLetter, LetterState
from api.dead_letters.replay import Replayed

_EXAMPLE: Final[JsonDict] = {
    "id": "3-1729",
    "source": "match",
    "code": "worker.died",
    "detail": "2 Python workers died while they matched this record",
    "topic": "spans",
    "partition": 17,
    "offset": 448210,
    "content_bytes": 16384,
    "cut": True,
    "at": "2026-11-23T21:00:12.340Z",
    "state": "waiting",
    "settled_at": None,
    "settled_by": None,
    "note": "",
}


class LetterBody(BaseModel):
    """Something that could not be used.

    id: where the letter lies on the topic of dead letters. code: why. topic, partition, offset:
    where it was read from; topic is empty for what came over OTLP. cut: only the first 16 KiB are
    kept here.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})
    id: str
    source: str
    code: str
    detail: str
    topic: str
    partition: int
    offset: int
    content_bytes: int
    cut: bool
    at: datetime
    state: LetterState
    settled_at: datetime | None
    settled_by: str | None
    note: str


class LetterDetailBody(LetterBody):
    """A letter with what is kept of its content, in base64."""

    content: str

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return the body of a letter that was read whole."""
        body = LetterBody.model_validate(letter).model_dump()
        return cls(**body, content=b64encode(letter.content or b"").decode())


class LetterPageBody(BaseModel):
    """One page of letters; next_cursor asks for the next."""

    model_config = ConfigDict(from_attributes=True)
    items: list[LetterBody]
    next_cursor: str | None


class ReplayedBody(BaseModel):
    """What came of putting a letter back: both counts are 0 if that was done before."""

    letter: LetterBody
    spans: int = Field(description="Taken into the stream.")
    refused: int = Field(description="Refused again; they are dead letters again.")

    @classmethod
    def of(cls, letter: DeadLetter, replayed: Replayed) -> Self:
        """Return the body of an answer."""
        return cls(
            letter=LetterBody.model_validate(letter),
            spans=replayed.spans,
            refused=replayed.refused,
        )


class DiscardBody(BaseModel):
    """Why a letter is put aside."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(default="", max_length=1_000)
