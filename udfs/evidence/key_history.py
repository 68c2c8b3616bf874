"""Which keys a log has had, and for which checkpoints each of them counts, read off its records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from udfs.evidence.pack import LogKey
from udfs.evidence.records import KeyChange, KeyEvent, Record


def key_history(records: Iterable[Record]) -> list[LogKey]:
    """Return the keys in the order in which they came; records of other kinds are passed over."""
    keys: list[LogKey] = []
    for record in records:
        if isinstance(record.body, KeyChange):
            keys = _after(keys, record.seq, record.body)
    return keys


def _after(keys: list[LogKey], seq: int, change: KeyChange) -> list[LogKey]:
    if change.event is KeyEvent.REVOKED:
        return [
            replace(key, revoked_since=change.since_size)
            if key.verifier_key == change.verifier_key
            else key
            for key in keys
        ]
    before = [key if key.retired is not None else replace(key, retired=seq) for key in keys]
    return [*before, LogKey(change.verifier_key, seq, change.endorsement)]
