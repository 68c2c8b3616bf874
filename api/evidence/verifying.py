"""Verifications that somebody asks for: of many records at once, and on record for ever.

What lists show as they are made is a look, and stays on no record. A verification is an act: who,
when, over what, and what was found of each record. It is written in the transaction that puts it on
the audit log, insert-only as the evidence itself, and sealed as an act.

One takes up to a thousand records, which fits into a request; of a filter that chooses more, the
answer says where to go on, so that whoever wants a year of records has them page by page, each page
with its own findings. All of a log at once is what packs are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from api.audit.origin import current_origin
from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Pool, queries, tenant_transaction
from api.evidence.exporting import query_of
from api.evidence.model import SealedRecord
from api.evidence.search import EvidenceFilter, record_of, search
from api.evidence.verification import Badge, Checked, Head, verify_records
from api.problems import not_found

RECORDS_MAX: Final = 1_000
PAGE_MAX: Final = 200
_STEP: Final = 100
"""Records of one transaction: 20 ms of work, after which other requests have their turn."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a record. code, reason: empty for a valid one."""

    seq: int
    badge: Badge
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A verification.

    asked: {"records": […]}, or a filter by its names with the cursor of its page. actor: as the
    audit log has it; actor_name: their address or the key's name, empty if they are gone. head_*:
    the checkpoint that records were followed to, None: there was none. counts: by badge.
    next_cursor: where the filter's next page begins, None: there is none.
    """

    id: UUID
    at: datetime
    actor: str
    actor_name: str
    acting: str
    asked: Mapping[str, Any]
    head_number: int | None
    head_size: int | None
    counts: Mapping[Badge, int]
    next_cursor: str | None

    @property
    def checked(self) -> int:
        """How many records were looked at."""
        return sum(self.counts.values())

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/evidence_verifications.sql."""
        return cls(
            id=row["id"],
            at=row["at"],
            actor=row["actor"],
            actor_name=row["actor_name"],
            acting=row["acting"],
            asked=row["asked"],
            head_number=row["head_number"],
            head_size=row["head_size"],
            counts={badge: row[f"{badge.value}_count"] for badge in Badge},
            next_cursor=row["next_cursor"],
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """A verification with what it found, the records that are not valid first."""

    verification: Verification
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class VerificationPage:
    """A page of verifications, newest first."""

    items: tuple[Verification, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundThen:
    """What a verification found of one record."""

    verification_id: UUID
    at: datetime
    actor: str
    actor_name: str
    acting: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of what was found of a record, newest first."""

    items: tuple[FoundThen, ...]
    next_cursor: str | None


async def verify_named(pool: Pool, scope: TenantScope, seqs: Sequence[int]) -> Verified:
    """Verify records by their places in the log, at most RECORDS_MAX, and put it on the record.

    One that is not there is no reason to refuse the others: it has a finding of its own.
    """
    wanted = sorted(set(seqs))
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("evidence").records(connection, seqs=wanted)
        there = [record_of(row) async for row in rows]
    findings, head = await _look(pool, scope, there)
    missing = set(wanted) - {one.seq for one in there}
    findings += [_missing(seq, head) for seq in sorted(missing)]
    return await _keep(pool, scope, {"records": wanted}, findings, head)


async def verify_chosen(
    pool: Pool,
    scope: TenantScope,
    chosen: EvidenceFilter,
    *,
    cursor: str | None = None,
    limit: int = RECORDS_MAX,
) -> Verified:
    """Verify the newest records that a filter chooses, and put it on the record.

    cursor: of the verification before, to go on. Raises ApiError 400 for a cursor that is none.
    """
    page = await search(pool, scope, chosen, cursor=cursor, limit=limit, with_total=False)
    findings, head = await _look(pool, scope, page.items)
    asked = {name: value for name, value in query_of(chosen).items() if value}
    if cursor:
        asked["cursor"] = cursor
    return await _keep(pool, scope, asked, findings, head, next_cursor=page.next_cursor)


async def list_verifications(
    pool: Pool, scope: TenantScope, *, cursor: str | None = None, limit: int = 50
) -> VerificationPage:
    """Return a page of verifications, newest first. Raises ApiError 400 for a cursor that is
    none."""
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("evidence_verifications").page(
            connection, before_at=before_at, before_id=before_id, limit=limit + 1
        )
        found = [Verification.from_row(row) async for row in rows]
    items = tuple(found[:limit])
    more = len(found) > limit
    return VerificationPage(items, encode_cursor(items[-1].at, items[-1].id) if more else None)


async def read_verification(pool: Pool, scope: TenantScope, verification_id: UUID) -> Verified:
    """Return a verification with its findings. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("evidence_verifications").one(connection, id=verification_id)
        if row is None:
            raise not_found("verification")
        rows = queries("evidence_verifications").results(connection, id=verification_id)
        findings = [_finding(each) async for each in rows]
    return Verified(Verification.from_row(row), tuple(findings))


async def history_of(
    pool: Pool, scope: TenantScope, seq: int, *, cursor: str | None = None, limit: int = 50
) -> HistoryPage:
    """Return what verifications found of a record, newest first; empty for one that none was of.

    Raises ApiError 400 for a cursor that is none.
    """
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("evidence_verifications").of_record(
            connection, seq=seq, before_at=before_at, before_id=before_id, limit=limit + 1
        )
        found = [
            FoundThen(
                verification_id=row["id"],
                at=row["at"],
                actor=row["actor"],
                actor_name=row["actor_name"],
                acting=row["acting"],
                finding=_finding({**row, "seq": seq}),
            )
            async for row in rows
        ]
    items = tuple(found[:limit])
    more = len(found) > limit
    after = encode_cursor(items[-1].at, items[-1].verification_id) if more else None
    return HistoryPage(items, after)


async def _look(
    pool: Pool, scope: TenantScope, records: Sequence[SealedRecord]
) -> tuple[list[Finding], Head | None]:
    """Look at records step by step; the head is that of the last step."""
    findings: list[Finding] = []
    head: Head | None = None
    for first in range(0, max(1, len(records)), _STEP):
        step = records[first : first + _STEP]
        found = await verify_records(pool, scope, step)
        head = found.head
        findings += [_found(one.seq, found.by_seq[one.seq]) for one in step]
    return findings, head


def _found(seq: int, checked: Checked) -> Finding:
    return Finding(seq, checked.badge, checked.code, checked.reason)


def _missing(seq: int, head: Head | None) -> Finding:
    size = head.checkpoint.size if head and head.checkpoint else 0
    if seq < size:
        return Finding(
            seq,
            Badge.INVALID,
            "record_missing",
            f"The newest checkpoint covers {size:,} records, and this one is not there any more.",
        )
    return Finding(seq, Badge.UNVERIFIED, "no_record", "The log has no record of this number.")


async def _keep(
    pool: Pool,
    scope: TenantScope,
    asked: Mapping[str, Any],
    findings: Sequence[Finding],
    head: Head | None,
    *,
    next_cursor: str | None = None,
) -> Verified:
    made = uuid4()
    counts = {badge: sum(one.badge is badge for one in findings) for badge in Badge}
    told = {f"{badge.value}_count": count for badge, count in counts.items()}
    named = asked.get("records")
    over = f"{len(named)} by number" if named is not None else _filters(asked)
    origin = current_origin()
    async with tenant_transaction(pool, scope) as connection:
        act = await record(
            connection,
            scope,
            "evidence.verified",
            f"verification:{made}",
            over=over,
            valid=counts[Badge.VALID],
            invalid=counts[Badge.INVALID],
            unsigned=counts[Badge.UNSIGNED],
            unverified=counts[Badge.UNVERIFIED],
        )
        await queries("evidence_verifications").add(
            connection,
            id=made,
            actor=origin.actor if origin else scope.actor,
            asked=Jsonb(asked),
            head_number=head.number if head else None,
            head_size=(head.checkpoint.size if head.checkpoint else 0) if head else None,
            next_cursor=next_cursor,
            act_id=act,
            **told,
        )
        await queries("evidence_verifications").add_results(
            connection,
            id=made,
            seqs=[one.seq for one in findings],
            badges=[one.badge.value for one in findings],
            codes=[one.code for one in findings],
            reasons=[one.reason[:1_000] for one in findings],
        )
        row = await queries("evidence_verifications").one(connection, id=made)
        rows = queries("evidence_verifications").results(connection, id=made)
        return Verified(Verification.from_row(row), tuple([_finding(each) async for each in rows]))


def _filters(asked: Mapping[str, Any]) -> str:
    """Return filters in a line, as the record of an export has them."""
    return " ".join(f"{k}={v}" for k, v in asked.items() if k != "cursor")[:300] or "everything"


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(row["seq"], Badge(row["badge"]), row["code"], row["reason"])
