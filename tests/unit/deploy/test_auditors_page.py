"""The auditor's page: what it tells to type is typed, on a real pack."""

from __future__ import annotations

import io
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.authority import Authority
from tests.support.evidence import EvidenceLog
from udfs.evidence.record_codec import encode_record
from udfs.evidence.tree import leaf_hash
from udfs.evidence.verify import REASONS

PAGE = (Path(__file__).resolve().parents[3] / "deploy" / "evidence.md").read_text()


def test_a_pack_is_checked_by_hand(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [script] = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
    log = EvidenceLog()
    log.minute(begins=True)
    authority = Authority.made_in(tmp_path_factory.mktemp("authority"))
    first = log.checkpoints[0]
    log.checkpoints[0] = replace(first, stamp=authority.stamp(first.note))
    (tmp_path / "CA.pem").write_bytes(authority.certificate.read_bytes())
    with ZipFile(io.BytesIO(log.pack())) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"KEY": log.verifier_key()},
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, stamped_at = done.stdout.splitlines()
    assert lines == [
        "Signature Verified Successfully",
        "the manifest is the one signed",
        "the log is the one of the manifest",
        "Signature Verified Successfully",
        f"{leaf_hash(encode_record(log.records[0])).hex()}  -",
        "Verification: OK",
    ], done.stderr
    assert stamped_at.startswith("Time stamp: ")


def test_reasons_on_the_page_are_reasons() -> None:
    told = re.findall(r"`([a-z_]+)`", PAGE.partition("## Reasons")[2])
    assert len(told) > 10
    assert set(told) <= REASONS.keys()
