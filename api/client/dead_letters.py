"""Dead letters: what could not be used, put back or put aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from api.client.connection import Connection
from api.dead_letters.model import LetterState
from api.dead_letters.schemas import LetterBody, LetterDetailBody, LetterPageBody, ReplayedBody


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of the tenant."""

    _to: Connection

    def each(
        self,
        *,
        state: LetterState | None = None,
        source: str | None = None,
        code: str | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[LetterBody]:
        """Yield letters, newest first. code: one, or `otlp` for all of OTLP's."""
        query = {
            "state": state,
            "source": source,
            "code": code,
            "from_at": from_at,
            "to_at": to_at,
        }
        return self._to.pages("/dead-letters", LetterPageBody, limit=limit, query=query)

    def get(self, letter_id: str) -> LetterDetailBody:
        """Return one letter with what is kept of its content."""
        return self._to.ask(
            "GET", "/dead-letters/{letter_id}", LetterDetailBody, letter_id=letter_id
        )

    def replay(self, letter_id: str) -> ReplayedBody:
        """Put a letter's spans into the stream again. Doing so again changes nothing."""
        return self._to.ask(
            "POST",
            "/dead-letters/{letter_id}/replay",
            ReplayedBody,
            harmless=True,
            letter_id=letter_id,
        )

    def discard(self, letter_id: str, *, note: str = "") -> LetterBody:
        """Put a letter aside for good."""
        return self._to.ask(
            "POST",
            "/dead-letters/{letter_id}/discard",
            LetterBody,
            body={"note": note},
            letter_id=letter_id,
        )
