"""A caller who does not wait: `python -m tests.support.flood URL KEY CONNECTIONS`.

Sends on every connection as soon as the last answer has come, until its standard input ends, and
prints how often each status came, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

import httpx


async def flood(url: str, key: str, connections: int) -> Counter[int]:
    """Send until standard input ends; return how often each status came."""
    seen: Counter[int] = Counter()

    async def send(client: httpx.AsyncClient) -> None:
        while True:
            seen[(await client.get(url, headers={"X-API-Key": key})).status_code] += 1

    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        senders = [asyncio.create_task(send(client)) for _ in range(connections)]
        await asyncio.to_thread(sys.stdin.read)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    return seen


if __name__ == "__main__":
    url, key, connections = sys.argv[1:]
    print(json.dumps(asyncio.run(flood(url, key, int(connections)))))
