"""The proof of a single record, as the console's script follows it; its cases are its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

FRONTEND = Path(__file__).resolve().parents[4] / "api" / "web" / "frontend"


def test_proofs_of_records_are_followed_in_javascript() -> None:
    done = subprocess.run(
        ["node", "--test", "tests/record.test.js"],
        cwd=FRONTEND,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
