"""A log of `tests.support.evidence` put into Postgres, as the sequencer leaves one."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
from psycopg import Connection

from tests.support.evidence import EvidenceLog
from tests.support.postgres import Database
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import (
    Act,
    ComplianceSpan,
    Coverage,
    KeyChange,
    Record,
    RuleVerdict,
)
from udfs.evidence.tree import leaf_hash

DAY_MS = 86_400_000


def store_log(database: Database, log: EvidenceLog, *, first: int = 0, heads: int = 0) -> None:
    """Store records from one on, every node, and checkpoints from one on.

    The tenant of the log is there already. Equal to what the sequencer stores, column by column.
    """
    with psycopg.connect(database.admin) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [log.tenant])
        if not first:
            connection.execute(
                "insert into evidence_logs (tenant_id, origin) values (%s, %s)",
                [log.tenant, log.origin],
            )
        _records(connection, log, log.records[first:])
        connection.execute(
            "update evidence_logs set root = %s, edge = %s where tenant_id = %s",
            [log.frontier.root(), b"".join(log.frontier.edge), log.tenant],
        )
        _nodes(connection, log)
        _checkpoints(connection, log, heads)


def _records(connection: Connection, log: EvidenceLog, records: list[Record]) -> None:
    rows = [_row(log, record) for record in records]
    with connection.cursor() as cursor:
        # One statement, so that the trigger which counts sees them follow each other.
        cursor.execute("create temporary table given (like evidence_records) on commit drop")
        cursor.executemany(
            "insert into given values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
        cursor.execute("insert into evidence_records select * from given order by seq")
        cursor.execute("drop table given")
        _controls(cursor, log.tenant, records)
        cursor.executemany(
            "insert into evidence_coverage (tenant_id, rule_id, control, from_ms, to_ms, seq,"
            " rule_version, judged, satisfied, violated, inconclusive, late, dropped)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [_coverage(log.tenant, record) for record in records if _is_coverage(record)],
        )
        cursor.executemany(
            "insert into evidence_payloads (tenant_id, seq, payload, salt) values (%s, %s, %s, %s)",
            [
                (log.tenant, one.seq, log.payloads[one.seq].text, log.payloads[one.seq].salt)
                for one in records
                if one.seq in log.payloads
            ],
        )


def _row(log: EvidenceLog, record: Record) -> tuple[object, ...]:
    line = encode_record(record)
    rule = record.body.rule if isinstance(record.body, RuleVerdict | Coverage) else None
    trace = getattr(record.body, "trace_id", "")
    return (
        log.tenant,
        record.seq,
        record.kind.value,
        record.id,
        record.time_ms,
        record.time_ms + 1_000,
        list(record.controls),
        outcome_of(record),
        rule.id if rule else None,
        rule.version if rule else None,
        bytes.fromhex(trace) if trace else None,
        record.policy,
        record.seq in log.payloads or record.seq in log.erased,
        leaf_hash(line),
        line,
    )


def outcome_of(record: Record) -> str:
    """Return a record's outcome as the sequencer writes it into its column."""
    match record.body:
        case ComplianceSpan() | Act() as told:
            return told.outcome.value
        case RuleVerdict() as judged:
            return judged.verdict.value
        case KeyChange() as change:
            return change.event.value
        case Coverage() as covered:
            for name in ("violated", "inconclusive", "satisfied"):
                if getattr(covered, name):
                    return name
            return "none"


def _controls(cursor: psycopg.Cursor, tenant: str, records: list[Record]) -> None:
    rows = [
        (tenant, control, one.time_ms, one.seq, one.kind.value, outcome_of(one))
        for one in records
        for control in one.controls
    ]
    cursor.executemany("insert into evidence_controls values (%s, %s, %s, %s, %s, %s)", rows)
    cursor.executemany(
        "insert into evidence_totals as t (tenant_id, control, day, rule_id, kind, outcome,"
        " record_count, first_ms, last_ms, last_seq)"
        " values (%s, %s, date '1970-01-01' + %s::integer, %s, %s, %s, 1, %s, %s, %s)"
        " on conflict on constraint evidence_totals_pkey do update set"
        " record_count = t.record_count + 1, first_ms = least(t.first_ms, excluded.first_ms),"
        " last_ms = greatest(t.last_ms, excluded.last_ms), last_seq = excluded.last_seq",
        [
            (
                *(tenant, control, one.time_ms // DAY_MS, _rule_id(one), one.kind.value),
                *(outcome_of(one), one.time_ms, one.time_ms, one.seq),
            )
            for one in records
            for control in one.controls or ("",)
        ],
    )


def _rule_id(record: Record) -> str:
    return record.body.rule.id if isinstance(record.body, RuleVerdict | Coverage) else ""


def _is_coverage(record: Record) -> bool:
    return isinstance(record.body, Coverage)


def _coverage(tenant: str, record: Record) -> tuple[object, ...]:
    body = record.body
    assert isinstance(body, Coverage)
    return (
        *(tenant, body.rule.id, record.controls[0], body.from_ms, body.to_ms, record.seq),
        *(body.rule.version, body.judged, body.satisfied, body.violated, body.inconclusive),
        *(body.late, body.dropped),
    )


def _nodes(connection: Connection, log: EvidenceLog) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into evidence_nodes values (%s, %s, %s, %s) on conflict do nothing",
            [
                (log.tenant, node.level, node.number, hashed)
                for node, hashed in log.hashes.nodes.items()
                if node.level >= 4
            ],
        )


def _checkpoints(connection: Connection, log: EvidenceLog, first: int) -> None:
    # Only the newest may be of the size that the log has: the others are as they were made.
    connection.execute(
        "alter table evidence_checkpoints disable trigger evidence_checkpoints_follow"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into evidence_checkpoints (tenant_id, number, size, root, time_ms, key_id,"
            " note) values (%s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(log.tenant, first + number, head.size, head.root, head.time_ms),
                    *(uuid4(), sealed.note.decode()),
                )
                for number, (head, sealed) in enumerate(
                    zip(log.heads[first:], log.checkpoints[first:], strict=True), 1
                )
            ],
        )
    connection.execute(
        "alter table evidence_checkpoints enable trigger evidence_checkpoints_follow"
    )


def log_of(tenant: UUID) -> EvidenceLog:
    """Return an empty log in memory for a tenant that is there."""
    return EvidenceLog(tenant=str(tenant))
