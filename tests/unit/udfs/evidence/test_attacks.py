"""Every attack on a pack fails in both verifiers for its own reason; an untouched pack passes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.evidence import BEGIN_MS, CONTROL, MINUTE_MS, EvidenceLog, LocalSigner, a_log
from tests.support.evidence_attacks import ATTACKS, Attack, InMemory
from tests.support.evidence_verifiers import Case, assert_javascript_says, codes
from udfs.evidence import verify
from udfs.evidence.pack import Disclosure, Query
from udfs.evidence.records import KeyChange, KeyEvent

WHO = {False: "by an outsider", True: "by the exporter"}
"""By whether the attacker can have the manifest signed."""

Made = tuple[bytes, list[str], bytes, list[str]]
"""A pack, keys and a checkpoint that are known, and what is warned of."""


def attacked(attack: Attack, *, signed: bool) -> Case:
    """Return an attack of an outsider, or of somebody who can have the manifest signed."""
    opened = attack.make(InMemory())
    pack = opened.close(signed=signed)
    reasons = set(attack.reasons)
    if sha256(opened.files["manifest.json"]).hexdigest() not in str(opened.files["manifest.note"]):
        reasons.add("manifest_forged")
    return Case(
        name=f"{attack.name}, {WHO[signed]}",
        pack=pack,
        keys=opened.keys,
        checkpoint=opened.checkpoint,
        failures=sorted(reasons),
        warnings=sorted(attack.warnings),
    )


def _whole(
    keys: Callable[[EvidenceLog], list[str]], *, seen: bool = False, warnings: tuple[str, ...] = ()
) -> Made:
    log = a_log()
    checkpoint = log.checkpoints[1].note if seen else b""
    return log.pack(), keys(log), checkpoint, list(warnings)


def _one_control(checkpoint: bytes, *warnings: str) -> Made:
    log = a_log()
    query = Query(BEGIN_MS, log.now_ms, controls=(CONTROL,))
    head = log.head(disclosure=Disclosure.SELECTED, query=query)
    return log.pack(head), _first_key(log), checkpoint, list(warnings)


def _later_period() -> Made:
    log = a_log(minutes=9)
    head = log.head(first=7, query=Query(BEGIN_MS + 7 * MINUTE_MS, log.now_ms))
    return log.pack(head), _first_key(log), b"", []


def _old_period() -> Made:
    log = a_log()
    head = log.head(end=8, query=Query(BEGIN_MS, BEGIN_MS + MINUTE_MS))
    return log.pack(head), _present_key(log), b"", []


def _after_revocation() -> Made:
    log = a_log()
    stolen, log.signer = log.signer, LocalSigner.numbered(3)
    change = KeyChange(KeyEvent.REVOKED, log.verifier_key(stolen), "", log.frontier.size, "stolen")
    log.append(change, identity="revoked")
    log.append(KeyChange(KeyEvent.ROTATED, log.verifier_key()), identity="key-3")
    log.seal()
    return log.pack(), _present_key(log), b"", []


def _idle() -> Made:
    log = a_log()
    log.seal()
    log.seal()
    return log.pack(), _present_key(log), b"", []


def _present_key(log: EvidenceLog) -> list[str]:
    return [log.verifier_key()]


def _first_key(log: EvidenceLog) -> list[str]:
    return [log.verifier_key(LocalSigner.numbered(1))]


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


UNTOUCHED: dict[str, Callable[[], Made]] = {
    "the whole log": lambda: _whole(_present_key),
    "known by the key before": lambda: _whole(_first_key),
    "without a known key": lambda: _whole(lambda _: [], warnings=("keys_unpinned",)),
    "seen before": lambda: _whole(_first_key, seen=True),
    "one control": lambda: _one_control(b"", "withheld"),
    "one control, seen before among what is withheld": lambda: _one_control(
        _checkpoint_within(), "checkpoint_unreached", "withheld"
    ),
    "a later period": _later_period,
    "an old period, with the newest checkpoint": _old_period,
    "a rotation after a revocation": _after_revocation,
    "an idle log": _idle,
}


def untouched(name: str) -> Case:
    """Return a pack that is as it should be."""
    pack, keys, checkpoint, warnings = UNTOUCHED[name]()
    return Case(name, pack, keys, checkpoint, [], warnings)


MAKERS: dict[str, Callable[[], Case]] = {name: partial(untouched, name) for name in UNTOUCHED} | {
    f"{one.name}, {WHO[signed]}": partial(attacked, one, signed=signed)
    for one in ATTACKS
    for signed in WHO
    if not one.on_stamp
}


@pytest.mark.parametrize("name", MAKERS)
def test_python_says_what_was_done(name: str) -> None:
    case = MAKERS[name]()
    result = verify.verify(io.BytesIO(case.pack), verify.Asked(case.keys, case.checkpoint))
    told = {kind: codes(result[kind]) for kind in ("failures", "warnings")}
    expected = {"failures": case.failures, "warnings": case.warnings}
    assert told == expected, result["failures"]
    assert result["valid"] == (not case.failures)


def test_javascript_says_the_same(tmp_path: Path) -> None:
    assert_javascript_says([make() for make in MAKERS.values()], tmp_path)


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
    given = {reason for one in ATTACKS for reason in one.reasons}
    assert given | {"pack_unreadable"} == verify.REASONS.keys()
