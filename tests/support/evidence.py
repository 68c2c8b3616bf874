"""A tenant's evidence log in memory, with keys, checkpoints and packs, for tests."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dsl import Verdict
from udfs.evidence.checkpoints import Checkpoint
from udfs.evidence.commitments import Payload, commit
from udfs.evidence.key_history import key_history
from udfs.evidence.keys import VerifierKey
from udfs.evidence.pack import (
    AbsentPayload,
    Approval,
    Disclosure,
    PackHead,
    Query,
    RuleText,
    SealedCheckpoint,
    Suppression,
    Why,
)
from udfs.evidence.pack_writer import PackParts, write_pack
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import (
    Act,
    Body,
    ComplianceSpan,
    Coverage,
    KeyChange,
    KeyEvent,
    Outcome,
    Record,
    RuleRef,
    RuleVerdict,
    endorsement_text,
)
from udfs.evidence.tree import Frontier, NodeId, leaf_hash

TENANT = "0d3c6b4e-2f6e-4e0b-9d5b-0c4a6f1f2a3b"
BEGIN_MS = 1_795_000_000_000
MINUTE_MS = 60_000
RULE_TEXT = "when { db.query } always { audit.log }"
RULE = RuleRef("pii-needs-audit", 3, sha256(RULE_TEXT.encode()).hexdigest())
CONTROL = "soc2.CC7.2"


@dataclass(frozen=True, slots=True)
class LocalSigner:
    """A key made from a number, so that tests are the same every time."""

    key: Ed25519PrivateKey

    @classmethod
    def numbered(cls, number: int) -> LocalSigner:
        """Return the signer of a number; equal numbers, equal keys."""
        return cls(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))

    @property
    def key_id(self) -> str:
        """The first bytes of the public key."""
        return self.public_key[:4].hex()

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self.key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes."""
        return self.key.sign(message)


@dataclass(slots=True)
class MemoryHashes:
    """The store of full subtrees, in a dictionary."""

    nodes: dict[NodeId, bytes] = field(default_factory=dict)

    def read(self, nodes: Sequence[NodeId]) -> list[bytes]:
        """Return the hashes of nodes; KeyError if one is not there."""
        return [self.nodes[node] for node in nodes]


