"""Refusals on their way to an answer."""

from __future__ import annotations

import threading

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request

from api.problems import ApiError, install_handlers, not_found


@pytest.mark.parametrize(
    "error", [not_found("rule"), HTTPException(404)], ids=["ours", "Starlette"]
)
async def test_a_refusal_is_told_of_in_the_thread_that_serves_requests(error: Exception) -> None:
    """Whoever is told writes into what that thread reads, without a lock."""
    told: list[tuple[int, threading.Thread]] = []

    def tell(_: Request, refusal: ApiError) -> None:
        told.append((refusal.status, threading.current_thread()))

    app = FastAPI()
    install_handlers(app, on_refusal=tell)

    @app.get("/")
    async def refuse() -> None:
        raise error

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/")).status_code == 404
    assert told == [(404, threading.current_thread())]
