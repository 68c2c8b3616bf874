"""`betrace evidence verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

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
