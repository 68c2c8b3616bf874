"""Time stamps of a real authority (OpenSSL's) over checkpoints, in a pack."""

from __future__ import annotations

import io
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from tests.support.authority import Authority, with_twin
from tests.support.evidence import EvidenceLog, a_log
from tests.support.evidence_attacks import ATTACKS, InMemory
from tests.support.evidence_verifiers import Case, assert_javascript_says, codes, python_says
from udfs.evidence import verify

UNVERIFIED = "stamps_unverified"


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


ON_STAMPS = [one for one in ATTACKS if one.on_stamp]


def test_changed_stamps_are_told_of_by_both(authority: Authority, tmp_path: Path) -> None:
    cases = []
    for attack in ON_STAMPS:
        pack = attack.make(InMemory(authority))
        reasons = sorted(attack.reasons)
        cases.append(Case(attack.name, pack.close(signed=True), pack.keys, b"", reasons, []))
    for case in cases:
        result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys))
        told = (codes(result["failures"]), codes(result["warnings"]))
        assert told == (case.failures, case.warnings), case.name
    assert len(cases) > 5
    assert_javascript_says(cases, tmp_path)


def test_a_stamp_from_before_the_checkpoint_is_foreign(
    authority: Authority, tmp_path: Path
) -> None:
    in_an_hour_ms = (int(time.time()) + 3_600) * 1000
    log = a_log(begin_ms=in_an_hour_ms)
    log.checkpoints[0] = replace(log.checkpoints[0], stamp=authority.stamp(log.checkpoints[0].note))
    case = Case("early", log.pack(), [log.verifier_key()], b"", ["stamp_foreign"], [])
    result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys))
    assert codes(result["failures"]) == case.failures
    assert_javascript_says([case], tmp_path)


def test_a_changed_stamp_is_found_without_the_package_for_signatures(authority: Authority) -> None:
    """By the hash alone, where whoever changed it left that as it was."""
    attack = next(one for one in ON_STAMPS if one.name == "edit the time of a stamp")
    pack = attack.make(InMemory(authority))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "Ed25519PublicKey", None)
        result = verify.verify(io.BytesIO(pack.close(signed=True)), verify.Asked(pack.keys))
    assert codes(result["failures"]) == ["stamp_forged"]


def test_both_say_the_same_of_any_change(authority: Authority, tmp_path: Path) -> None:
    """Of a byte anywhere in a time stamp: in what it says, certificates, or the signature."""
    chance, pack = random.Random(52), InMemory(authority).whole()
    [name] = [name for name in pack.files if name.startswith("stamps/")]
    stamp, cases = pack.files[name], []
    # Every fifth byte, and all of the signature, which is the last of it.
    for at in [*range(0, len(stamp), 5), *range(len(stamp) - 75, len(stamp))]:
        changed = bytearray(stamp)
        changed[at] ^= chance.randrange(1, 256)
        pack.files[name] = bytes(changed)
        case = Case(f"byte {at}, {len(cases)}", pack.close(signed=True), pack.keys, b"", [], [])
        failures, warnings = python_says(case)
        cases.append(replace(case, failures=failures, warnings=warnings))
    assert {code for case in cases for code in case.failures} == {
        *("stamp_forged", "stamp_foreign", "stamp_malformed"),
    }
    assert_javascript_says(cases, tmp_path)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_stamps_of_authorities_with_rsa_are_checked_as_well(digest: str, tmp_path: Path) -> None:
    made_by, cases_in = tmp_path / "authority", tmp_path / "cases"
    made_by.mkdir()
    cases_in.mkdir()
    ground = InMemory(Authority.made_in(made_by, key=("rsa:2048",), digest=digest))
    whole = ground.whole()
    cases = [Case("untouched", whole.close(signed=True), whole.keys, b"", [], [UNVERIFIED])]
    for attack in ON_STAMPS:
        pack = attack.make(ground)
        reasons = sorted(attack.reasons)
        cases.append(Case(attack.name, pack.close(signed=True), pack.keys, b"", reasons, []))
    for case in cases:
        result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys))
        assert codes(result["failures"]) == case.failures, case.name
    assert_javascript_says(cases, cases_in)


def test_another_certificate_in_place_of_the_signer_s_is_found_where_the_authority_is_known(
    authority: Authority,
) -> None:
    pack = InMemory(authority).whole()
    [name] = [name for name in pack.files if name.startswith("stamps/")]
    pack.files[name] = with_twin(pack.files[name], authority)
    asked = verify.Asked(pack.keys, authority=authority.certificate)
    result = verify.verify(io.BytesIO(pack.close(signed=True)), asked)
    assert codes(result["failures"]) == ["stamp_forged"]
