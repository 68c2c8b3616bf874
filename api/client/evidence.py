"""Evidence: sealed records with what proves them, controls, the log, packs, and where heads go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, Literal, TypedDict, Unpack
from uuid import UUID

from api.anchors.schemas import (
    AnchoredBody,
    AnchoredPageBody,
    MadeTargetBody,
    TargetBody,
    TargetChangeBody,
    TargetDraftBody,
    TargetListBody,
    TriedBody,
)
from api.client.connection import Connection, given
from api.evidence.log_schemas import (
    CheckpointBody,
    CheckpointsBody,
    ConsistencyBody,
    LogBody,
    RecordBody,
)
from api.evidence.search_schemas import (
    CatalogueBody,
    CataloguesBody,
    ControlBody,
    ControlRowBody,
    EvidenceBody,
    EvidencePageBody,
    MatrixBody,
    ProofBody,
)
from api.evidence.verification_schemas import (
    FoundThenBody,
    HistoryBody,
    VerificationsBody,
    VerificationTold,
    VerifiedBody,
    VerifyBody,
)
from udfs.evidence.pack import Disclosure
from udfs.evidence.records import Kind


class EvidenceQuery(TypedDict, total=False):
    """Which records. text: words that a record says. from_at inclusive, to_at exclusive."""

    framework: str
    control: str
    rule: str
    service: str
    text: str
    kind: Kind | Sequence[Kind]
    outcome: str | Sequence[str]
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of the tenant."""

    _to: Connection

    def each(
        self, *, verify: bool = True, limit: int | None = None, **chosen: Unpack[EvidenceQuery]
    ) -> Iterator[EvidenceBody]:
        """Yield sealed records, newest first. verify: look at each whether it is as sealed."""
        query = {**chosen, "verify": verify}
        return self._to.pages("/evidence/records", EvidencePageBody, limit=limit, query=query)

    def record(self, seq: int) -> RecordBody:
        """Return a record with its canonical bytes and the proof that it is in the log."""
        return self._to.ask("GET", "/evidence/records/{seq}", RecordBody, seq=seq)

    def verify(self, seq: int) -> ProofBody:
        """Verify a record; return what proves it."""
        return self._to.ask("GET", "/evidence/records/{seq}/verification", ProofBody, seq=seq)

    def verify_many(self, chosen: VerifyBody) -> VerifiedBody:
        """Verify up to 1,000 records, by number or by a filter. It is recorded."""
        return self._to.ask("POST", "/evidence/verifications", VerifiedBody, body=chosen)

    def verifications(self, *, limit: int | None = None) -> Iterator[VerificationTold]:
        """Yield verifications, newest first, without their findings."""
        return self._to.pages("/evidence/verifications", VerificationsBody, limit=limit)

    def verification(self, verification_id: UUID) -> VerifiedBody:
        """Return a verification with what it found of each record."""
        return self._to.ask(
            "GET",
            "/evidence/verifications/{verification_id}",
            VerifiedBody,
            verification_id=verification_id,
        )

    def verifications_of(self, seq: int, *, limit: int | None = None) -> Iterator[FoundThenBody]:
        """Yield what verifications found of a record, newest first."""
        return self._to.pages(
            "/evidence/records/{seq}/verifications", HistoryBody, limit=limit, seq=seq
        )

    def erase(self, seq: int) -> None:
        """Erase what is personal in a record, for ever. It is recorded."""
        self._to.do("DELETE", "/evidence/records/{seq}/payload", seq=seq)

    def controls(
        self,
        *,
        framework: str | None = None,
        without_days: int | None = None,
        from_day: date | None = None,
        to_day: date | None = None,
    ) -> MatrixBody:
        """Return what was seen of each control. without_days: only those without for so long."""
        query = {
            "framework": framework,
            "without_days": without_days,
            "from_day": from_day,
            "to_day": to_day,
        }
        return self._to.ask("GET", "/evidence/controls", MatrixBody, query=query)

    def control(
        self, control_id: str, *, from_day: date | None = None, to_day: date | None = None
    ) -> ControlRowBody:
        """Return what was seen of one control."""
        return self._to.ask(
            "GET",
            "/evidence/controls/{control_id}",
            ControlRowBody,
            query={"from_day": from_day, "to_day": to_day},
            control_id=control_id,
        )

    def catalogues(self) -> Sequence[CatalogueBody]:
        """Return every catalogue of controls."""
        return self._to.ask("GET", "/controls", CataloguesBody).items

    def described(self, control_id: str) -> ControlBody:
        """Return what a control asks for, and what traces can show of it."""
        return self._to.ask("GET", "/controls/{control_id}", ControlBody, control_id=control_id)

    def log(self) -> LogBody:
        """Return what the log is like: size, root, newest checkpoint, what is pending and why."""
        return self._to.ask("GET", "/evidence/log", LogBody)

    def checkpoints(
        self, *, before: int | None = None, limit: int | None = None
    ) -> Iterator[CheckpointBody]:
        """Yield signed heads of the log, the newest first. before: with a smaller number."""
        left = limit
        while left is None or left > 0:
            found = self._to.ask(
                "GET", "/evidence/checkpoints", CheckpointsBody, query={"before": before}
            )
            yield from found.items[:left]
            before = found.next_before
            if before is None:
                return
            left = None if left is None else left - len(found.items)

    def checkpoint(self, number: int) -> CheckpointBody:
        """Return one signed head."""
        return self._to.ask("GET", "/evidence/checkpoints/{number}", CheckpointBody, number=number)

    def consistency(self, *, old: int, size: int) -> ConsistencyBody:
        """Prove that the log of one size begins with what it was at another."""
        return self._to.ask(
            "GET", "/evidence/consistency", ConsistencyBody, query={"from": old, "to": size}
        )

    def export_pack(
        self,
        into: BinaryIO,
        *,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        frameworks: Sequence[str] = (),
        controls: Sequence[str] = (),
        disclosure: Disclosure = Disclosure.ALL,
        payloads: bool = True,
    ) -> int:
        """Write a pack that is checked offline into a file; return its bytes. It is recorded.

        Without frameworks and controls all records of the period are asked for.
        """
        body = {
            "frameworks": list(frameworks),
            "controls": list(controls),
            "disclosure": disclosure,
            "payloads": payloads,
            **given(**{"from": from_at, "to": to_at}),
        }
        return self._to.save("POST", "/evidence/export", into, body=body)

    def export_records(
        self,
        into: BinaryIO,
        *,
        form: Literal["jsonl", "json", "csv"] = "jsonl",
        **chosen: Unpack[EvidenceQuery],
    ) -> int:
        """Write sealed records into a file, in the order of the log; return its bytes."""
        return self._to.save("GET", "/evidence/export", into, query={**chosen, "format": form})

    def export_oscal(
        self,
        into: BinaryIO,
        framework: str,
        *,
        from_day: date | None = None,
        to_day: date | None = None,
    ) -> int:
        """Write the matrix of a framework as OSCAL assessment results; return its bytes."""
        query = {"framework": framework, "from_day": from_day, "to_day": to_day}
        return self._to.save("GET", "/evidence/oscal", into, query=query)

    def export_report(
        self,
        into: BinaryIO,
        *,
        framework: str | None = None,
        control: str | None = None,
        from_day: date | None = None,
        to_day: date | None = None,
    ) -> int:
        """Write a report of a framework or a control as PDF; return its bytes."""
        query = {
            "framework": framework,
            "control": control,
            "from_day": from_day,
            "to_day": to_day,
        }
        return self._to.save("GET", "/evidence/report", into, query=query)

    def targets(self) -> Sequence[TargetBody]:
        """Return where checkpoints go."""
        return self._to.ask("GET", "/evidence/targets", TargetListBody).items

    def target(self, target_id: UUID) -> TargetBody:
        """Return one place where checkpoints go."""
        return self._to.ask("GET", "/evidence/targets/{target_id}", TargetBody, target_id=target_id)

    def add_target(self, draft: TargetDraftBody) -> MadeTargetBody:
        """Let checkpoints go somewhere. A secret is told once."""
        return self._to.ask("POST", "/evidence/targets", MadeTargetBody, body=draft)

    def change_target(self, target_id: UUID, change: TargetChangeBody) -> MadeTargetBody:
        """Change how checkpoints go somewhere."""
        return self._to.ask(
            "PATCH",
            "/evidence/targets/{target_id}",
            MadeTargetBody,
            body=change,
            target_id=target_id,
        )

    def remove_target(self, target_id: UUID) -> None:
        """Let no checkpoint go there any more."""
        self._to.do("DELETE", "/evidence/targets/{target_id}", target_id=target_id)

    def send_newest(self, target_id: UUID) -> TriedBody:
        """Let the newest checkpoint go somewhere now."""
        return self._to.ask(
            "POST", "/evidence/targets/{target_id}/send", TriedBody, target_id=target_id
        )

    def anchored(self, *, limit: int | None = None) -> Iterator[AnchoredBody]:
        """Yield checkpoints with where they went, newest first."""
        return self._to.pages("/evidence/anchors", AnchoredPageBody, limit=limit)

    def save_stamp(self, into: BinaryIO, anchor_id: UUID) -> int:
        """Write what a time-stamping authority answered into a file; return its bytes."""
        return self._to.save(
            "GET", "/evidence/anchors/{anchor_id}/stamp", into, anchor_id=anchor_id
        )
