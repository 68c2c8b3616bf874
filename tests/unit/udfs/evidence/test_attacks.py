"""Every attack on a pack fails in both verifiers for its own reason; an untouched pack passes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.evidence import BEGIN_MS, CONTROL, MINUTE_MS, EvidenceLog, LocalSigner, a_log
from tests.support.evidence_attacks import ATTACKS, Attack
from tests.support.evidence_verifiers import Case, assert_javascript_says, codes
from udfs.evidence import verify
from udfs.evidence.pack import Disclosure, Query
from udfs.evidence.records import KeyChange, KeyEvent


def attacked(attack: Attack, *, signed: bool) -> Case:
    """Return an attack of an outsider, or of somebody who can have the manifest signed."""
    opened = attack.make()
    pack = opened.close(signed=signed)
    reasons = set(attack.reasons)
    if sha256(opened.files["manifest.json"]).hexdigest() not in str(opened.files["manifest.note"]):
        reasons.add("manifest_forged")
    return Case(
        name=f"{attack.name}, {'by the exporter' if signed else 'by an outsider'}",
        pack=pack,
        keys=opened.keys,
        checkpoint=opened.checkpoint,
        failures=sorted(reasons),
        warnings=sorted(attack.warnings),
    )


def untouched() -> Iterator[Case]:
    """Yield packs of all kinds that are as they should be."""
    log = a_log()
    first_key = log.verifier_key(LocalSigner.numbered(1))
    yield Case("the whole log", log.pack(), [log.verifier_key()], b"", [], [])
    yield Case("known by the key before", log.pack(), [first_key], b"", [], [])
    yield Case("without a known key", log.pack(), [], b"", [], ["keys_unpinned"])
    seen = log.checkpoints[1].note
    yield Case("seen before", log.pack(), [first_key], seen, [], [])
    query = Query(BEGIN_MS, log.now_ms, controls=(CONTROL,))
    head = log.head(disclosure=Disclosure.SELECTED, query=query)
    yield Case("one control", log.pack(head), [first_key], b"", [], ["withheld"])
    yield Case(
        "one control, seen before among what is withheld",
        log.pack(head),
        [first_key],
        _checkpoint_within(),
        [],
        ["checkpoint_unreached", "withheld"],
    )
    longer = a_log(minutes=9)
    later = longer.head(first=7, query=Query(BEGIN_MS + 7 * MINUTE_MS, longer.now_ms))
    yield Case("a later period", longer.pack(later), [first_key], b"", [], [])
    yield Case("an old period, with the newest checkpoint", *_old_period(log), [], [])
    yield Case("a rotation after a revocation", *_after_revocation(), [], [])
    yield Case("an idle log", *_idle(), [], [])


def _checkpoint_within() -> bytes:
    """Return a checkpoint of the size 5 of the usual log, which no pack has."""
    whole, log = a_log(), EvidenceLog()
    for record in whole.records[1:5]:
        payload = whole.payloads.get(record.seq)
        personal = json.loads(payload.text) if payload else None
        if record.commitment and payload is None:
            personal = {"user": "person-0@example.com"}
        log.append(
            record.body,
            controls=record.controls,
            identity=record.id,
            time_ms=record.time_ms,
            personal=personal,
        )
    log.seal()
    return log.checkpoints[0].note


def _old_period(log: EvidenceLog) -> tuple[bytes, list[str], bytes]:
    head = log.head(end=8, query=Query(BEGIN_MS, BEGIN_MS + MINUTE_MS))
    return log.pack(head), [log.verifier_key()], b""


def _after_revocation() -> tuple[bytes, list[str], bytes]:
    log = a_log()
    stolen, log.signer = log.signer, LocalSigner.numbered(3)
    change = KeyChange(KeyEvent.REVOKED, log.verifier_key(stolen), "", log.frontier.size, "stolen")
    log.append(change, identity="revoked")
    log.append(KeyChange(KeyEvent.ROTATED, log.verifier_key()), identity="key-3")
    log.seal()
    return log.pack(), [log.verifier_key()], b""


def _idle() -> tuple[bytes, list[str], bytes]:
    log = a_log()
    log.seal()
    log.seal()
    return log.pack(), [log.verifier_key()], b""


CASES = [
    *untouched(),
    *(attacked(one, signed=signed) for one in ATTACKS for signed in (False, True)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_python_says_what_was_done(case: Case) -> None:
    result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys, case.checkpoint))
    told = {kind: codes(result[kind]) for kind in ("failures", "warnings")}
    expected = {"failures": case.failures, "warnings": case.warnings}
    assert told == expected, result["failures"]
    assert result["valid"] == (not case.failures)


def test_javascript_says_the_same(tmp_path: Path) -> None:
    assert_javascript_says(CASES, tmp_path)


@pytest.mark.parametrize("flags", [["-I"], ["-I", "-S"]], ids=["with OpenSSL", "Python alone"])
def test_the_one_file_runs_alone(tmp_path: Path, flags: list[str]) -> None:
    log = a_log()
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(log.pack())
    flipped = next(one for one in ATTACKS if one.name == "flip")
    bad.write_bytes(attacked(flipped, signed=True).pack)
    file = tmp_path / "verify.py"
    file.write_bytes(Path(verify.__file__).read_bytes())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *flags, str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    key = log.verifier_key()
    passed, failed = run(str(good), "--key", key), run(str(bad), "--key", key, "--json")
    assert (passed.returncode, passed.stdout.splitlines()[0]) == (0, "VALID")
    assert failed.returncode == 1
    assert [row["code"] for row in json.loads(failed.stdout)["failures"]] == ["records_altered"]
    assert run(str(tmp_path / "none.zip")).returncode == 2
    assert run(str(good), "--key", "no key").returncode == 2


def test_every_reason_is_given_by_some_attack() -> None:
    given = {reason for case in CASES for reason in case.failures}
    elsewhere = {
        "pack_unreadable",
        "stamp_malformed",
        "stamp_foreign",
        "stamp_forged",
    }
    assert given | elsewhere == verify.REASONS.keys()
