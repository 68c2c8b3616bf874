"""What is written to logs: JSON lines, without personal data and secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from api.logs import configure_logging


@pytest.fixture
def configured(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logging("info")
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_holds_no_secret_wherever_it_stands(
    configured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "ada@example.com"
    try:
        raise ValueError(f"no such person: {secret}")
    except ValueError:
        structlog.get_logger("a").error(
            "thing.failed", cause=f"of {secret}", rows=[{"who": secret}], exc_info=True, count=3
        )
    logging.getLogger("library").warning("said by a library: %s", secret)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    ours, librarys = map(json.loads, lines)
    assert secret not in json.dumps(ours)
    assert (ours["event"], ours["cause"], ours["rows"], ours["count"]) == (
        "thing.failed",
        "of [REDACTED]",
        [{"who": "[REDACTED]"}],
        3,
    )
    assert "exception" in ours
    assert secret not in json.dumps(librarys)
