"""What both verifiers are to say of a pack, and how the one in JavaScript is asked."""

from __future__ import annotations

import io
import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from udfs.evidence import verify

FRONTEND = Path(__file__).resolve().parents[2] / "api" / "web" / "frontend"
OF_ITS_OWN = 3
"""Tests in verify.test.js that are no cases of ours."""


@dataclass(frozen=True)
class Case:
    """A pack, what the verifier is told beside it, and what it must say."""

    name: str
    pack: bytes
    keys: list[str]
    checkpoint: bytes
    failures: list[str]
    warnings: list[str]

    def as_json(self, file: str) -> dict[str, Any]:
        """Return what the tests in JavaScript read."""
        return {
            "name": self.name,
            "file": file,
            "keys": self.keys,
            "checkpoint": b64encode(self.checkpoint).decode(),
            "failures": self.failures,
            "warnings": self.warnings,
        }


def codes(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the codes of findings, sorted."""
    return sorted(row["code"] for row in rows)


def assert_javascript_says(cases: Sequence[Case], folder: Path) -> dict[str, list[str]]:
    """Have every case verified by the verifier in JavaScript, in one run of node.

    Returns the codes of the failures that it told of, by the names of the cases.
    """
    told = []
    for number, case in enumerate(cases):
        (folder / f"{number}.zip").write_bytes(case.pack)
        told.append(case.as_json(f"{number}.zip"))
    reasons = {"reasons": verify.REASONS, "warnings": verify.WARNINGS}
    (folder / "cases.json").write_text(json.dumps(told))
    (folder / "reasons.json").write_text(json.dumps(reasons))
    done = subprocess.run(
        ["node", "--test", "tests/verify.test.js"],
        cwd=FRONTEND,
        env=os.environ | {"EVIDENCE_CASES": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, _failed(done.stdout)
    assert f"# pass {len(cases) + OF_ITS_OWN}" in done.stdout
    said = json.loads((folder / "told.json").read_text())
    return {name: one["failures"] for name, one in said.items()}


def python_says(case: Case) -> tuple[list[str], list[str]]:
    """Return the codes of failures and warnings that verify.py tells of a case."""
    result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys, case.checkpoint))
    return codes(result["failures"]), codes(result["warnings"])


def _failed(tap: str) -> str:
    """Return the parts of node's answer that tell of failures."""
    parts = tap.split("# Subtest: ")
    return "\n".join(part for part in parts if "\nnot ok" in f"\n{part}")[:6_000]
