"""The page of dead letters: what could not be used, and the two things to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from api.dead_letters.model import DeadLetter, LetterState
from api.web.views.moments import Moment, moment
from api.web.views.words import Message

STATES: Final = MappingProxyType(
    {
        LetterState.WAITING: "Waiting",
        LetterState.REPLAYED: "Put back",
        LetterState.DISCARDED: "Discarded",
    }
)
_CHIPS: Final = MappingProxyType(
    {
        LetterState.WAITING: "status-open",
        LetterState.REPLAYED: "status-resolved",
        LetterState.DISCARDED: "status-false_positive",
    }
)
DONE: Final = MappingProxyType(
    {
        "replayed": "Put back. Its spans came in again, with the time of now.",
        "discarded": "Discarded.",
    }
)


@dataclass(frozen=True, slots=True)
class StateTab:
    """A choice of letters by their state."""

    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One letter. settled: who did what about it, empty while it waits."""

    id: str
    code: str
    detail: str
    place: str
    state_label: str
    state_chip: str
    settled: str
    at: Moment
    may_settle: bool


@dataclass(frozen=True, slots=True)
class LetterList:
    """The page."""

    tabs: tuple[StateTab, ...]
    rows: tuple[LetterRow, ...]
    nothing: str
    older_href: str
    message: Message | None


def letter_list(
    letters: Sequence[DeadLetter],
    state: LetterState,
    *,
    next_cursor: str,
    may_settle: bool,
    message: Message | None = None,
) -> LetterList:
    """Return a page of letters in one state."""
    older = {"state": state.value, "cursor": next_cursor}
    return LetterList(
        tabs=tuple(
            StateTab(label, f"/dead-letters?{urlencode({'state': each.value})}", each is state)
            for each, label in STATES.items()
        ),
        rows=tuple(_row(letter, may_settle=may_settle) for letter in letters),
        nothing=f"No letter is {STATES[state].lower()}",
        older_href=f"/dead-letters?{urlencode(older)}" if next_cursor else "",
        message=message,
    )


def _row(letter: DeadLetter, *, may_settle: bool) -> LetterRow:
    return LetterRow(
        id=letter.id,
        code=letter.code,
        detail=letter.detail,
        place=_place(letter),
        state_label=STATES[letter.state],
        state_chip=_CHIPS[letter.state],
        settled=f"{letter.settled_by}: {letter.note}".rstrip(": ") if letter.settled_by else "",
        at=moment(letter.at),
        may_settle=may_settle and letter.state is LetterState.WAITING,
    )


def _place(letter: DeadLetter) -> str:
    size = f"{letter.content_bytes} bytes" + (" kept" if letter.cut else "")
    if not letter.topic:
        return f"over OTLP, {size}"
    return f"{letter.topic}, partition {letter.partition}, offset {letter.offset}, {size}"
