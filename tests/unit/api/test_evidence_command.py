"""`betrace evidence verify`, and `checkpoints` against a server that answers as the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.command import remote
from api.command.evidence import app
from tests.support.evidence import EvidenceLog, a_log


def run(*arguments: str) -> tuple[int, str]:
    """Return exit code and output."""
    result = CliRunner().invoke(app, ["verify", *arguments])
    return result.exit_code, result.stdout


@pytest.fixture
def log() -> EvidenceLog:
    """A log as it should be."""
    return a_log()


def test_a_pack_is_verified(log: EvidenceLog, tmp_path: Path) -> None:
    pack, seen = tmp_path / "-pack.zip", tmp_path / "seen.note"
    pack.write_bytes(log.pack())
    seen.write_bytes(log.checkpoints[1].note)
    code, told = run(str(pack), "--key", log.verifier_key(), "--checkpoint", str(seen), "--json")
    assert (code, json.loads(told)["valid"], json.loads(told)["warnings"]) == (0, True, [])


def test_a_pack_that_is_not_valid_is_exit_1(log: EvidenceLog, tmp_path: Path) -> None:
    pack = tmp_path / "pack.zip"
    pack.write_bytes(log.pack()[:-100])
    assert run(str(pack))[0] == 1
    pack.write_bytes(log.pack())
    code, told = run(str(pack), "--key", a_stranger())
    assert code == 1
    assert "key_untrusted" in told


def test_what_cannot_be_used_is_exit_2(tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.zip"))[0] == 2
    assert run(str(tmp_path / "none.zip"), "--key", "nonsense")[0] == 2
    assert run(str(tmp_path / "none.zip"), "--tsa", str(tmp_path / "none.pem"))[0] == 2


def a_stranger() -> str:
    """Return the verifier key of another tenant's log."""
    return EvidenceLog(tenant="99999999-2f6e-4e0b-9d5b-0c4a6f1f2a3b").verifier_key()


def checkpoint(number: int) -> dict[str, Any]:
    """Return a checkpoint with a stamp and a webhook that waits."""
    stamp = {
        "id": f"stamp-{number}",
        "kind": "tsa",
        "place": "https://tsa.example",
        "state": "done",
        "reason": None,
        "finished_at": "2026-11-24T08:00:03.120Z",
        "stamped_at": "2026-11-24T08:00:02Z",
    }
    hook = {
        **stamp,
        "kind": "webhook",
        "place": "https://hooks.example",
        "state": "pending",
        "reason": "No answer within 15 s.",
        "finished_at": None,
        "stamped_at": None,
    }
    return {
        "number": number,
        "size": 20_000 + number,
        "sealed_at": "2026-11-24T08:00:00.000Z",
        "note": f"log\n{number}\n\n— log x\n",
        "anchors": [hook, stamp],
    }


def _answer(request: httpx.Request) -> httpx.Response:
    """Three checkpoints, a page each, and their stamps."""
    path = request.url.path.removeprefix("/api/v1/evidence/anchors")
    if path:
        return httpx.Response(200, content=b"DER of " + path.split("/")[1].encode())
    number = int(request.url.params.get("cursor", "3"))
    more = str(number - 1) if number > 1 else None
    return httpx.Response(200, json={"items": [checkpoint(number)], "next_cursor": more})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `checkpoints` speaks to."""
    real = remote.httpx.Client
    monkeypatch.setattr(
        remote.httpx,
        "Client",
        lambda **options: real(**{**options, "transport": httpx.MockTransport(_answer)}),
    )
    monkeypatch.setenv("BETRACE_URL", "http://server")
    monkeypatch.setenv("BETRACE_API_KEY", "betrace_test")


@pytest.mark.usefixtures("server")
def test_checkpoints_are_listed_with_what_became_of_them_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "kept"
    result = CliRunner().invoke(app, ["checkpoints", "--limit", "2", "--out", str(out)])
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["3", "2026-11-24T08:00:00", "20,003", "records"],
        ["pending", "webhook", "https://hooks.example", "No", "answer", "within", "15", "s."],
        ["done", "tsa", "2026-11-24T08:00:02", "https://tsa.example"],
        ["2", "2026-11-24T08:00:00", "20,002", "records"],
        ["pending", "webhook", "https://hooks.example", "No", "answer", "within", "15", "s."],
        ["done", "tsa", "2026-11-24T08:00:02", "https://tsa.example"],
        ["2", "checkpoints"],
    ]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        f"checkpoint-{number}.{ending}": content
        for number in (2, 3)
        for ending, content in (
            ("note", checkpoint(number)["note"].encode()),
            ("tsr", b"DER of stamp-%d" % number),
        )
    }
    as_json = CliRunner().invoke(app, ["checkpoints", "--json"]).stdout
    assert [row["number"] for row in json.loads(as_json)["checkpoints"]] == [3, 2, 1]
