"""What the writer refuses, and what it always does alike."""

from __future__ import annotations

import io
import json
import subprocess
import tracemalloc
from base64 import b64decode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.evidence import BEGIN_MS, CONTROL, EvidenceLog, LocalSigner, a_log, span
from udfs.evidence.key_history import key_history
from udfs.evidence.pack import Disclosure, LogKey, PackHead, Query, SealedCheckpoint
from udfs.evidence.pack_writer import CannotPack, PackParts, write_pack
from udfs.evidence.record_codec import encode_record
from udfs.evidence.tree import leaf_hash


def written(log: EvidenceLog, head: PackHead, parts: PackParts) -> bytes:
    """Return a pack."""
    file = io.BytesIO()
    write_pack(file, head=head, parts=parts, signer=log.signer)
    return file.getvalue()


def test_equal_logs_make_equal_packs() -> None:
    assert a_log().pack() == a_log().pack()


def test_the_population_is_counted_while_it_is_written() -> None:
    log = a_log()
    query = Query(BEGIN_MS, log.now_ms, controls=(CONTROL,))
    head = log.head(query=query, disclosure=Disclosure.SELECTED)
    population = write_pack(io.BytesIO(), head=head, parts=log.parts(head), signer=log.signer)
    assert population == {
        "by_control": {"hipaa.164.312(b)": 3, CONTROL: 7},
        "by_kind": {"coverage": 4, "verdict": 3},
        "by_verdict": {"violated": 3},
        "others": 2,
        "records": 7,
        "withheld": 11,
    }


def test_no_more_is_held_than_is_being_written(tmp_path: Path) -> None:
    log = EvidenceLog()
    for number in range(8_000):
        log.append(span(number), controls=[CONTROL])
    log.seal()
    log.now_ms += 1
    log.seal()
    head = log.head()
    parts = log.parts(head)
    with (tmp_path / "pack.zip").open("wb") as file:
        tracemalloc.start()
        write_pack(file, head=head, parts=parts, signer=log.signer)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    with ZipFile(tmp_path / "pack.zip") as archive:
        assert archive.getinfo("log.jsonl").file_size > 3_000_000
    assert peak_bytes < 500_000


@pytest.mark.parametrize("seqs", [(1, 0), (0, 0), (0, 1, 99)])
def test_records_out_of_order_or_unsealed_are_refused(seqs: tuple[int, ...]) -> None:
    log = a_log()
    head = log.head(disclosure=Disclosure.SELECTED)
    lines = [encode_record(replace(log.records[0], seq=seq)) for seq in seqs]
    with pytest.raises(CannotPack, match="comes after"):
        written(log, head, replace(log.parts(head), records=lines))


def test_a_record_that_is_not_given_is_refused_where_all_are_shown() -> None:
    log = a_log()
    lines = [encode_record(record) for record in log.records if record.seq != 5]
    head = log.head()
    with pytest.raises(CannotPack, match="records 5 to 5 are not given"):
        written(log, head, replace(log.parts(head), records=lines))


def test_a_range_must_end_where_a_checkpoint_is() -> None:
    log = a_log()
    head = log.head(end=5)
    with pytest.raises(CannotPack, match="no checkpoint is of the size 5"):
        written(log, head, log.parts(head))
    head = log.head()
    broken = replace(log.parts(head), checkpoints=[SealedCheckpoint(b"nothing")])
    with pytest.raises(CannotPack, match="cannot be read"):
        written(log, head, broken)


def test_keys_are_read_off_the_log() -> None:
    first, second = LocalSigner.numbered(1), LocalSigner.numbered(2)
    log = a_log()
    history = key_history(log.records)
    assert history == [
        LogKey(log.verifier_key(first), introduced=0, endorsement="", retired=8),
        LogKey(log.verifier_key(second), introduced=8, endorsement=history[1].endorsement),
    ]
    assert len(b64decode(history[1].endorsement)) == 64


def test_what_the_readme_says_can_be_done_by_hand(tmp_path: Path) -> None:
    log = a_log()
    with ZipFile(io.BytesIO(log.pack())) as archive:
        archive.extractall(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    hashed = _run(tmp_path, "sha256sum log.jsonl").split()[0]
    assert hashed == manifest["files"]["log.jsonl"]["sha256"]
    by_hand = _run(tmp_path, "(printf '\\000'; sed -n 3p log.jsonl | tr -d '\\n') | sha256sum")
    assert by_hand.split()[0] == leaf_hash(encode_record(log.records[2])).hex()
    note = (tmp_path / "checkpoints" / "000001.note").read_text()
    text, _, signature = note.partition("\n\n— ")
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "sig").write_bytes(b64decode(signature.split()[1])[4:])
    key = LocalSigner.numbered(1).key.public_key()
    der = bytes.fromhex("302a300506032b6570032100") + key.public_bytes_raw()
    (tmp_path / "key.der").write_bytes(der)
    _run(tmp_path, "openssl pkey -pubin -inform DER -in key.der -out key.pem")
    command = "openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in text -sigfile sig"
    assert "Verified Successfully" in _run(tmp_path, command)
    assert (
        sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
        in (tmp_path / "manifest.note").read_text().splitlines()
    )


def _run(folder: Path, command: str) -> str:
    done = subprocess.run(
        command, shell=True, cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout
