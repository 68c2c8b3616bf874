"""Signals into Postgres, and what was folded of them: one batch, one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from api.evidence.verdicts import offer_verdicts
from api.worker.database import WorkerConnection, statement
from api.worker.exceptions import decide_many
from api.worker.folding import (
    Folded,
    LogRecord,
    Poison,
    fold,
    is_of_many,
    storable,
    was_violated,
)
from api.worker.many import key_of, seen_of
from api.worker.storms import write_storms
from api.worker.trace_copy import fingerprint, to_json
from udfs.wire import betrace_pb2 as wire

log = structlog.get_logger(__name__)

_VERDICT_NAMES = {
    wire.VERDICT_UNSPECIFIED: None,
    wire.VERDICT_VIOLATED: "violated",
    wire.VERDICT_SATISFIED: "satisfied",
    wire.VERDICT_NOT_APPLICABLE: "not_applicable",
    wire.VERDICT_INCONCLUSIVE: "inconclusive",
}


_TAKES_BACK = (wire.VERDICT_SATISFIED, wire.VERDICT_NOT_APPLICABLE)
_EMPTY_ARRAY = "{}"
"""As COPY writes it; most arrays are empty, and adapting a list costs more than a text."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did to the database, for the counters."""

    rows: dict[str, int] = field(default_factory=dict)
    """Changed rows by table."""
    refused: dict[str, int] = field(default_factory=dict)
    """Signals not stored by reason."""
    poison: tuple[Poison, ...] = ()
    accounted: dict[str, int] = field(default_factory=dict)
    """What was added to the accounts of all tenants, by count."""
    unbalanced: int = 0
    """Accounts that do not add up."""


@dataclass(frozen=True, slots=True)
class SignalWriter:
    """Writes batches of the signals topic.

    copied_at_once: so many traces of a rule and hour of event time are copied without delay.
    evidence: whether what signals say for controls is handed over to be sealed.
    """

    copied_at_once: int = 100
    evidence: bool = False

    def write(self, connection: WorkerConnection, records: Sequence[LogRecord]) -> Written:
        """Merge a batch inside the caller's transaction.

        Doing it again, in other batches or in another order, leaves the same rows.
        Raises one of database.BAD_DATA if Postgres will not take some row.
        """
        folded = fold(records)
        rows: dict[str, int] = {}
        refused: Counter[str] = Counter()
        if folded.signals:
            rows["signals"] = self._write(connection, folded, refused)
        if folded.storms:
            rows["signal_folds"] = write_storms(connection, folded.storms, refused)
        return Written(rows, dict(refused), folded.poison)

    def _write(self, connection: WorkerConnection, folded: Folded, refused: Counter[str]) -> int:
        self._copy(connection, folded)
        left = len(folded.signals)
        for row in connection.execute(statement("refuse_signals")):
            refused[row["reason"]] += row["count"]
            left -= row["count"]
        changed = sum(self._merge(connection, number) for number in range(folded.rounds))
        if changed < left:  # some record was older than what is stored of its signal
            changed += connection.execute(statement("keep_earlier_facts")).rowcount
        if self.evidence:
            for refused_offer in offer_verdicts(connection):
                log.error(
                    "evidence.refused", id=refused_offer.offer.id, detail=refused_offer.detail
                )
        if any(signal.verdict in _TAKES_BACK for _, signal in folded.signals):
            connection.execute(statement("alert_heirs"))
        of_many = {(s.tenant, s.id): s for _, s in folded.signals if is_of_many(s)}
        if of_many:
            decide_many(connection, list(of_many.values()))
        if changed:
            connection.execute(statement("announce_tasks"))
        return changed

    def _copy(self, connection: WorkerConnection, folded: Folded) -> None:
        with connection.cursor().copy(statement("copy_signals")) as copy:
            for number, signal in folded.signals:
                copy.write_row(_row(number, signal))

    def _merge(self, connection: WorkerConnection, number: int) -> int:
        done = connection.execute(
            statement("merge_signals"), {"round": number, "copied_at_once": self.copied_at_once}
        ).fetchone()
        return int(done["inserted"] + done["updated"]) if done else 0


def _row(number: int, signal: wire.Signal) -> tuple[object, ...]:
    """Return a row in the order of the columns of statement copy_signals."""
    correction = signal.correction if signal.HasField("correction") else None
    return (
        number,
        signal.tenant,
        signal.id,
        signal.revision,
        signal.rule_id,
        signal.rule_version,
        storable(signal.rule_name),
        signal.severity,
        _array(signal.controls),
        _array(signal.tags),
        signal.shadow,
        _VERDICT_NAMES[signal.verdict],
        storable(signal.broken_clause),
        signal.incomplete,
        _array(signal.reasons),
        signal.trace_id or None,
        storable(signal.root_name),
        storable(signal.root_service),
        list(signal.witness_span_ids) or _EMPTY_ARRAY,
        signal.span_count,
        signal.first_span_ms,
        signal.last_span_ms,
        signal.closed_ms,
        signal.judged_ms,
        signal.partition,
        signal.first_offset,
        signal.last_offset,
        correction.replaces_revision if correction else None,
        _VERDICT_NAMES[correction.was] if correction else None,
        storable(correction.reason) if correction else None,
        was_violated(signal),
        *_groups(signal),
    )


def _groups(signal: wire.Signal) -> tuple[object, ...]:
    """Return many, services, group_values and group_fingerprint: of promises the copier tells."""
    if not is_of_many(signal):
        return None, _array([signal.root_service] if signal.root_service else []), "{}", None
    key = key_of(signal)
    services = [key["service"]] if key.get("service") else []
    group = fingerprint(signal.rule_id, key)
    return to_json(seen_of(signal)), _array(services), to_json(key), group


def _array(texts: Sequence[str]) -> list[str] | str:
    return [storable(text) for text in texts] if texts else _EMPTY_ARRAY
