"""Asking a provider over HTTP: bounded in time and size, and never led elsewhere."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx

from api.identity.remembered import ProviderUnavailable

MAX_ANSWER_BYTES: Final = 512 * 1024


def open_client(*, timeout_s: float) -> httpx.AsyncClient:
    """Return a client that follows no redirect, so that an answer is the provider's own."""
    return httpx.AsyncClient(
        timeout=timeout_s, follow_redirects=False, headers={"Accept": "application/json"}
    )


async def fetch_json(client: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
    """Return the JSON object of an answer with status 200. Raises ProviderUnavailable."""
    status, answer = await ask(client, request)
    if status != 200:
        raise ProviderUnavailable(f"{_place(request)} answers {status}")
    return answer


async def ask(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, dict[str, Any]]:
    """Return status and JSON object of an answer; the object is empty where it is none.

    Raises ProviderUnavailable: no connection, too slow, too much, or a failure of the server.
    """
    try:
        response = await client.send(request, stream=True)
        try:
            body = await _bounded(response, _place(request))
        finally:
            await response.aclose()
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ProviderUnavailable(f"{_place(request)}: {why}") from error
    if response.status_code >= 500 or response.status_code == 429:
        raise ProviderUnavailable(f"{_place(request)} answers {response.status_code}")
    return response.status_code, _object(body)


async def _bounded(response: httpx.Response, place: str) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise ProviderUnavailable(f"{place} answers more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _place(request: httpx.Request) -> str:
    """The address without its query, which may hold secrets."""
    return str(request.url.copy_with(query=None))
