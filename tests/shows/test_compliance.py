"""A service says which control it kept; an auditor finds that sealed, and checks it offline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shows.customer import Customer, eventually, make_trace
from udfs.evidence import verify

pytestmark = pytest.mark.e2e

SEALED_S = 60.0
SIGNED_S = 150.0
"""Until a checkpoint is due, at most."""


def records(customer: Customer, trace_id: str) -> list[dict[str, Any]]:
    """Return what is sealed of the spans of a trace."""
    answer = customer.api.get(
        "/api/v1/evidence/records", params={"kind": "span", "service": "access"}
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return [each for each in items if each["record"]["body"]["trace_id"] == trace_id]


def test_a_span_that_says_which_control_it_kept_is_sealed_once_and_verified_offline(
    customer: Customer, tmp_path: Path
) -> None:
    exporter = customer.exporter("http")
    says = {
        "betrace.compliance.framework": "soc2",
        "betrace.compliance.control": ["CC6.1", "CC6.2"],
        "betrace.compliance.evidence_type": "access_provisioning",
        "betrace.compliance.outcome": "success",
        "betrace.compliance.grantee": "u-4711",
    }
    trace = make_trace(("grant", says), ("read", {"http.route": "/"}), service="access")
    trace.send(exporter)
    trace.send(exporter)
    exporter.shutdown()

    (sealed,) = eventually(lambda: records(customer, trace.trace_id), within_s=SEALED_S)
    assert sealed["record"]["controls"] == ["soc2.CC6.1", "soc2.CC6.2"]
    assert sealed["has_payload"]
    assert "u-4711" not in str(sealed)

    def signed() -> bool:
        found = records(customer, trace.trace_id)
        assert len(found) == 1
        return bool(found[0]["verification"]["badge"] == "valid")

    assert eventually(signed, within_s=SIGNED_S)
    pack = tmp_path / "pack.zip"
    exported = customer.api.post("/api/v1/evidence/export", json={"controls": ["soc2.CC6.1"]})
    assert exported.status_code == 200, exported.text
    pack.write_bytes(exported.content)

    verified = subprocess.run(
        [sys.executable, verify.__file__, str(pack)], capture_output=True, text=True, check=False
    )

    assert verified.returncode == 0, verified.stdout + verified.stderr
