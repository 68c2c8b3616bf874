"""The feed as server-sent events, a batch at a time, made once for all who get the same.

Of a batch with more events than a reader wants the last ones are sent, after `more`, which says how
many were left out. The id of the last event is the place to come back with, so coalescing loses
none: whoever wants those reads the list.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from sse_starlette import ServerSentEvent

from api.signals.feed import Batch, SignalEvent
from api.signals.model import Signal

STREAM_LIFE_S: Final = 15 * 60
"""A stream ends after so long and the client comes back, which checks its credential again."""
STREAM_PING_S: Final = 15


@dataclass(frozen=True, slots=True)
class Telling:
    """How events are told. key: equal for what is told equally.

    wanted: whether a signal is told of at all. write: event to message. most: None: all at once.
    """

    key: object
    wanted: Callable[[Signal], bool]
    write: Callable[[SignalEvent], ServerSentEvent]
    most: int | None = None


async def chunks(
    batches: AsyncIterator[Batch], telling: Telling, *, life_s: float
) -> AsyncIterator[bytes]:
    """Yield what batches tell, for life_s seconds; nothing for a batch of no interest."""
    try:
        async with asyncio.timeout(life_s):
            async for batch in batches:
                chunk = batch.rendered.get(telling.key)
                if chunk is None:
                    chunk = batch.rendered[telling.key] = _written(batch, telling)
                if chunk:
                    yield chunk
    except TimeoutError:
        return


def _written(batch: Batch, telling: Telling) -> bytes:
    told = [event for event in batch.events if event.signal is None or telling.wanted(event.signal)]
    left_out = len(told) - telling.most if telling.most is not None else 0
    parts = []
    if left_out > 0:
        count = json.dumps({"count": left_out})
        parts.append(ServerSentEvent(count, event="more", id=told[left_out - 1].id).encode())
        told = told[left_out:]
    parts += [telling.write(event).encode() for event in told]
    return b"".join(parts)
