"""The auditor's page: what it tells to type is typed, on a real pack."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.by_hand import PAGE, check_by_hand
from tests.support.evidence import EvidenceLog
from tests.support.evidence_opened import Opened
from udfs.evidence.verify import REASONS


def test_a_pack_is_checked_by_hand(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = EvidenceLog()
    log.minute(begins=True)
    authority = Authority.made_in(tmp_path_factory.mktemp("authority"))
    first = log.checkpoints[0]
    log.checkpoints[0] = replace(first, stamp=authority.stamp(first.note))
    *lines, stamped_at = check_by_hand(
        log.pack(), tmp_path, key=log.verifier_key(), authority=authority.certificate
    )
    assert lines == [
        "Signature Verified Successfully",
        "the manifest is the one signed",
        "the log is the one of the manifest",
        "Signature Verified Successfully",
        f"{log.heads[0].size} records give the root that was signed",
        "Verification: OK",
    ]
    assert stamped_at.startswith("Time stamp: ")


def test_what_was_altered_is_found_by_hand(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = EvidenceLog()
    log.minute(begins=True)
    authority = Authority.made_in(tmp_path_factory.mktemp("authority"))
    log.checkpoints[0] = replace(log.checkpoints[0], stamp=authority.stamp(log.checkpoints[0].note))
    pack = Opened.of(log)
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(b'"login"', b'"logio"', 1)
    lines = check_by_hand(
        pack.close(signed=True), tmp_path, key=log.verifier_key(), authority=authority.certificate
    )
    assert "the log is the one of the manifest" in lines
    assert not any("the root" in line for line in lines)


def test_reasons_on_the_page_are_reasons() -> None:
    section = PAGE.partition("\n## Reasons\n")[2].partition("\n## ")[0]
    told = re.findall(r"`([a-z_]+)`", section)
    assert len(told) > 10
    assert set(told) <= REASONS.keys()