class EvidenceLog:
    """One tenant's log, as the sequencer will keep it."""

    def __init__(
        self,
        *,
        tenant: str = TENANT,
        signer: LocalSigner | None = None,
        begin_ms: int = BEGIN_MS,
    ) -> None:
        self.tenant = tenant
        self.signer = signer or LocalSigner.numbered(1)
        self.begin_ms = begin_ms
        self.now_ms = begin_ms
        self.rules = [
            RuleText(RULE.id, RULE.version, RULE_TEXT, (CONTROL,), (Approval("user:1", 7),))
        ]
        self.suppressions = [Suppression(RULE.id, "service == crm", "load test", "user:2", 0, 3)]
        self.records: list[Record] = []
        self.payloads: dict[int, Payload] = {}
        self.erased: dict[int, AbsentPayload] = {}
        self.heads: list[Checkpoint] = []
        self.checkpoints: list[SealedCheckpoint] = []
        self.hashes = MemoryHashes()
        self.frontier = Frontier()
        self.append(KeyChange(KeyEvent.CREATED, self.verifier_key()), identity="key-1")

    @property
    def origin(self) -> str:
        """The log's name."""
        return f"betrace.example/log/{self.tenant}"

    def verifier_key(self, signer: LocalSigner | None = None) -> str:
        """Return the verifier key of a signer, of the present one without."""
        return str(VerifierKey(self.origin, (signer or self.signer).public_key))

    def append(
        self,
        body: Body,
        *,
        controls: Iterable[str] = (),
        identity: str = "",
        personal: dict[str, str] | None = None,
        time_ms: int = 0,
    ) -> Record:
        """Put a record at the end of the log, with a payload if there is something personal."""
        seq = self.frontier.size
        commitment = ""
        if personal is not None:
            payload = commit(personal, salt=sha256(b"salt %d" % seq).digest())
            self.payloads[seq] = payload
            commitment = payload.commitment
        record = Record(
            seq=seq,
            tenant=self.tenant,
            id=identity or f"{seq:032x}",
            time_ms=time_ms or self.now_ms,
            controls=tuple(sorted(controls)),
            body=body,
            commitment=commitment,
        )
        self.records.append(record)
        self.hashes.nodes.update(self.frontier.append(leaf_hash(encode_record(record))))
        return record

    def seal(self, signers: Sequence[LocalSigner] = ()) -> Checkpoint:
        """Sign the head, by the present key if no others are given."""
        frontier = self.frontier
        checkpoint = Checkpoint(self.origin, frontier.size, frontier.root(), self.now_ms)
        note = checkpoint.sign(signers or [self.signer])
        self.heads.append(checkpoint)
        self.checkpoints.append(SealedCheckpoint(str(note).encode()))
        return checkpoint

    def rotate(self, fresh: LocalSigner) -> None:
        """Let another key follow; the checkpoint after it is signed by both."""
        text = endorsement_text(
            origin=self.origin, seq=self.frontier.size, verifier_key=self.verifier_key(fresh)
        )
        endorsement = b64encode(self.signer.sign(text.encode())).decode()
        change = KeyChange(KeyEvent.ROTATED, self.verifier_key(fresh), endorsement)
        self.append(change, identity=f"key-{fresh.key_id}")
        self.seal([self.signer, fresh])
        self.signer = fresh

    def erase(self, seq: int) -> None:
        """Erase the payload of a record, by an act that is on the record."""
        act = Act("payload.erased", "user:7", f"record:{seq}", Outcome.SUCCESS)
        by = self.append(act, controls=["gdpr.17"]).seq
        del self.payloads[seq]
        self.erased[seq] = AbsentPayload(seq, Why.ERASED, self.now_ms, by)

    def minute(self, *, violated: int = 1, spans: int = 2, begins: bool = False) -> None:
        """Let a minute pass: verdicts, compliance spans, and what accounts for them."""
        for number in range(violated):
            self.append(verdict(self.frontier.size), controls=[CONTROL, "hipaa.164.312(b)"])
            self.append(
                span(self.frontier.size),
                controls=["soc2.CC6.1"],
                personal={"user": f"person-{number}@example.com"},
            )
        for _ in range(spans):
            self.append(span(self.frontier.size), controls=["soc2.CC6.1"])
        begin_ms, self.now_ms = self.now_ms, self.now_ms + MINUTE_MS
        coverage = Coverage(
            rule=RULE,
            from_ms=begin_ms,
            to_ms=self.now_ms,
            judged=violated + 10,
            satisfied=10,
            violated=violated,
            inconclusive=0,
            late=0,
            dropped=0,
            begins=begins,
        )
        self.append(coverage, controls=[CONTROL], time_ms=begin_ms)
        self.seal()

    def head(
        self,
        *,
        first: int = 0,
        end: int = 0,
        query: Query | None = None,
        disclosure: Disclosure = Disclosure.ALL,
    ) -> PackHead:
        """Return what a pack is of, of the whole log if nothing is given."""
        return PackHead(
            tenant=self.tenant,
            origin=self.origin,
            query=query or Query(self.begin_ms, self.now_ms),
            disclosure=disclosure,
            first=first,
            end=end or self.frontier.size,
            created_ms=self.now_ms,
            generator="betrace tests",
        )

    def parts(self, head: PackHead) -> PackParts:
        """Return what goes into the pack of a head."""
        shown = [record for record in self.records if _shown(record, head)]
        seqs = {record.seq for record in shown}
        return PackParts(
            records=map(encode_record, shown),
            hashes=self.hashes,
            checkpoints=self.checkpoints,
            keys=key_history(self.records),
            payloads=[(seq, one) for seq, one in self.payloads.items() if seq in seqs],
            absent=[one for seq, one in self.erased.items() if seq in seqs],
            rules=self.rules,
            suppressions=self.suppressions,
        )

    def pack(self, head: PackHead | None = None) -> bytes:
        """Return a pack, of the whole log if no head is given."""
        head = head or self.head()
        file = io.BytesIO()
        write_pack(file, head=head, parts=self.parts(head), signer=self.signer)
        return file.getvalue()


def a_log(*, minutes: int = 4, begin_ms: int = BEGIN_MS) -> EvidenceLog:
    """Return a log with all kinds of records, a rotated key and an erased payload."""
    log = EvidenceLog(begin_ms=begin_ms)
    log.append(Act("rule.changed", "user:1", f"rule:{RULE.id}", Outcome.SUCCESS))
    log.minute(begins=True)
    log.minute(violated=0, spans=0)
    log.rotate(LocalSigner.numbered(2))
    log.erase(3)
    for _ in range(minutes - 2):
        log.minute()
    return log


def verdict(number: int) -> RuleVerdict:
    """Return a violation of a trace of its own."""
    return RuleVerdict(RULE, Verdict.VIOLATED, f"{number:032x}", number, f"{number:032x}")


def span(number: int) -> ComplianceSpan:
    """Return a compliance span of its own."""
    return ComplianceSpan(
        "audit_trail", "login", Outcome.SUCCESS, "web", f"{number:032x}", f"{number:016x}"
    )


def _shown(record: Record, head: PackHead) -> bool:
    if isinstance(record.body, KeyChange):
        return True
    if not head.first <= record.seq < head.end:
        return False
    asked = {"time_ms": record.time_ms, "kind": record.kind, "controls": record.controls}
    return head.disclosure is Disclosure.ALL or head.query.asks_for(asked)
