"""What is written to logs: JSON lines, without personal data and secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from api.logs import configure_logging


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What logs write."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("info")
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_holds_no_secret_wherever_it_stands(written: io.StringIO) -> None:
    secret = "ada@example.com"
    try:
        raise ValueError(f"no such person: {secret}")
    except ValueError:
        structlog.get_logger("a").error(
            "thing.failed", cause=f"of {secret}", rows=[{"who": secret}], exc_info=True, count=3
        )
    logging.getLogger("library").warning("said by a library: %s", secret)
    ours, librarys = map(json.loads, written.getvalue().splitlines())
    assert secret not in json.dumps(ours)
    assert (ours["event"], ours["cause"], ours["rows"], ours["count"]) == (
        "thing.failed",
        "of [REDACTED]",
        [{"who": "[REDACTED]"}],
        3,
    )
    assert "exception" in ours
    assert librarys["event"] == "said by a library: [REDACTED]"
