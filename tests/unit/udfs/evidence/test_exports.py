"""Lists of records as files: both forms, and what is found when they were touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.evidence import EvidenceLog, LocalSigner, a_log
from udfs.evidence.exports import (
    JSON_BEGIN,
    CheckedExport,
    ExportHead,
    ExportTally,
    check_export,
    json_end,
    jsonl_end,
    sign_manifest,
)
from udfs.evidence.keys import VerifierKey
from udfs.evidence.record_codec import encode_record

LOG = a_log()
KEY = VerifierKey(LOG.origin, LOG.signer.public_key)
LINES = [encode_record(record) for record in LOG.records[2:9]]


def ended(log: EvidenceLog = LOG, *, signed: bool = True) -> tuple[dict[str, Any], str]:
    tally = ExportTally()
    for line in LINES:
        tally.add(line)
    head = ExportHead(
        tenant=log.tenant,
        origin=log.origin,
        query={"framework": "soc2"},
        end=log.frontier.size,
        checkpoint=log.checkpoints[-1].note.decode(),
        created_ms=log.now_ms,
        generator="tests",
    )
    manifest = tally.manifest(head, complete=True)
    return manifest, sign_manifest(manifest, log.signer) if signed else ""


def as_jsonl(*, signed: bool = True) -> bytes:
    return b"".join(line + b"\n" for line in LINES) + jsonl_end(*ended(signed=signed))


def as_json() -> bytes:
    return JSON_BEGIN + b",\n".join(LINES) + json_end(*ended())


def checked(file: bytes, *keys: VerifierKey) -> CheckedExport:
    return check_export(file.splitlines(keepends=True), keys or (KEY,))


@pytest.mark.parametrize("file", [as_jsonl(), as_json()], ids=["jsonl", "json"])
def test_a_file_as_it_was_exported_has_no_problems(file: bytes) -> None:
    found = checked(file)
    assert (found.problems, found.records, found.signers) == ((), len(LINES), (str(KEY),))
    assert found.manifest["records"] == len(LINES)


def test_json_is_json_and_has_the_records_as_they_are() -> None:
    value = json.loads(as_json())
    assert [json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in value["records"]]
    assert value["records"] == [json.loads(line) for line in LINES]
    assert value["manifest"] == json.loads(as_jsonl().splitlines()[-1])["manifest"]


def test_an_empty_export_is_a_file_too() -> None:
    manifest = ExportTally().manifest(
        ExportHead(
            tenant=LOG.tenant,
            origin=LOG.origin,
            query={},
            end=0,
            checkpoint="",
            created_ms=1,
            generator="tests",
        ),
        complete=True,
    )
    note = sign_manifest(manifest, LOG.signer)
    for file in (jsonl_end(manifest, note), JSON_BEGIN + json_end(manifest, note)):
        assert checked(file) == CheckedExport(0, manifest, (), (str(KEY),))
    assert json.loads(JSON_BEGIN + json_end(manifest, note))["records"] == []


Change = Callable[[bytes], bytes]
CHANGES: dict[str, tuple[Change, str]] = {
    "a record edited": (lambda file: file.replace(b'"success"', b'"failure"', 1), "sha256"),
    "a record removed": (lambda file: file.replace(LINES[1] + b"\n", b""), "records, sha256"),
    "records in another order": (
        lambda file: (
            file.replace(LINES[0], b"?").replace(LINES[1], LINES[0]).replace(b"?", LINES[1])
        ),
        "sha256",
    ),
    "a record that is none": (lambda file: file.replace(LINES[0], b"{}"), "line 1 is no record"),
    "the manifest cut off": (lambda file: file[: file.rindex(b'{"manifest"')], "no manifest"),
    "the manifest edited": (
        lambda file: file.replace(b'"complete":true', b'"complete":false'),
        "another manifest",
    ),
    "something behind it": (lambda file: file + b"{}\n", "after the manifest"),
    "signature edited": (lambda file: file.replace(b'"note":"b', b'"note":"c'), "manifest"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_touched_is_told(name: str) -> None:
    change, told = CHANGES[name]
    file = as_jsonl()
    assert change(file) != file
    assert told in "; ".join(checked(change(file)).problems)


def test_a_file_without_a_signature_or_of_another_key_says_so() -> None:
    assert checked(as_jsonl(signed=False)).problems == ("it is not signed",)
    other = VerifierKey(LOG.origin, LocalSigner.numbered(9).public_key)
    assert checked(as_jsonl(), other).problems == (
        "none of the keys that were given has signed it",
    )
    assert check_export(as_jsonl().splitlines(), ()).problems == ()
