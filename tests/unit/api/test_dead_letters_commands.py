"""`betrace dead-letters …` against a server that answers as the real one does."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.command import remote
from api.command.dead_letters import app

LETTER = {
    "id": "3-7",
    "at": "2026-11-23T21:00:12.340Z",
    "state": "waiting",
    "code": "worker.died",
    "detail": "2 Python workers died",
}


class FakeServer:
    """Three pages of letters; 3-9 cannot be put back."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/dead-letters")
        query = dict(request.url.params)
        self.requests.append((request.method, path, query))
        assert request.headers["X-API-Key"] == "betrace_test"
        if not path:
            number = int(query.get("cursor", "0"))
            items = [{**LETTER, "id": f"3-{number}"}]
            more = str(number + 1) if number < 2 else None
            return httpx.Response(200, json={"items": items, "next_cursor": more})
        if path.startswith("/3-9/"):
            problem = {"code": "dead_letter.gone", "detail": "It cannot be put back."}
            return httpx.Response(409, json=problem)
        if path.endswith("/replay"):
            letter = {**LETTER, "state": "replayed"}
            return httpx.Response(200, json={"letter": letter, "spans": 4, "refused": 0})
        if path.endswith("/discard"):
            return httpx.Response(200, json={**LETTER, "state": "discarded"})
        return httpx.Response(200, json={**LETTER, "content": "AP8="})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """What the commands speak to."""
    fake = FakeServer()
    real = remote.httpx.Client

    def client(**options: Any) -> httpx.Client:
        return real(**{**options, "transport": httpx.MockTransport(fake)})

    monkeypatch.setattr(remote.httpx, "Client", client)
    monkeypatch.setenv("BETRACE_URL", "http://betrace.test/")
    monkeypatch.setenv("BETRACE_API_KEY", "betrace_test")
    return fake


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_a_list_goes_on_over_pages_up_to_its_limit(server: FakeServer) -> None:
    done = run("list", "--limit", "2", "--code", "worker", "--from", "2026-11-23", "--json")
    assert [letter["id"] for letter in json.loads(done.stdout)["letters"]] == ["3-0", "3-1"]
    assert server.requests[0] == (
        "GET",
        "",
        {"limit": "2", "state": "waiting", "code": "worker", "from": "2026-11-23T00:00:00Z"},
    )


def test_a_list_for_people_has_a_line_for_each(server: FakeServer) -> None:
    lines = run("list").stdout.splitlines()
    assert len(lines) == 4
    assert "worker.died" in lines[0]
    assert lines[-1] == "3 letters"


def test_one_is_shown_with_its_content(server: FakeServer) -> None:
    assert "b'\\x00\\xff'" in run("show", "3-7").stdout


def test_all_that_wait_are_put_back(server: FakeServer) -> None:
    done = run("replay", "--all", "--source", "match")
    assert done.exit_code == 0
    assert [path for method, path, _ in server.requests if method == "POST"] == [
        "/3-0/replay",
        "/3-1/replay",
        "/3-2/replay",
    ]
    assert "4 spans" in done.stdout


def test_one_that_cannot_be_put_back_does_not_stop_the_others(server: FakeServer) -> None:
    done = run("replay", "3-9", "3-7", "--json")
    assert done.exit_code == 1
    assert [(r["id"], r["outcome"]) for r in json.loads(done.stdout)["letters"]] == [
        ("3-9", "refused"),
        ("3-7", "replayed"),
    ]


@pytest.mark.parametrize("words", [["replay"], ["replay", "3-7", "--all"]])
def test_what_to_put_back_is_said_in_one_way(server: FakeServer, words: list[str]) -> None:
    assert run(*words).exit_code == 2
    assert server.requests == []


def test_discarding_tells_the_new_state(server: FakeServer) -> None:
    assert "discarded" in run("discard", "3-7", "--note", "a scanner").stdout
