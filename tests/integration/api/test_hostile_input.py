"""No input does harm: sizes, shapes, hosts, origins, and what every answer carries."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import api.web
from api.auth.access import route_access
from api.bodies import MAX_BODY_BYTES, MAX_BODY_OF_STRANGER_BYTES
from api.main import create_app
from api.settings import SettingError, Settings
from tests.integration.api.conftest import Caller, client_of
from tests.integration.api.test_access_matrix import NOT_THERE

RULES = "/api/v1/rules"
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def running(settings: Settings, **changes: str) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update=changes))
    async with app.router.lifespan_context(app):
        yield app


async def test_every_violation_is_told_with_where_it_stands(caller: Caller) -> None:
    body = {"name": 5, "scopes": [], "networks": ["nonsense"], "surprise": {"a/b": 1}}
    answer = await caller.client.post("/api/v1/keys", json=body)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (400, "request.invalid")
    pointers = {error["pointer"] for error in told["errors"]}
    assert {"#/name", "#/surprise"} <= pointers
    assert all(error["in"] == "body" and error["message"] for error in told["errors"])
    answer = await caller.client.get(RULES, params={"limit": "0"})
    assert [(e["field"], e["in"]) for e in answer.json()["errors"]] == [("query.limit", "query")]


def test_every_body_of_the_api_refuses_fields_that_it_does_not_know(settings: Settings) -> None:
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]
    lenient = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            for body in content.values():
                name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
                if name and schemas[name].get("additionalProperties") is not False:
                    lenient.append((path, name))
    assert lenient == []


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"[" * 1_000, JSON, 413, "request.too_large"),
        (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, JSON, 413, "request.too_large"),
        (b"[" + b"1," * 60_000 + b"1]", JSON, 413, "request.too_large"),
        (b" " * (MAX_BODY_BYTES + 1), JSON, 413, "request.too_large"),
        (gzip.compress(b"{}"), {**JSON, "content-encoding": "gzip"}, 415, "request.media_type"),
        (b"{", JSON, 400, "request.invalid"),
        (b"\xff\xfe", JSON, 400, None),
        (b"{}", {"content-type": "text/plain"}, 400, "request.invalid"),
    ],
    ids=["deep", "deep objects", "wide", "large", "gzip", "cut off", "no text", "no JSON"],
)
async def test_bodies_that_would_do_harm_are_refused(
    content: bytes, headers: dict[str, str], status: int, code: str | None, caller: Caller
) -> None:
    answer = await caller.client.post("/api/v1/keys", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if code:
        assert answer.json()["code"] == code


async def test_a_body_that_announces_no_length_is_bounded_as_well(caller: Caller) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    answer = await caller.client.post("/api/v1/keys", content=endless(), headers=JSON)
    assert answer.status_code == 413


async def test_who_presents_nothing_may_send_little(anonymous: httpx.AsyncClient) -> None:
    body = json.dumps({"email": "x" * MAX_BODY_OF_STRANGER_BYTES, "password": ""})
    answer = await anonymous.post("/api/v1/session", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


async def test_rules_and_notes_may_hold_what_looks_like_an_injection(caller: Caller) -> None:
    for hostile in ("select 1; drop table x --", "<script>alert(1)</script> && `id`", "*)(uid=*"):
        rule = f'when {{ a.where(q == "{hostile}" and (n > 1 or m < 2)) }} never {{ b }}'
        answer = await caller.client.post(f"{RULES}/validate", json={"rule": rule})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("betrace.example", 200),
        ("BETRACE.example:8443", 200),
        ("eu.betrace.dev", 200),
        ("betrace.dev", 421),
        ("evil.example", 421),
        ("betrace.example.evil.example", 421),
        ("betrace.example@evil.example", 400),
        ("betrace.example/../x", 400),
        ("", 400),
    ],
)
async def test_only_names_of_this_server_are_answered_to(
    host: str, status: int, settings: Settings
) -> None:
    hosts = "betrace.example, *.betrace.dev"
    async with running(settings, allowed_hosts=hosts) as app, client_of(app) as client:
        answer = await client.get("/api/v1/openapi.json", headers={"host": host})
        alive = await client.get("/health/live", headers={"host": "10.0.0.7:8080"})
    assert (answer.status_code, alive.status_code) == (status, 200)
    if status != 200:
        assert answer.json()["code"] == "request.host"


async def test_without_the_setting_any_name_will_do(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/health/live", headers={"host": "whatever.example"})
    assert answer.status_code == 200


async def test_pages_of_other_origins_read_answers_only_where_they_are_named(
    settings: Settings,
) -> None:
    ours, other = {"origin": "https://app.example"}, {"origin": "https://evil.example"}
    asking = {"access-control-request-method": "GET", "access-control-request-headers": "x-api-key"}
    async with (
        running(settings, cors_origins="https://app.example") as app,
        client_of(app) as client,
    ):
        before = await client.options(RULES, headers={**ours, **asking})
        granted = await client.get("/api/v1/openapi.json", headers=ours)
        refused = await client.get("/api/v1/openapi.json", headers=other)
    assert before.status_code == 200
    assert granted.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in granted.headers
    assert "access-control-allow-origin" not in refused.headers


async def test_without_the_setting_no_other_origin_may(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/openapi.json", headers={"origin": "https://app.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origins", ["*", "app.example", "https://app.example/path", "null"])
def test_what_is_no_origin_stops_the_start(origins: str, settings: Settings) -> None:
    with pytest.raises(SettingError, match="BETRACE_CORS_ORIGINS"):
        create_app(settings.model_copy(update={"cors_origins": origins}))


async def test_every_answer_carries_safe_headers_and_an_id(
    app: FastAPI, caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    """Of every route, with and without a credential, and of what is refused before any."""
    asked: list[tuple[str, httpx.Response]] = []
    for route in route_access(app):
        path = route.path.replace(":path}", "}").format(**NOT_THERE)
        for method in route.methods - {"HEAD"}:
            if path.endswith("/stream") or path.startswith("/live/"):
                continue  # for somebody who may, it does not end; its headers are asked for below
            for client in (anonymous, caller.client):
                asked.append((f"{method} {path}", await client.request(method, path)))
    asked.append(("stream", await anonymous.get("/api/v1/signals/stream")))
    asked.append(("none", await anonymous.get("/nothing")))
    asked.append(("method", await anonymous.put("/health/live")))
    asked.append(("host", await anonymous.get("/", headers={"host": "a b"})))
    asked.append(("large", await anonymous.post("/api/v1/session", content=b"x" * 99_999)))
    assert len(asked) > 150
    wrong = [name for name, answer in asked if not _is_safe(name, answer)]
    assert wrong == []


def _is_safe(name: str, answer: httpx.Response) -> bool:
    headers: Any = answer.headers
    policy = {
        directive.split()[0]: directive.split()[1:]
        for directive in headers.get("content-security-policy", "").split("; ")
        if directive
    }
    return (
        policy.get("default-src") == ["'none'"]
        and policy.get("script-src") == ["'self'"]
        and policy.get("frame-ancestors") == ["'none'"]
        and policy.get("base-uri") == ["'none'"]
        and "unsafe" not in headers["content-security-policy"]
        and headers.get("x-content-type-options") == "nosniff"
        and headers.get("x-frame-options") == "DENY"
        and headers.get("referrer-policy") == "same-origin"
        and bool(headers.get("x-request-id"))
        and ("/api/" not in name or headers.get("cache-control") == "no-store")
        and "server" not in headers
    )


def test_no_template_has_a_script_or_a_style_of_its_own() -> None:
    import re

    inline = re.compile(
        r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son(click|load|error|submit|change|input)=|javascript:",
        re.IGNORECASE,
    )
    folder = Path(api.web.__file__).parent / "templates"
    templates = sorted(folder.rglob("*.html"))
    assert len(templates) > 10
    assert [path.name for path in templates if inline.search(path.read_text())] == []
