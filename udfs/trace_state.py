"""What is known of one trace, and its bytes in Flink state.

u8  format (1; 2 where something is said or kept of single spans; 3 where signals were handed on;
    4 where signals were folded; 5 where the trace may begin outside of what its tenant exports, or
    a predicate failed on one of its spans),
u8  flags (see below)
i64 begin, i64 last, i64 due (ms of event time), i32 longest quiet already judged
u32 spans received, u16 partition, i64 first offset, i64 last offset
u16 length, mask of predicates that hold; u16 length, mask of those that might hold
[ROOT]    i64 start ns, 8s span id, u16 length, name, u16 length, service
[EXTENT]  i64 earliest start ns, i64 latest end ns
[COUNTED] u32 count, each: u32 number, 8s span id, u32 identity, u8 certain
[EMITTED] u16 count, each: u16 length, rule id, u64 revision, u8 verdict, u8 broken clause,
          u8 incomplete, u16 length, reasons with commas
          from format 2 on after `incomplete`: u64 digest of the bindings that were said, 0 for none
          from format 3 on at its end: u16 length, what was handed on (udfs.handing)
          from format 4 on behind that: u8 whether it was folded
[KEPT]    what is kept of single spans (udfs.kept_trace); format 2
[WAITING] u16 count, each: u16 length, rule id: rules that have not judged yet; format 2
          in format 5 at the end: u16 length, mask of predicates that failed; unless a root came or
          traces begin within what is exported, what may stand for its root (udfs.external_root)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from dsl import Reason, Verdict
from dsl.structure import NO_STRUCTURE, TraceStructure
from udfs.external_root import Beginnings, unpack_beginnings
from udfs.facts import Called, pack_mask
from udfs.kept_trace import MAX_LINKS, KeptTrace, unpack_kept

PLAIN_FORMAT = 1
FORMAT = 2
HANDED_FORMAT = 3
FOLDED_FORMAT = 4
RARE_FORMAT = 5
MAX_COUNTED = 10_000
"""Counted spans kept per trace; over it the trace is truncated."""

_ROOT = 1
_EXTENT = 2
_COUNTED = 4
_EMITTED = 8
_CLOSED = 16
_TRUNCATED = 32
_KEPT = 64
_WAITING = 128

_HEAD = Struct("<BBqqqiIHqq")
_ROOT_HEAD = Struct("<q8s")
_TWO_TIMES = Struct("<qq")
_COUNTED_ITEM = Struct("<I8sIB")
_EMITTED_ITEM = {
    PLAIN_FORMAT: Struct("<QBBB"),
    FORMAT: Struct("<QBBBQ"),
    HANDED_FORMAT: Struct("<QBBBQ"),
    FOLDED_FORMAT: Struct("<QBBBQ"),
    RARE_FORMAT: Struct("<QBBBQ"),
}
_U16 = Struct("<H")
_U32 = Struct("<I")
_VERDICTS = (
    Verdict.VIOLATED,
    Verdict.SATISFIED,
    Verdict.NOT_APPLICABLE,
    Verdict.INCONCLUSIVE,
)
_BROKEN = ("", "always", "never")
NOBODY: frozenset[str] = frozenset()
_NO_DOUBT: frozenset[Reason] = frozenset()


class TraceRoot:
    """The root span: of several spans without a parent the one that started first."""

    __slots__ = ("name", "service", "span_id", "start_ns")

    def __init__(self, start_ns: int, span_id: bytes, name: str, service: str) -> None:
        self.start_ns = start_ns
        self.span_id = span_id
        self.name = name
        self.service = service

    def comes_before(self, other: TraceRoot) -> bool:
        """Tell which started first. Of equal starts and ids name and service decide."""
        if self.start_ns != other.start_ns:
            return self.start_ns < other.start_ns
        own = (self.span_id, self.name, self.service)
        return own < (other.span_id, other.name, other.service)


FORGOTTEN_ROOT = TraceRoot(2**63 - 1, bytes(8), "", "")
"""Stands for the root of a closed trace of which nothing else was kept."""


class Emitted(NamedTuple):
    """What was last said of a rule and a trace on the signals topic.

    bindings: digest of the combinations of bound spans, 0 for none. handed: what rules over many
    traces were told of it. folded: it was not said by itself but counted (udfs.folds).
    """

    revision: int
    verdict: Verdict
    broken: str
    incomplete: bool
    reasons: tuple[Reason, ...]
    bindings: int = 0
    handed: bytes = b""
    folded: bool = False

    @property
    def content(self) -> tuple[Verdict, str, bool, tuple[Reason, ...], int]:
        """What must differ for a new revision to be worth its while."""
        return self[1:6]


class TraceState:
    """One trace of one tenant; fulfils what judging asks of a trace (dsl.TraceView).

    kept: its spans one by one, where rules ask for that. beginnings: what may stand for its root,
    while none has come and traces may begin outside. waiting: ids of the rules whose first verdict
    is still to come although the trace was closed. failed: mask of predicates that met an error
    on one of its spans. weighed_bytes: what was last made of
    `weight_bytes`. external_root, complete, in_doubt, now_ms, settle_ms and clock_skew_ms belong to
    the judgement at hand and are not stored.
    """

    __slots__ = (
        "begin_ms",
        "beginnings",
        "clock_skew_ms",
        "closed_before",
        "complete",
        "counted",
        "due_ms",
        "emitted",
        "extent_ns",
        "external_root",
        "failed",
        "first_offset",
        "in_doubt",
        "judged_quiet_ms",
        "kept",
        "last_ms",
        "last_offset",
        "maybe",
        "now_ms",
        "partition",
        "root",
        "settle_ms",
        "spans",
        "true",
        "truncated",
        "waiting",
        "weighed_bytes",
    )

    def __init__(self, *, begin_ms: int, partition: int, offset: int) -> None:
        self.begin_ms = begin_ms
        self.last_ms = begin_ms
        self.due_ms = 0
        self.judged_quiet_ms = -1
        self.spans = 0
        self.partition = partition
        self.first_offset = offset
        self.last_offset = offset
        self.true = 0
        self.maybe = 0
        self.failed = 0
        self.root: TraceRoot | None = None
        self.extent_ns: tuple[int, int] | None = None
        self.counted: dict[int, dict[tuple[bytes, int], bool]] | None = None
        self.kept: KeptTrace | None = None
        self.beginnings: Beginnings | None = None
        self.external_root: Called | None = None
        self.emitted: dict[str, Emitted] | None = None
        self.waiting: frozenset[str] = NOBODY
        self.closed_before = False
        self.truncated = False
        self.complete = False
        self.in_doubt = _NO_DOUBT
        self.now_ms = begin_ms
        self.settle_ms = 0
        self.clock_skew_ms = 0
        self.weighed_bytes = 0

    @property
    def weight_bytes(self) -> int:
        """How many bytes its spans take in Flink state: what grows with their number."""
        weight = 0 if self.kept is None else self.kept.weight_bytes
        if self.counted is not None:
            weight += _COUNTED_ITEM.size * sum(map(len, self.counted.values()))
        if self.beginnings is not None:
            weight += self.beginnings.weight_bytes
        return weight

    def count(self, number: int) -> tuple[int, int]:
        """Return how many distinct spans certainly, and how many possibly, fulfil a predicate."""
        spans = self.counted.get(number) if self.counted else None
        if not spans:
            return 0, 0
        certain = sum(spans.values())
        return certain, len(spans)

    @property
    def structure(self) -> TraceStructure | None:
        """The spans kept one by one, as of the judgement at hand."""
        if self.kept is None:
            return NO_STRUCTURE
        return self.kept.structure(
            now_ms=self.now_ms,
            settle_ms=self.settle_ms,
            clock_skew_ms=self.clock_skew_ms,
            caller_id=self.external_root.parent_id if self.external_root else None,
        )

    @property
    def is_large(self) -> bool:
        """Whether so much is kept that it is judged only when it is closed."""
        return self.kept is not None and self.kept.is_large

    @property
    def root_at_hand(self) -> TraceRoot | None:
        """The root, or what stands for it in the judgement at hand."""
        if self.root is not None or self.external_root is None:
            return self.root
        span = self.external_root
        return TraceRoot(span.start_ns, span.span_id, span.name, span.service)

    @property
    def root_name(self) -> str | None:
        """The name of the root span, None if it was not seen."""
        root = self.root_at_hand
        return root.name if root else None

    @property
    def root_service(self) -> str | None:
        """The service of the root span, None if it was not seen."""
        root = self.root_at_hand
        return root.service if root else None

    @property
    def has_orphans(self) -> bool:
        """Whether the parent of some span did not come, and is not outside; False without links."""
        if self.kept is None:
            return False
        return self.kept.has_orphans(
            caller_id=self.external_root.parent_id if self.external_root else None
        )

    def add_root(self, root: TraceRoot) -> None:
        """Take in a span without a parent."""
        if self.root is None or root.comes_before(self.root):
            self.root = root
        self.beginnings = self.external_root = None

    def add_arrivals(self, ids: bytes, called: Sequence[Called], *, room: bool = True) -> None:
        """Keep what may tell the external root, unless a root has come."""
        if self.root is not None:
            return
        if self.beginnings is None:
            self.beginnings = Beginnings()
        if not self.beginnings.add(ids, called, room=room):
            self.truncated = True

    def add_counted(
        self, number: int, span_id: bytes, identity: int, *, certain: bool, room: bool = True
    ) -> None:
        """Take in a span counted by a predicate, or perhaps: the first of equal ones holds.

        room: False if nothing may be added, whatever the trace's own limits.
        """
        if self.counted is None:
            self.counted = {}
        spans = self.counted.get(number)
        if spans is None:
            spans = self.counted[number] = {}
        key = (span_id, identity)
        if key in spans:
            return
        if not room or sum(map(len, self.counted.values())) >= MAX_COUNTED:
            self.truncated = True
            return
        spans[key] = certain

    def add_extent(self, start_ns: int, end_ns: int) -> bool:
        """Widen the extent of the trace's spans. Returns whether it is wider now."""
        before = self.extent_ns
        if before is None:
            self.extent_ns = (start_ns, end_ns)
            return True
        if before[0] <= start_ns and end_ns <= before[1]:
            return False
        self.extent_ns = (min(before[0], start_ns), max(before[1], end_ns))
        return True

    def add_member(self, member: bytes, *, arrived_ms: int, room: bool = True) -> bool:
        """Keep a span. Returns whether anything is new: the first taken in holds."""
        if self.kept is None:
            self.kept = KeptTrace()
        if self.kept.knows(member):
            return False
        if not room or not self.kept.add_member(member, arrived_ms=arrived_ms):
            self.truncated = True
        return True

    @property
    def keeps_members(self) -> bool:
        """Whether any span is kept itself, and not only its link."""
        return self.kept is not None and self.kept.has_members

    def add_links(self, chain: bytes, *, room: bool = True) -> None:
        """Keep the links of spans."""
        if self.kept is None:
            self.kept = KeptTrace()
        if not self.kept.add_links(chain, most=MAX_LINKS if room else 0):
            self.truncated = True

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its beginning matters once it is closed."""
        return not (
            self.true
            or self.maybe
            or self.root is None
            or self.emitted
            or self.counted
            or self.extent_ns
            or self.kept
            or self.truncated
        )

    @property
    def _format(self) -> int:
        if self.beginnings is not None or self.failed:
            return RARE_FORMAT
        if self.emitted and any(said.folded for said in self.emitted.values()):
            return FOLDED_FORMAT
        if self.emitted and any(said.handed for said in self.emitted.values()):
            return HANDED_FORMAT
        if self.kept is not None or self.waiting:
            return FORMAT
        if self.emitted and any(said.bindings for said in self.emitted.values()):
            return FORMAT
        return PLAIN_FORMAT

    def pack(self) -> bytes:
        """Return the trace as bytes; see the head of this file."""
        root, extent, counted, emitted = self.root, self.extent_ns, self.counted, self.emitted
        version = self._format
        flags = (
            (_ROOT if root else 0)
            | (_EXTENT if extent else 0)
            | (_COUNTED if counted else 0)
            | (_EMITTED if emitted else 0)
            | (_CLOSED if self.closed_before else 0)
            | (_TRUNCATED if self.truncated else 0)
            | (_KEPT if self.kept else 0)
            | (_WAITING if self.waiting else 0)
        )
        parts = [
            _HEAD.pack(
                version,
                flags,
                self.begin_ms,
                self.last_ms,
                self.due_ms,
                self.judged_quiet_ms,
                min(self.spans, 0xFFFFFFFF),
                self.partition,
                self.first_offset,
                self.last_offset,
            ),
            _sized_mask(self.true),
            _sized_mask(self.maybe),
        ]
        if root:
            parts.append(_ROOT_HEAD.pack(root.start_ns, root.span_id))
            parts += (_sized_text(root.name), _sized_text(root.service))
        if extent:
            parts.append(_TWO_TIMES.pack(*extent))
        if counted:
            items = [
                _COUNTED_ITEM.pack(number, span_id, identity, certain)
                for number, spans in counted.items()
                for (span_id, identity), certain in spans.items()
            ]
            parts += [_U32.pack(len(items)), *items]
        if emitted:
            parts += _pack_emitted(emitted, version)
        if self.kept:
            parts.append(self.kept.pack())
        if self.waiting:
            parts.append(_U16.pack(len(self.waiting)))
            parts += (_sized(rule_id.encode()) for rule_id in sorted(self.waiting))
        if version == RARE_FORMAT:
            parts.append(_sized_mask(self.failed))
        if self.beginnings:
            parts.append(self.beginnings.pack())
        return b"".join(parts)


def _pack_emitted(emitted: dict[str, Emitted], version: int) -> Iterator[bytes]:
    yield _U16.pack(len(emitted))
    item = _EMITTED_ITEM[version]
    digests = version != PLAIN_FORMAT
    for rule_id, said in emitted.items():
        yield _sized(rule_id.encode())
        verdict, broken = _VERDICTS.index(said.verdict), _BROKEN.index(said.broken)
        bindings = (said.bindings,) if digests else ()
        yield item.pack(said.revision, verdict, broken, said.incomplete, *bindings)
        yield _sized(",".join(said.reasons).encode())
        if version >= HANDED_FORMAT:
            yield _sized(said.handed)
        if version >= FOLDED_FORMAT:
            yield bytes((said.folded,))


def unpack_trace(packed: bytes) -> TraceState:
    """Return the trace in these bytes. Raises ValueError for another format."""
    if not packed or not PLAIN_FORMAT <= packed[0] <= RARE_FORMAT:
        found = packed[:1].hex() or "none"
        raise ValueError(f"trace state of format {found}; this build reads 1 to {RARE_FORMAT}")
    (
        version,
        flags,
        begin_ms,
        last_ms,
        due_ms,
        judged_quiet_ms,
        spans,
        partition,
        first_offset,
        last_offset,
    ) = _HEAD.unpack_from(packed)
    trace = TraceState(begin_ms=begin_ms, partition=partition, offset=first_offset)
    trace.last_ms = last_ms
    trace.due_ms = due_ms
    trace.judged_quiet_ms = judged_quiet_ms
    trace.spans = spans
    trace.last_offset = last_offset
    trace.closed_before = bool(flags & _CLOSED)
    trace.truncated = bool(flags & _TRUNCATED)
    true, at = _take(packed, _HEAD.size)
    maybe, at = _take(packed, at)
    trace.true = int.from_bytes(true, "little")
    trace.maybe = int.from_bytes(maybe, "little")
    if flags & _ROOT:
        start_ns, span_id = _ROOT_HEAD.unpack_from(packed, at)
        name, at = _take(packed, at + _ROOT_HEAD.size)
        service, at = _take(packed, at)
        trace.root = TraceRoot(start_ns, span_id, name.decode(), service.decode())
    if flags & _EXTENT:
        trace.extent_ns = _TWO_TIMES.unpack_from(packed, at)
        at += _TWO_TIMES.size
    if flags & _COUNTED:
        count = _U32.unpack_from(packed, at)[0]
        end = at + 4 + count * _COUNTED_ITEM.size
        trace.counted = {}
        for number, span, identity, certain in _COUNTED_ITEM.iter_unpack(packed[at + 4 : end]):
            trace.counted.setdefault(number, {})[span, identity] = bool(certain)
        at = end
    if flags & _EMITTED:
        trace.emitted, at = _unpack_emitted(packed, at, version)
    if flags & _KEPT:
        trace.kept, at = unpack_kept(packed, at)
    if flags & _WAITING:
        trace.waiting, at = _unpack_waiting(packed, at)
    if version == RARE_FORMAT:
        failed, at = _take(packed, at)
        trace.failed = int.from_bytes(failed, "little")
        if at < len(packed):
            trace.beginnings, _ = unpack_beginnings(packed, at)
    return trace


def _unpack_waiting(packed: bytes, at: int) -> tuple[frozenset[str], int]:
    waiting = []
    count = _U16.unpack_from(packed, at)[0]
    at += 2
    for _ in range(count):
        rule_id, at = _take(packed, at)
        waiting.append(rule_id.decode())
    return frozenset(waiting), at


def _unpack_emitted(packed: bytes, at: int, version: int) -> tuple[dict[str, Emitted], int]:
    emitted = {}
    count = _U16.unpack_from(packed, at)[0]
    at += 2
    item = _EMITTED_ITEM[version]
    for _ in range(count):
        rule_id, at = _take(packed, at)
        revision, verdict, broken, incomplete, *bindings = item.unpack_from(packed, at)
        reasons, at = _take(packed, at + item.size)
        handed, folded = b"", False
        if version >= HANDED_FORMAT:
            handed, at = _take(packed, at)
        if version >= FOLDED_FORMAT:
            folded = bool(packed[at])
            at += 1
        emitted[rule_id.decode()] = Emitted(
            revision,
            _VERDICTS[verdict],
            _BROKEN[broken],
            bool(incomplete),
            tuple(Reason(word) for word in reasons.decode().split(",") if word),
            bindings[0] if bindings else 0,
            handed,
            folded,
        )
    return emitted, at


# The same few masks, names and services come again and again.


@lru_cache(maxsize=4096)
def _sized_mask(mask: int) -> bytes:
    return _sized(pack_mask(mask))


@lru_cache(maxsize=4096)
def _sized_text(text: str) -> bytes:
    return _sized(text.encode())


def _sized(content: bytes) -> bytes:
    return _U16.pack(len(content)) + content


def _take(packed: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + _U16.unpack_from(packed, at)[0]
    return packed[at + 2 : end], end
