"""The auditor's page: what it tells to type is typed, on a real pack."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.by_hand import PAGE, check_by_hand
from tests.support.evidence import EvidenceLog
from udfs.evidence.record_codec import encode_record
from udfs.evidence.tree import leaf_hash
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
        f"{leaf_hash(encode_record(log.records[0])).hex()}  -",
        "Verification: OK",
    ]
    assert stamped_at.startswith("Time stamp: ")


def test_reasons_on_the_page_are_reasons() -> None:
    told = re.findall(r"`([a-z_]+)`", PAGE.partition("## Reasons")[2])
    assert len(told) > 10
    assert set(told) <= REASONS.keys()
