"""Accounting and dead letters into Postgres."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from api.worker.database import WorkerConnection, statement
from api.worker.folding import (
    MAX_BIGINT,
    MAX_INTEGER,
    LogRecord,
    Poison,
    is_tenant,
    storable,
)
from api.worker.redaction import Letters
from api.worker.signals import Written
from udfs.accounts import adds_up
from udfs.wire import betrace_pb2 as wire

MAX_CONTENT_BYTES = 16 * 1024
OVER_BUDGET = {"minutes": 10, "least_minutes": 3, "least_judgements": 100, "least_share": 0.1}
"""When a rule is put into quarantine: if in the last so many minutes of event time its budget ran
out in at least so many of them, and in more than so many judgements or more than such a share. A
single giant trace, or a burst of them, is no reason; a rule that keeps giving no answer is one."""
_LAST_MS = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class AccountingWriter:
    """Writes batches that hold records of the topics of accounting and of dead letters."""

    stats_topic: str
    letters_topic: str
    letters: Letters

    def write(self, connection: WorkerConnection, records: Sequence[LogRecord]) -> Written:
        """Merge a batch inside the caller's transaction; again is harmless.

        Raises one of database.BAD_DATA if Postgres will not take some row.
        """
        stats, poison = _decoded_stats(r for r in records if r.topic == self.stats_topic)
        letters = [r for r in records if r.topic == self.letters_topic]
        rows: dict[str, int] = {}
        accounted: dict[str, int] = {}
        if stats:
            accounted = _write_stats(connection, stats, rows)
        if letters:
            rows["dead_letters"] = _write_letters(connection, letters, self.letters)
        unbalanced = sum(not adds_up(each) for each in stats)
        return Written(rows, {}, tuple(poison), accounted, unbalanced)


def _decoded_stats(records: Iterable[LogRecord]) -> tuple[list[wire.Stats], list[Poison]]:
    decoded: list[wire.Stats] = []
    poison: list[Poison] = []
    for record in records:
        try:
            stats = wire.Stats.FromString(record.value or b"")
        except DecodeError as error:
            poison.append(Poison(record, "stats.malformed", str(error)))
            continue
        problem = _problem_of(stats)
        if problem is None:
            decoded.append(stats)
        else:
            poison.append(Poison(record, "stats.invalid", problem))
    return decoded, poison


def _problem_of(stats: wire.Stats) -> str | None:
    if not is_tenant(stats.tenant):
        return "tenant is not a UUID in lower case with hyphens"
    if not 0 <= stats.minute_ms <= _LAST_MS:
        return f"minute_ms is {stats.minute_ms}"
    if stats.revision > MAX_BIGINT or stats.lane > MAX_INTEGER:
        return "revision or lane is out of range"
    if max(stats.open, stats.open_before) > MAX_BIGINT:
        return "open spans are over 2^63 - 1"
    for rule in stats.rules:
        if not rule.rule_id or "\0" in rule.rule_id or rule.version > MAX_INTEGER:
            return "a rule has no usable id or version"
        if max(_counts(rule)) > MAX_BIGINT:
            return "a count is over 2^63 - 1"
    return None


def _write_stats(
    connection: WorkerConnection, stats: Sequence[wire.Stats], rows: dict[str, int]
) -> dict[str, int]:
    """Merge accounts. Notes in rows what changed; returns what was added to each count."""
    minutes: dict[tuple[str, int, int], wire.Stats] = {}
    rules: dict[tuple[str, str, int, int, int], tuple[int, wire.RuleStats]] = {}
    for each in sorted(stats, key=lambda s: s.revision):
        minutes[each.tenant, each.minute_ms, each.lane] = each
        for rule in each.rules:
            key = (each.tenant, rule.rule_id, rule.version, each.minute_ms, each.lane)
            rules[key] = (each.revision, rule)
    with connection.cursor().copy(statement("copy_stats")) as copy:
        for minute, newest in minutes.items():
            counts = {storable(name): count for name, count in sorted(newest.counts.items())}
            copy.write_row((*minute, newest.revision, json.dumps(counts), *_open_spans(newest)))
    merged = connection.execute(statement("merge_stats")).fetchall()
    rows["stats_minutes"] = len(merged)
    if rules:
        with connection.cursor().copy(statement("copy_rule_stats")) as copy:
            for key, (revision, rule) in rules.items():
                copy.write_row((*key, revision, *_counts(rule)))
        rows["rule_stats_minutes"] = connection.execute(statement("merge_rule_stats")).rowcount
        if any(rule.over_budget for _, rule in rules.values()):
            noted = connection.execute(statement("note_over_budget"), OVER_BUDGET).rowcount
            rows["notices"] = noted
    accounted: Counter[str] = Counter()
    for row in merged:
        accounted.update(row["now"])
        accounted.subtract(row["before"])
    return dict(accounted)


def _open_spans(stats: wire.Stats) -> tuple[int | None, int | None]:
    return (stats.open_before, stats.open) if stats.HasField("open") else (None, None)


def _counts(rule: wire.RuleStats) -> tuple[int, ...]:
    """Return the counts of a rule in the order of the columns of statement copy_rule_stats."""
    return (
        rule.violated,
        rule.satisfied,
        rule.not_applicable,
        rule.inconclusive,
        rule.over_budget,
        rule.failed,
    )


def _write_letters(
    connection: WorkerConnection, records: Sequence[LogRecord], redaction: Letters
) -> int:
    with connection.cursor().copy(statement("copy_letters")) as copy:
        for record in records:
            letter = _letter(record)
            redaction.redact(letter)
            copy.write_row(
                (
                    record.partition,
                    record.offset,
                    letter.tenant if is_tenant(letter.tenant) else None,
                    storable(letter.source),
                    storable(letter.code),
                    storable(letter.detail),
                    storable(letter.topic),
                    min(letter.partition, MAX_INTEGER),
                    letter.offset,
                    letter.content[:MAX_CONTENT_BYTES],
                    max(record.timestamp, 0),
                )
            )
    return connection.execute(statement("merge_letters")).rowcount


def _letter(record: LogRecord) -> wire.DeadLetter:
    """Return the letter in a record; one that cannot be read is a letter about itself."""
    try:
        return wire.DeadLetter.FromString(record.value or b"")
    except DecodeError as error:
        return wire.DeadLetter(
            source="worker",
            code="letter.malformed",
            detail=str(error),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            content=(record.value or b"")[:MAX_CONTENT_BYTES],
        )
