"""Writes a pack as a stream: of a million records none is held longer than its line is written."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from udfs.evidence import pack
from udfs.evidence.canonical import Json, canonical_plain
from udfs.evidence.checkpoints import Checkpoint, parse_checkpoint
from udfs.evidence.commitments import Payload
from udfs.evidence.keys import Signer
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import parse_note, sign_note
from udfs.evidence.proofs import Hashes, Span, consistency_proof, full_nodes
from udfs.evidence.tally import Tally

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip, so that equal packs have equal bytes."""
_NODES_AT_ONCE: Final = 256


class CannotPack(ValueError):
    """What is given does not make a pack: the caller's mistake."""


@dataclass(frozen=True, slots=True)
class PackParts:
    """What goes into a pack.

    records: canonical lines by seq, of the range and every record about keys beside it; payloads
    and absent: by seq; checkpoints: oldest first, one of them of the size end; hashes: of the log.
    """

    records: Iterable[bytes]
    hashes: Hashes
    checkpoints: Sequence[pack.SealedCheckpoint]
    keys: Sequence[pack.LogKey]
    payloads: Iterable[tuple[int, Payload]] = ()
    absent: Iterable[pack.AbsentPayload] = ()
    rules: Iterable[pack.RuleText] = ()
    suppressions: Iterable[pack.Suppression] = ()


def write_pack(
    out: BinaryIO, *, head: pack.PackHead, parts: PackParts, signer: Signer
) -> dict[str, Json]:
    """Write a pack to a file open for writing; return its population.

    Raises CannotPack for parts that do not fit, LookupError for hashes that are not stored.
    """
    checkpoints = [_checkpoint(one) for one in parts.checkpoints]
    if head.end not in {one.size for one in checkpoints}:
        raise CannotPack(f"no checkpoint is of the size {head.end}, where the range ends")
    tally = Tally(head.query)
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        files = _Files(archive)
        files.write(pack.README, [_README.encode()])
        files.write_value(pack.PACK, _head(head))
        files.write_value(pack.KEYS, [key.to_dict() for key in parts.keys])
        _write_checkpoints(files, parts, checkpoints)
        files.write(pack.LOG, _log(head, parts, checkpoints, tally))
        files.write_lines(pack.PAYLOADS, map(_payload, parts.payloads))
        files.write_lines(pack.ABSENT, map(asdict, parts.absent))
        files.write_lines(pack.RULES, map(asdict, parts.rules))
        files.write_lines(pack.SUPPRESSIONS, map(asdict, parts.suppressions))
        files.write_value(pack.POPULATION, tally.population())
        files.write_value(pack.COVERAGE, tally.coverage())
        _write_manifest(files, head, signer)
    return tally.population()


