"""Storms of signals, folded: the first ones of a minute are written whole, the others counted.

Counted is by tenant, lane, version of a rule and minute of event time of the judgement. Once a
violation was folded, nothing is ever written of it alone, whatever becomes of its trace: a
correction is counted in the minute in which it was judged. So a consumer never hears that a signal
is withdrawn which it has not seen, and

    raised + renewed - withdrawn, over all records = folded violations that stand

A record is a function of the log: it is written at the ticks of the accounts while it grows, the
last time when its minute is over, and named by its lane and minute.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from dsl import Verdict
from udfs.accounts import MINUTE_MS
from udfs.rulebook import FOLD_NEVER
from udfs.signals import REVISIONS_PER_MS, fold_id
from udfs.wire import betrace_pb2 as wire

if TYPE_CHECKING:
    from udfs.rulebook import Rule

MAX_EXAMPLES = 5
"""Traces that a record names."""

_U16 = Struct("<H")
_U32 = Struct("<I")
_NUMBERS = Struct("<II")
_FOLD_HEAD = Struct("<BI")


class Folds:
    """What a lane writes whole, and what it folds, of one tenant's signals in this minute."""

    def __init__(self, *, lane: int, tenant: str) -> None:
        self._lane = lane
        self._tenant = tenant
        self._whole: dict[tuple[str, int], int] = {}
        """By rule id and version: how many were written whole."""
        self._folds: dict[tuple[str, int], wire.Signal] = {}
        self._grown: set[tuple[str, int]] = set()

    def takes(self, rule: Rule, *, fold_after: int) -> bool:
        """Tell whether a new violation is folded. One that is not counts as written whole."""
        if fold_after >= FOLD_NEVER:
            return False
        key = (rule.id, rule.version)
        whole = self._whole.get(key, 0)
        if whole >= fold_after:
            return True
        self._whole[key] = whole + 1
        return False

    def count(
        self, rule: Rule, trace_id: bytes, *, was: Verdict | None, verdict: Verdict, now_ms: int
    ) -> None:
        """Count what a folded violation has become. was: None for a new one."""
        stood, stands = was is Verdict.VIOLATED, verdict is Verdict.VIOLATED
        if stood == stands:
            return
        key = (rule.id, rule.version)
        signal = self._folds.get(key)
        if signal is None:
            signal = self._folds[key] = self._begun(rule, now_ms)
        self._grown.add(key)
        fold = signal.fold
        if was is None:
            fold.raised += 1
            fold.first_judged_ms = fold.first_judged_ms or now_ms
            fold.last_judged_ms = now_ms
            if len(fold.example_trace_ids) < MAX_EXAMPLES:
                fold.example_trace_ids.append(trace_id)
        elif stands:
            fold.renewed += 1
        else:
            fold.withdrawn += 1

    def tick(self, tick_ms: int) -> list[tuple[bytes, bytes]]:
        """Come to a multiple of TICK_MS: return (id, Signal bytes) of what has grown, by rule."""
        said: list[tuple[bytes, bytes]] = []
        for key in sorted(self._grown):
            signal = self._folds[key]
            signal.revision = tick_ms * REVISIONS_PER_MS
            said.append((signal.id, signal.SerializeToString(deterministic=True)))
        self._grown.clear()
        if tick_ms % MINUTE_MS == 0:
            self._whole.clear()
            self._folds.clear()
        return said

    def _begun(self, rule: Rule, now_ms: int) -> wire.Signal:
        minute_ms = now_ms // MINUTE_MS * MINUTE_MS
        record = rule.record
        identity = fold_id(
            tenant=self._tenant,
            rule_id=rule.id,
            version=rule.version,
            lane=self._lane,
            minute_ms=minute_ms,
        )
        return wire.Signal(
            id=identity,
            tenant=self._tenant,
            rule_id=rule.id,
            rule_version=rule.version,
            rule_name=record.name,
            severity=record.severity,
            controls=record.controls,
            tags=record.tags,
            shadow=record.state == wire.RULE_STATE_SHADOW,
            fold=wire.Fold(lane=self._lane, minute_ms=minute_ms),
        )

    def pack(self) -> bytes:
        """Return the current minute as bytes, for a snapshot; none if nothing was said in it.

        u32 count, each: u16 length, rule id, u32 version, u32 written whole
        then of each record: u8 whether it grew since the last tick, u32 length, Signal message
        """
        if not self._whole and not self._folds:
            return b""
        parts = [_U32.pack(len(self._whole))]
        for (rule_id, version), whole in self._whole.items():
            name = rule_id.encode()
            parts += (_U16.pack(len(name)), name, _NUMBERS.pack(version, whole))
        for key, signal in self._folds.items():
            message = signal.SerializeToString(deterministic=True)
            parts += (_FOLD_HEAD.pack(key in self._grown, len(message)), message)
        return b"".join(parts)

    def restore(self, packed: bytes) -> None:
        """Take the minute from `pack`."""
        at = _U32.size
        for _ in range(_U32.unpack_from(packed)[0]):
            end = at + _U16.size + _U16.unpack_from(packed, at)[0]
            rule_id = packed[at + _U16.size : end].decode()
            version, whole = _NUMBERS.unpack_from(packed, end)
            self._whole[rule_id, version] = whole
            at = end + _NUMBERS.size
        while at < len(packed):
            grown, length = _FOLD_HEAD.unpack_from(packed, at)
            at += _FOLD_HEAD.size
            signal = wire.Signal.FromString(packed[at : at + length])
            key = (signal.rule_id, signal.rule_version)
            self._folds[key] = signal
            if grown:
                self._grown.add(key)
            at += length
