"""Whether records are what the log signed: looked at one by one, with what proves it.

A record counts as valid if its bytes hash to its leaf, the leaf leads to the root of the newest
checkpoint, that was signed by a key which counts at its size, and the columns by which it was found
say what the bytes say. Whoever does not trust this server asks the page to do the same in the
browser, or a pack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.evidence.hashes import Planned, read_hashes
from api.evidence.model import SealedRecord
from udfs.evidence.checkpoints import Checkpoint, parse_checkpoint
from udfs.evidence.key_history import key_history
from udfs.evidence.keys import parse_verifier_key
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import parse_note
from udfs.evidence.pack import LogKey
from udfs.evidence.proof_checks import inclusion_holds
from udfs.evidence.proofs import inclusion_proof
from udfs.evidence.record_codec import decode_record
from udfs.evidence.records import Record
from udfs.evidence.tree import leaf_hash

PATIENCE_MS: Final = 5_000


class Badge(StrEnum):
    """What looking at a record found.

    VALID: it is in the log as it was signed. INVALID: it is not, and `reason` says how. UNSIGNED:
    no checkpoint covers it yet. UNVERIFIED: it could not be found out.
    """

    VALID = "valid"
    INVALID = "invalid"
    UNSIGNED = "unsigned"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a record. reason: a code and a sentence, empty for a valid one.

    proof: the audit path, lowest hash first, to the root of the checkpoint.
    """

    badge: Badge
    code: str = ""
    reason: str = ""
    proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest checkpoint. trouble: why it cannot be believed, empty if it can.

    note: as it was signed; signers: verifier keys that did.
    """

    number: int
    note: str
    checkpoint: Checkpoint | None
    signers: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of some records. head: None while nothing was signed."""

    head: Head | None
    by_seq: dict[int, Checked] = field(default_factory=dict)
    keys: tuple[LogKey, ...] = ()


async def verify_records(
    pool: Pool, scope: TenantScope, records: Sequence[SealedRecord]
) -> Verified:
    """Look at some records of the tenant. One that cannot be looked at does not stop the others.

    Raises DatabaseUnavailable, QueryTooSlow.
    """
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        keys = await _keys(connection)
        head = await _head(connection, keys)
        if head is None or head.checkpoint is None:
            told = Checked(Badge.UNSIGNED, "unsigned", "No checkpoint has been signed yet.")
            if head is not None:
                told = Checked(Badge.INVALID, "checkpoint_malformed", head.trouble)
            return Verified(head, {one.seq: told for one in records}, keys)
        size = head.checkpoint.size
        inside = [one.seq for one in records if one.seq < size]
        proofs = await _proofs(connection, inside, size)
    tenant = str(scope.tenant_id)
    found = {one.seq: _check(one, tenant, head, proofs.get(one.seq)) for one in records}
    return Verified(head, found, keys)


def _check(one: SealedRecord, tenant: str, head: Head, proof: tuple[bytes, ...] | None) -> Checked:
    checkpoint = head.checkpoint
    assert checkpoint is not None
    record = decode_record(one.line)
    if isinstance(record, Malformed):
        return Checked(Badge.INVALID, "record_malformed", f"Its bytes are no record: {record}")
    differs = _differs(record, one, tenant)
    if differs:
        return Checked(
            Badge.INVALID, "columns_altered", f"It was found by {differs}, and its bytes differ."
        )
    if leaf_hash(one.line) != one.leaf:
        return Checked(
            Badge.INVALID, "record_altered", "Its bytes do not hash to the leaf that was sealed."
        )
    if one.seq >= checkpoint.size:
        return Checked(Badge.UNSIGNED, "unsigned", "The next checkpoint covers it.")
    if head.trouble:
        return Checked(Badge.INVALID, "checkpoint_untrusted", head.trouble)
    if proof is None:
        return Checked(
            Badge.UNVERIFIED, "hashes_missing", "Hashes of the log that prove it are not there."
        )
    holds = inclusion_holds(
        proof, index=one.seq, size=checkpoint.size, leaf=one.leaf, root=checkpoint.root
    )
    if not holds:
        return Checked(
            Badge.INVALID,
            "records_altered",
            "It does not lead to the root that was signed: this record or another was altered.",
            proof,
        )
    return Checked(Badge.VALID, proof=proof)


def _differs(record: Record, one: SealedRecord, tenant: str) -> str:
    """Name what of the columns the bytes contradict."""
    said = {
        "its place": (record.seq, one.seq),
        "its tenant": (record.tenant, tenant),
        "its kind": (record.kind, one.kind),
        "its id": (record.id, one.id),
        "its time": (record.time_ms, one.time_ms),
    }
    return next((what for what, (left, right) in said.items() if left != right), "")


async def _keys(connection: Connection) -> tuple[LogKey, ...]:
    rows = queries("evidence_search").key_records(connection)
    records = [decode_record(bytes(row["line"])) async for row in rows]
    return tuple(key_history(one for one in records if isinstance(one, Record)))


async def _head(connection: Connection, keys: Sequence[LogKey]) -> Head | None:
    row = await queries("evidence_search").newest_checkpoint(connection)
    if row is None:
        return None
    note = parse_note(row["note"].encode())
    if isinstance(note, Malformed):
        return Head(row["number"], row["note"], None, trouble=f"It is no note: {note}.")
    checkpoint = parse_checkpoint(note)
    if isinstance(checkpoint, Malformed):
        return Head(row["number"], row["note"], None, trouble=f"It is no checkpoint: {checkpoint}.")
    counting = [key for key in keys if _counts(key, checkpoint.size)]
    parsed = [parse_verifier_key(key.verifier_key) for key in counting]
    signers = note.signed_by([key for key in parsed if not isinstance(key, Malformed)])
    made = Head(row["number"], row["note"], checkpoint)
    if isinstance(signers, Malformed):
        return Head(made.number, made.note, checkpoint, trouble=f"{signers}.")
    if not signers:
        trouble = "No key that counts has signed the newest checkpoint."
        return Head(made.number, made.note, checkpoint, trouble=trouble)
    return Head(made.number, made.note, checkpoint, tuple(map(str, signers)))


def _counts(key: LogKey, size: int) -> bool:
    if key.retired is not None and size > key.retired:
        return False
    return key.revoked_since is None or size <= key.revoked_since


async def _proofs(
    connection: Connection, seqs: Sequence[int], size: int
) -> dict[int, tuple[bytes, ...]]:
    """Return the proofs of records, without those of which a hash is missing."""
    planned = Planned()
    for seq in seqs:
        inclusion_proof(planned, index=seq, size=size)
    stored = await read_hashes(connection, planned)
    proofs = {}
    for seq in seqs:
        try:
            proofs[seq] = tuple(inclusion_proof(stored, index=seq, size=size))
        except LookupError:
            continue
    return proofs
