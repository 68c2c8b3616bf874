"""A tap on the wire to Postgres: how often a client waited for an answer, and for what.

Postgres ends the answer to everything that was sent together with one message `Z` (ready for the
next), and to each statement in it with one message `C` (complete). The tap passes bytes on as they
are and counts these messages, so it sees what a client does whatever the client says of itself.

    message of the server = type (1 byte) | length (4 bytes, with itself, without the type) | …

Source: PostgreSQL, Frontend/Backend Protocol, Message Formats.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_READY, _COMPLETE = b"Z", b"C"
_HEAD_BYTES = 5
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """round_trips: how often a client waited for an answer. statements: that were executed."""

    round_trips: int
    statements: int


@dataclass(slots=True)
class Tap:
    """Counts what the server says on all connections through it. dsn: leads through it."""

    dsn: str = ""
    _seen: Counter[bytes] = field(default_factory=Counter)

    @contextmanager
    def counting(self) -> Iterator[list[Traffic]]:
        """Count within a block; the list holds the one result after it."""
        before, counted = Counter(self._seen), list[Traffic]()
        yield counted
        counted.append(
            Traffic(self._seen[_READY] - before[_READY], self._seen[_COMPLETE] - before[_COMPLETE])
        )

    async def serve(self, client: _Stream, server: _Stream) -> None:
        """Pass on what two ends say until one of them has nothing more to say."""
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(client, server))
            both.create_task(self._answers(server, client))

    async def _answers(self, server: _Stream, client: _Stream) -> None:
        reader, writer = server[0], client[1]
        try:
            while True:
                head = await reader.readexactly(_HEAD_BYTES)
                body = await reader.readexactly(int.from_bytes(head[1:]) + 1 - _HEAD_BYTES)
                self._seen[head[:1]] += 1
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def tapped(dsn: str) -> AsyncIterator[Tap]:
    """Listen before a server on this machine. dsn: of the server, by TCP."""
    parts, tap = conninfo_to_dict(dsn), Tap()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(str(parts["host"]), int(str(parts["port"])))
        await tap.serve((reader, writer), server)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        # Both would be answered by a single byte, which is no message.
        tap.dsn = make_conninfo(
            dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
        )
        yield tap


async def _pass_on(client: _Stream, server: _Stream) -> None:
    reader, writer = client[0], server[1]
    while said := await reader.read(_READ_BYTES):
        writer.write(said)
    writer.close()
