"""Colours of services, measured where they are defined."""

from __future__ import annotations

import subprocess
from pathlib import Path

FRONTEND = Path(__file__).resolve().parents[3] / "api" / "web" / "frontend"


def test_services_are_told_apart_by_every_eye() -> None:
    done = subprocess.run(
        ["node", "--test", "tests/colours.test.js"],
        cwd=FRONTEND,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
