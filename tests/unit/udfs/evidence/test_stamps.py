"""Time stamps of a real authority (OpenSSL's) over checkpoints, in a pack."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from tests.support.authority import Authority, with_twin
from tests.support.evidence import EvidenceLog, a_log
from tests.support.evidence_opened import Opened
from tests.support.evidence_verifiers import Case, assert_javascript_says, codes
from udfs.evidence import verify

STAMP = "stamps/000002.tsr"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests."""
    return Authority.made_in(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stamped_log(authority: Authority) -> EvidenceLog:
    """A log the second and third checkpoints of which are stamped."""
    log = a_log()
    for number in (1, 2):
        sealed = log.checkpoints[number]
        log.checkpoints[number] = replace(sealed, stamp=authority.stamp(sealed.note))
    return log


def test_stamps_are_checked_as_far_as_the_verifier_can(
    stamped_log: EvidenceLog, authority: Authority
) -> None:
    pack, key = stamped_log.pack(), [stamped_log.verifier_key()]
    alone = verify.verify(io.BytesIO(pack), verify.Asked(key))
    trusting = verify.verify(io.BytesIO(pack), verify.Asked(key, authority=authority.certificate))
    assert (alone["valid"], codes(alone["warnings"])) == (True, ["stamps_unverified"])
    assert (trusting["valid"], trusting["warnings"], trusting["stamps"]) == (True, [], 2)
    assert "time stamps  2 verified" in verify.report(trusting)


def test_a_stamp_of_another_authority_is_forged(stamped_log: EvidenceLog, tmp_path: Path) -> None:
    other = Authority.made_in(tmp_path)
    asked = verify.Asked([stamped_log.verifier_key()], authority=other.certificate)
    result = verify.verify(io.BytesIO(stamped_log.pack()), asked)
    assert codes(result["failures"]) == ["stamp_forged"]


def test_a_stamp_outlives_the_certificate_of_its_authority(tmp_path: Path) -> None:
    authority = Authority.made_in(tmp_path, good_for=timedelta(seconds=3))
    log = a_log()
    stamp = authority.stamp(log.checkpoints[0].note)
    log.checkpoints[0] = replace(log.checkpoints[0], stamp=stamp)
    ends = load_pem_x509_certificate((tmp_path / "tsa.pem").read_bytes()).not_valid_after_utc
    while datetime.now(UTC) <= ends + timedelta(seconds=1):
        time.sleep(0.1)
    asked = verify.Asked([log.verifier_key()], authority=authority.certificate)
    assert verify.verify(io.BytesIO(log.pack()), asked)["stamps"] == 1
    late = replace(log.checkpoints[0], stamp=authority.stamp(log.checkpoints[0].note))
    log.checkpoints[0] = late
    result = verify.verify(io.BytesIO(log.pack()), asked)
    assert codes(result["failures"]) == ["stamp_forged"]


def _of_the_other(pack: Opened) -> None:
    pack.files[STAMP] = pack.files["stamps/000003.tsr"]


def _of_no_checkpoint(pack: Opened) -> None:
    pack.files["stamps/000099.tsr"] = pack.files.pop(STAMP)


def _cut(pack: Opened) -> None:
    pack.files[STAMP] = pack.files[STAMP][:100]


def _no_der(pack: Opened) -> None:
    pack.files[STAMP] = b"\x30\x84\xff\xff\xff\xff"


def _of_another_time(pack: Opened) -> None:
    """Set the year in the stamp back; the authority's signature breaks as well."""
    at = pack.files[STAMP].index(b"\x18\x0f20") + 2
    pack.files[STAMP] = pack.files[STAMP][:at] + b"1999" + pack.files[STAMP][at + 4 :]


CHANGES: list[tuple[Callable[[Opened], None], str]] = [
    (_of_the_other, "stamp_foreign"),
    (_of_no_checkpoint, "stamp_foreign"),
    (_of_another_time, "stamp_foreign"),
    (_cut, "stamp_malformed"),
    (_no_der, "stamp_malformed"),
]


def test_changed_stamps_are_told_of_by_both(stamped_log: EvidenceLog, tmp_path: Path) -> None:
    key = [stamped_log.verifier_key()]
    cases = []
    for change, reason in CHANGES:
        pack = Opened.of(stamped_log)
        change(pack)
        closed = pack.close(signed=True)
        result = verify.verify(io.BytesIO(closed), verify.Asked(key))
        assert codes(result["failures"]) == [reason], change.__name__
        case = Case(change.__name__, closed, key, b"", [reason], ["stamps_unverified"])
        cases.append(case)
    assert_javascript_says(cases, tmp_path)


def test_a_forged_time_is_found_where_the_authority_is_known(
    stamped_log: EvidenceLog, authority: Authority
) -> None:
    pack = Opened.of(stamped_log)
    at = pack.files[STAMP].index(b"\x18\x0f20") + 6
    month = b"0102" if pack.files[STAMP][at : at + 4] != b"0102" else b"0103"
    later = b"2099" + month
    pack.files[STAMP] = pack.files[STAMP][: at - 4] + later + pack.files[STAMP][at + 4 :]
    asked = verify.Asked([stamped_log.verifier_key()], authority=authority.certificate)
    result = verify.verify(io.BytesIO(pack.close(signed=True)), asked)
    assert codes(result["failures"]) == ["stamp_forged"]


def test_another_certificate_in_place_of_the_signer_s_is_found_where_the_authority_is_known(
    stamped_log: EvidenceLog, authority: Authority
) -> None:
    pack = Opened.of(stamped_log)
    pack.files[STAMP] = with_twin(pack.files[STAMP], authority)
    asked = verify.Asked([stamped_log.verifier_key()], authority=authority.certificate)
    result = verify.verify(io.BytesIO(pack.close(signed=True)), asked)
    assert codes(result["failures"]) == ["stamp_forged"]
