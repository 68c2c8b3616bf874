"""`betrace evidence list|controls|records|oscal|check`, against a server that answers as the real
one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from api.command import evidence_lists, remote
from api.errors import OperatorError
from tests.unit.udfs.evidence.test_exports import KEY, as_jsonl

RECORD = {
    "seq": 7,
    "time": "2026-11-23T21:00:12.340Z",
    "kind": "span",
    "record": {"controls": ["soc2.CC6.1"]},
    "verification": {"badge": "valid", "code": "", "reason": ""},
}
ROW = {
    "id": "soc2.CC6.1",
    "standing": "satisfied",
    "satisfied": 12,
    "violated": 0,
    "inconclusive": 0,
    "days_without": None,
}


class FakeServer:
    """Three pages of one record each; files are what was asked for, as JSON."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        self.queries.append(query)
        path = request.url.path.removeprefix("/api/v1/evidence")
        if path == "/records":
            number = int(query.get("cursor", "0"))
            more = str(number + 1) if number < 2 else None
            page = {"items": [{**RECORD, "seq": number}], "next_cursor": more, "total": 3}
            return httpx.Response(200, json=page)
        if path == "/controls":
            matrix = {"controls": [ROW], "from": "2026-10-24", "to": "2026-11-24"}
            return httpx.Response(200, json=matrix)
        if query.get("framework") == "sox":
            problem = {"code": "request.not_found", "detail": "There is no such framework."}
            return httpx.Response(404, json=problem)
        return httpx.Response(200, json=query)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setenv("BETRACE_URL", "http://betrace.test")
    monkeypatch.setenv("BETRACE_API_KEY", "betrace_test")
    real = remote.Server
    transport = httpx.MockTransport(fake)
    monkeypatch.setattr(evidence_lists, "Server", lambda: real(transport=transport))
    return fake


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    evidence_lists.extend(app)
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, OperatorError):
        raise result.exception
    return result.exit_code, result.stdout


def test_records_are_listed_over_pages_with_their_badges(server: FakeServer) -> None:
    code, told = run("list", "--control", "soc2.CC6.1", "--from", "2026-11-01", "--json")
    listed: dict[str, Any] = json.loads(told)
    assert (code, listed["total"]) == (0, 3)
    assert [one["seq"] for one in listed["records"]] == [0, 1, 2]
    assert server.queries[0] == {
        "control": "soc2.CC6.1",
        "from": "2026-11-01T00:00:00+00:00",
        "limit": "50",
    }
    assert "valid       soc2.CC6.1" in run("list", "--limit", "2")[1]
    assert run("list", "--limit", "2")[1].splitlines()[-1] == "2 of 3 records"


def test_controls_are_told_with_how_long_nothing_was_seen(server: FakeServer) -> None:
    told = run("controls", "--framework", "soc2", "--without-days", "30")[1]
    assert "soc2.CC6.1" in told
    assert "without for never" in told
    assert server.queries == [{"framework": "soc2", "without_days": "30"}]


def test_files_are_written_and_none_is_left_by_a_refusal(
    server: FakeServer, tmp_path: Path
) -> None:
    out = tmp_path / "records.csv"
    assert run("records", "--out", str(out), "--format", "csv", "--kind", "span")[0] == 0
    assert json.loads(out.read_text()) == {"format": "csv", "kind": "span"}
    with pytest.raises(OperatorError, match="--out names another file"):
        run("records", "--out", str(out))
    oscal = tmp_path / "oscal.json"
    with pytest.raises(OperatorError, match="no such framework"):
        run("oscal", "--out", str(oscal), "--framework", "sox")
    assert not oscal.exists()
    run("oscal", "--out", str(oscal), "--framework", "soc2", "--to", "2026-11-24")
    assert json.loads(oscal.read_text()) == {"framework": "soc2", "to": "2026-11-24"}


def test_a_file_of_records_is_checked_offline(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_bytes(as_jsonl())
    code, told = run("check", str(file), "--key", str(KEY))
    assert (code, str(KEY) in told) == (0, True)
    file.write_bytes(as_jsonl().replace(b'"success"', b'"failure"', 1))
    code, told = run("check", str(file), "--json")
    assert code == 1
    assert "sha256" in json.loads(told)["problems"][0]
    assert run("check", str(file), "--key", "nonsense")[0] == 2
    with pytest.raises(OperatorError, match="No such file"):
        run("check", str(tmp_path / "nothing"))
