"""API10:2023 Unsafe consumption of APIs: answers of others are data with bounds, never trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from api.auth.addresses import parse_networks
from api.outbound.calls import CallFailed, CallLimits, Outbound


async def _called(answer: bytes, limits: CallLimits) -> tuple[int, bytes]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        caller = Outbound(
            allowed=parse_networks(["127.0.0.1"]), plain_http=True, resolve=here, limits=limits
        )
        reply = await caller.call("GET", f"http://partner.example:{port}/")
        return reply.status, reply.body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x00" * 1_000,
    ],
    ids=["too large", "headers without end", "two lengths", "no chunk", "no HTTP"],
)
async def test_a_hostile_answer_is_a_failure_and_no_more(answer: bytes) -> None:
    with pytest.raises(CallFailed):
        await _called(answer, CallLimits(max_answer_bytes=10_000, total_s=30))


async def test_compressed_answers_are_not_expanded_and_redirects_not_followed() -> None:
    zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
    assert await _called(zipped, CallLimits()) == (200, b"\x1f\x8b")
    moved = b"HTTP/1.1 307 T\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    assert (await _called(moved, CallLimits()))[0] == 307