@dataclass(slots=True)
class _Files:
    """The zip, and what of it the manifest says."""

    archive: ZipFile
    written: dict[str, Json] = field(default_factory=dict)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        digest, size = sha256(), 0
        member = ZipInfo(name, _EPOCH)
        member.compress_type = ZIP_DEFLATED
        with self.archive.open(member, "w", force_zip64=True) as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.written[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def write_value(self, name: str, value: Any) -> None:
        self.write(name, [canonical_plain(value)])

    def write_lines(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        self.write(name, (canonical_plain(value) + b"\n" for value in values))


def _write_checkpoints(files: _Files, parts: PackParts, checkpoints: Sequence[Checkpoint]) -> None:
    for number, sealed in enumerate(parts.checkpoints, 1):
        files.write(pack.checkpoint_file(number), [sealed.note])
        if sealed.stamp:
            files.write(pack.stamp_file(number), [sealed.stamp])
    files.write_lines(
        pack.CONSISTENCY,
        (
            {"from": old.size, "hashes": _base64(parts.hashes, old, new), "to": new.size}
            for old, new in pairwise(checkpoints)
            if old.size < new.size
        ),
    )


def _base64(hashes: Hashes, old: Checkpoint, new: Checkpoint) -> list[str]:
    proof = consistency_proof(hashes, old=old.size, size=new.size)
    return [b64encode(one).decode() for one in proof]


def _log(
    head: pack.PackHead, parts: PackParts, checkpoints: Sequence[Checkpoint], tally: Tally
) -> Iterator[bytes]:
    """Yield the lines of the whole log, up to the size of the newest checkpoint."""
    sizes = sorted({one.size for one in checkpoints})
    at = 0
    for line in parts.records:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CannotPack(f"the record after {at - 1} cannot be read: {error}") from error
        seq = record["seq"]
        if not at <= seq < sizes[-1]:
            raise CannotPack(f"record {seq} comes after {at - 1}; {sizes[-1]} records are sealed")
        yield from _hidden(head, parts.hashes, (at, seq), sizes, tally)
        yield line + b"\n"
        tally.count(record)
        at = seq + 1
    yield from _hidden(head, parts.hashes, (at, sizes[-1]), sizes, tally)


def _hidden(
    head: pack.PackHead, hashes: Hashes, span: Span, sizes: Sequence[int], tally: Tally
) -> Iterator[bytes]:
    begin, end = span
    withheld = max(0, min(end, head.end) - max(begin, head.first))
    if withheld and head.disclosure is pack.Disclosure.ALL:
        raise CannotPack(f"records {begin} to {end - 1} are not given, and all are to be shown")
    tally.withhold(withheld)
    yield from _withheld(hashes, begin, end, sizes)


def _withheld(hashes: Hashes, begin: int, end: int, sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield lines for records that are not shown; none of them reaches over a checkpoint."""
    cuts = [begin, *(size for size in sizes if begin < size < end), end]
    nodes = [node for left, right in pairwise(cuts) for node in full_nodes(left, right)]
    for some in (nodes[i : i + _NODES_AT_ONCE] for i in range(0, len(nodes), _NODES_AT_ONCE)):
        for node, hashed in zip(some, hashes.read(some), strict=True):
            value: dict[str, Json] = {
                "count": 1 << node.level,
                "first": node.number << node.level,
                "hash": b64encode(hashed).decode(),
            }
            yield canonical_plain(value) + b"\n"


def _write_manifest(files: _Files, head: pack.PackHead, signer: Signer) -> None:
    manifest = canonical_plain({"files": dict(files.written), "format": pack.FORMAT})
    digest = sha256(manifest).hexdigest()
    text = f"{pack.FORMAT}\n{head.origin}\n{digest}\ntime_ms {head.created_ms}\n"
    files.write(pack.MANIFEST, [manifest])
    note = sign_note(text, name=head.origin, signers=[signer])
    files.write(pack.MANIFEST_NOTE, [str(note).encode()])


def _checkpoint(sealed: pack.SealedCheckpoint) -> Checkpoint:
    note = parse_note(sealed.note)
    checkpoint = note if isinstance(note, Malformed) else parse_checkpoint(note)
    if isinstance(checkpoint, Malformed):
        raise CannotPack(f"a checkpoint of the log cannot be read: {checkpoint}")
    return checkpoint


def _head(head: pack.PackHead) -> dict[str, Any]:
    return {**asdict(head), "format": pack.FORMAT}


def _payload(entry: tuple[int, Payload]) -> dict[str, Json]:
    seq, payload = entry
    return {"payload": payload.text, "salt": b64encode(payload.salt).decode(), "seq": seq}


_README: Final = """Evidence from BeTrace
=====================

To check all of it, offline:  betrace evidence verify PACK.zip
or, with Python alone:        python verify.py PACK.zip --key VERIFIER_KEY

Take the verifier and the verifier key from somewhere other than this file.

By hand
-------
A file:         sha256sum log.jsonl, to compare with manifest.json
The manifest:   sha256sum manifest.json, to compare with the third line of manifest.note
A record:       (printf '\\000'; sed -n 1p log.jsonl | tr -d '\\n') | sha256sum
                is the hash of its leaf in the Merkle tree (RFC 6962)
A payload:      SHA-256 of the salt (base64) and the text of the payload is the commitment of
                the record with that seq
A signature:    the text of a .note up to the empty line is what is signed, with Ed25519; the line
                with the dash has four bytes of key id and the signature, in base64. The verifier
                key ends with base64 of one byte (01) and the public key:
                    openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in text -sigfile sig
A time stamp:   openssl ts -verify -data checkpoints/000001.note -in stamps/000001.tsr -CAfile CA
"""
