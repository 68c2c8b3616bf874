"""The evidence log alone, in process: appending, proving, and verifying a pack of all of it.

Appending is all that makes a leaf: the record's canonical bytes, its hash, the nodes that become
full, and their storing in memory. Verifying is `verify.verify` on a file, as an auditor runs it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dsl import Verdict
from udfs.evidence import verify
from udfs.evidence.checkpoints import Checkpoint
from udfs.evidence.key_history import key_history
from udfs.evidence.keys import VerifierKey
from udfs.evidence.pack import Disclosure, PackHead, Query, RuleText, SealedCheckpoint
from udfs.evidence.pack_writer import PackParts, write_pack
from udfs.evidence.proofs import consistency_proof, inclusion_proof
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import KeyChange, KeyEvent, Record, RuleRef, RuleVerdict
from udfs.evidence.tree import Frontier, NodeId, leaf_hash

TENANT: Final = "00000000-0000-4000-8000-0000000bec40"
ORIGIN: Final = f"betrace.example/log/{TENANT}"
BEGIN_MS: Final = 1_795_000_000_000
CHECKPOINT_RECORDS: Final = 10_000
PROOFS: Final = 2_000
_TEXT: Final = "when { db.query } always { audit.log }"
RULE: Final = RuleRef("bench", 1, sha256(_TEXT.encode()).hexdigest())
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class EvidenceFigures:
    """What was measured, on one core. valid: what the verifier said of the pack."""

    records: int
    record_bytes: int
    appends_per_s: float
    inclusion_us: float
    consistency_us: float
    pack_bytes: int
    write_s: float
    verify_s: float
    valid: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class LevelHashes:
    """A store of nodes that takes 64 bytes a record: an array for each level."""

    levels: list[bytearray] = field(default_factory=list)

    def add(self, nodes: Iterable[tuple[NodeId, bytes]]) -> None:
        """Add nodes in the order in which `Frontier.append` returns them."""
        for node, hashed in nodes:
            if node.level == len(self.levels):
                self.levels.append(bytearray())
            self.levels[node.level] += hashed

    def read(self, nodes: Sequence[NodeId]) -> list[bytes]:
        """Return the hashes of full nodes."""
        return [
            bytes(self.levels[level][number * _HASH_BYTES : (number + 1) * _HASH_BYTES])
            for level, number in nodes
        ]


@dataclass(frozen=True, slots=True)
class _Signer:
    key: Ed25519PrivateKey

    @property
    def key_id(self) -> str:
        return "bench"

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


def measure_evidence(*, records: int, say: Callable[[str], None]) -> EvidenceFigures:
    """Append so many records, prove some of them, write the pack of all and verify it."""
    signer = _Signer(Ed25519PrivateKey.generate())
    hashes, frontier = LevelHashes(), Frontier()
    say(f"appending {records:,} records")
    checkpoints, append_s, append_bytes = _appended(records, signer, hashes, frontier)
    say("proving")
    inclusion_us, consistency_us = _proven(records, hashes)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pack.zip"
        say("writing the pack")
        write_s = _timed(lambda: _written(file, records, signer, hashes, checkpoints))
        say("verifying the pack")
        begun = time.process_time()
        with file.open("rb") as pack:
            result = verify.verify(pack, verify.Asked([_verifier_key(signer)]))
        verify_s = time.process_time() - begun
        pack_bytes = file.stat().st_size
    return EvidenceFigures(
        records=records,
        record_bytes=append_bytes // records,
        appends_per_s=round(records / append_s),
        inclusion_us=round(inclusion_us, 1),
        consistency_us=round(consistency_us, 1),
        pack_bytes=pack_bytes,
        write_s=round(write_s, 1),
        verify_s=round(verify_s, 1),
        valid=result["valid"],
    )


def _appended(
    records: int, signer: _Signer, hashes: LevelHashes, frontier: Frontier
) -> tuple[list[SealedCheckpoint], float, int]:
    checkpoints, size_bytes = [], 0
    begun = time.process_time()
    for number in range(records):
        line = encode_record(_record(number, signer))
        hashes.add(frontier.append(leaf_hash(line)))
        size_bytes += len(line)
        if frontier.size % CHECKPOINT_RECORDS == 0 or frontier.size == records:
            head = Checkpoint(ORIGIN, frontier.size, frontier.root(), BEGIN_MS + number + 1)
            checkpoints.append(SealedCheckpoint(str(head.sign([signer])).encode()))
    return checkpoints, time.process_time() - begun, size_bytes


def _proven(records: int, hashes: LevelHashes) -> tuple[float, float]:
    """Return the mean time of a proof of inclusion and of consistency, in µs."""
    chance = Random(1)
    numbers = [chance.randrange(records) for _ in range(PROOFS)]

    def inclusion() -> None:
        for number in numbers:
            inclusion_proof(hashes, index=number, size=records)

    def consistency() -> None:
        for number in numbers:
            consistency_proof(hashes, old=number, size=records)

    return _timed(inclusion) / PROOFS * 1e6, _timed(consistency) / PROOFS * 1e6


def _written(
    file: Path,
    records: int,
    signer: _Signer,
    hashes: LevelHashes,
    checkpoints: Sequence[SealedCheckpoint],
) -> None:
    query = Query(BEGIN_MS, BEGIN_MS + records)
    head = PackHead(
        TENANT, ORIGIN, query, Disclosure.ALL, 0, records, BEGIN_MS + records, "betrace bench"
    )
    parts = PackParts(
        records=_lines(records, signer),
        hashes=hashes,
        checkpoints=checkpoints,
        keys=key_history([_record(0, signer)]),
        rules=[RuleText(RULE.id, RULE.version, _TEXT, ("soc2.CC7.2",), ())],
    )
    with file.open("wb") as out:
        write_pack(out, head=head, parts=parts, signer=signer)


def _lines(records: int, signer: _Signer) -> Iterator[bytes]:
    for number in range(records):
        yield encode_record(_record(number, signer))


def _record(number: int, signer: _Signer) -> Record:
    body = (
        RuleVerdict(RULE, Verdict.VIOLATED, f"{number:032x}", number, f"{number:032x}")
        if number
        else KeyChange(KeyEvent.CREATED, _verifier_key(signer))
    )
    controls = ("hipaa.164.312(b)", "soc2.CC7.2") if number else ()
    return Record(number, TENANT, f"{number:032x}", BEGIN_MS + number, controls, body)


def _verifier_key(signer: _Signer) -> str:
    return str(VerifierKey(ORIGIN, signer.public_key))


def _timed(action: Callable[[], None]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun
