"""Server-sent events, without an end: a connection that breaks is made again where it broke.

The server tells with each event the place to come back with, and one before the first event.
Source: the HTML standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from api.client.connection import Connection, Query, pause_s
from api.client.errors import Limited, Unavailable
from api.signals.feed import Change
from api.signals.schemas import SignalBody

_QUIET_S: Final = 60.0
"""A server that is there says something every 15 seconds."""
_TRIES: Final = 10
"""One after the other without anything that came: some two minutes."""


@dataclass(frozen=True, slots=True)
class LiveSignal:
    """What happened. id: the place to come back with. signal: as it is now; None for a reload.

    A `reload` says that the place is not known any more: read the list again.
    """

    id: str
    change: Change
    signal: SignalBody | None


@dataclass(slots=True)
class _Message:
    id: str | None = None
    event: str = ""
    data: list[str] = field(default_factory=list)


def listen(
    connection: Connection, path: str, *, query: Query, since: str | None
) -> Iterator[LiveSignal]:
    """Yield what the server tells, for ever. since: the place to begin after; None: now."""
    place, failures = since, 0
    while True:
        request = connection.listening(path, query=query, last_event_id=place, patience_s=_QUIET_S)
        try:
            with connection.opened(request) as answer:
                for message in _messages(answer.iter_lines()):
                    failures = 0
                    place = place if message.id is None else message.id
                    if message.data:
                        yield _told(message, place or "")
        except (Limited, Unavailable) as error:
            failures += 1
            if failures == _TRIES:
                raise
            connection.rest(pause_s(failures, error))


def _messages(lines: Iterable[str]) -> Iterator[_Message]:
    """Put lines together; what a break cuts short is none."""
    message = _Message()
    for line in lines:
        if not line:
            yield message
            message = _Message()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                message.id = value
            case "event":
                message.event = value
            case "data":
                message.data.append(value)


def _told(message: _Message, place: str) -> LiveSignal:
    change = Change(message.event)
    signal = None
    if change is not Change.RELOAD:
        signal = SignalBody.model_validate_json("\n".join(message.data))
    return LiveSignal(place, change, signal)
