"""The life of a lane's traces: taken in, closed, judged, corrected. Pure: no clock, no I/O.

A Lane is fed with records in any order (`receive`) and told how far event time has come
(`advance`). Nothing is decided on arrival. `advance` takes records in the order of the log and
fires every earlier deadline first, so that what comes out is a function of the log alone: not of
how records were bundled, of when timers fired, or of how often a lane was restored.

    new ──fragment──► open ──quiet for settle, root seen─────────► closed: judged
                       ▲   ──quiet for patience, no root─────────► closed: absence unknown,
                       │                                           or judged: external root
                       │   ──older than max_life─────────────────► closed: absence unknown
                       └────────fragment within lateness────────── closed
                                fragment later: too late, counted, never a new trace

A closed trace is kept open for those rules alone that settle longer or in which a window is still
open; they judge it when that is over.

At one instant: a tick of the accounts, then records, then deadlines.

No tenant can make a lane grow without bound (deploy/decisions/0030). With too many open traces no
new one is opened: its spans are counted as `over_cap`, and its id is remembered like that of a
closed trace, so that its other spans do not make a trace of their own. With too many bytes in open
traces, those that would grow are truncated.

What lies in Flink state for a lane: a list of byte records (`receive` returns one to append,
`snapshot` returns a list that replaces all), and a map (`ClosedStore`) for what is written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from struct import Struct
from typing import NamedTuple, Protocol

from dsl import Judgement, Reason, Verdict
from udfs.accounts import MINUTE_MS, TICK_MS, Accounts, late_by
from udfs.closed import (
    TOO_LATE,
    TOO_MANY,
    ClosedTraces,
    Known,
    pack_sealed,
    unpack_sealed,
)
from udfs.facts import (
    COMPLIANCE,
    DEAD_LETTER,
    NOTHING_KEPT,
    NOTHING_OUTSIDE,
    Called,
    Facts,
    unpack_facts,
)
from udfs.folds import Folds
from udfs.handing import Handing
from udfs.journal import Closing
from udfs.lanes import LANES
from udfs.many_rules import ManySet
from udfs.rulebook import LifeSettings, Matched, Rule, RuleBook
from udfs.ruleset import Judged, RuleSet, RuleSets
from udfs.signals import SCHEMA, bindings_digest, next_revision, pack_signal, signal_id
from udfs.trace_state import (
    FORGOTTEN_ROOT,
    Emitted,
    TraceRoot,
    TraceState,
    unpack_trace,
)

SNAPSHOT_EVERY_MS = 15_000
_NEVER = 2**62
_MAX_WATERMARK = 2**62
_RECENT = 2_500
"""Traces after which the recently stored ones become the formerly stored ones."""
_RECENT_BYTES = 8 * 2**20
"""The same, in bytes: few traces may be large ones."""
_ENTRY = b"E"
_SNAPSHOT_LANE = b"L"
_SNAPSHOT_TENANT = b"T"
_FORMAT = 2
_CAPPED_FORMAT = 3
"""Of the share of a tenant that ever had traces turned away."""
_FOLDS_FORMAT = 4
"""Of a tenant of whose signals something was said in the minute at hand."""
_ENTRY_HEAD = Struct("<cBqHq")
_LANE_HEAD = Struct("<cBHqqq")
_U16 = Struct("<H")
_U32 = Struct("<I")
_CLOSED_ITEM = Struct("<16sQ")
_BLOCK_ITEM = Struct("<16sI")
_MINUTE = Struct("<q")
_SHED = Struct("<qq")
_BLOCK_FORMAT = b"\x01"
_OPEN = frozenset({Reason.STILL_OPEN})
_END_NOT_KNOWN = frozenset({Reason.NO_ROOT, Reason.STILL_OPEN})
_CERTAIN: frozenset[Reason] = frozenset()
_HELD = Judgement(Verdict.INCONCLUSIVE, (Reason.MISSING_SPANS,))
_NS_PER_MS = 1_000_000
_NO_WAITS: Mapping[str, int] = {}


class ClosedStore(Protocol):
    """A map in Flink state, read by point. Keys and values are bytes."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...
    def remove(self, key: bytes) -> None: ...


class Output(NamedTuple):
    """A record for the topic of that name (without the prefix)."""

    topic: str
    key: bytes
    value: bytes
    headers: dict[str, bytes]


class _Entry(NamedTuple):
    time_ms: int
    partition: int
    offset: int
    element: bytes


class _Holding:
    """What the book said in one of its versions, and for which times [since, until)."""

    __slots__ = ("book_version", "since_ms", "until_ms")

    def __init__(self, since_ms: int, until_ms: int, book_version: int) -> None:
        self.since_ms = since_ms
        self.until_ms = until_ms
        self.book_version = book_version

    def holds(self, time_ms: int, book_version: int) -> bool:
        """Tell whether it still holds for a time."""
        return self.since_ms <= time_ms < self.until_ms and self.book_version == book_version


class _Epoch(_Holding):
    """The rules that judge what begins in a stretch of time."""

    __slots__ = ("rules",)

    def __init__(self, since_ms: int, until_ms: int, book_version: int, rules: RuleSet) -> None:
        super().__init__(since_ms, until_ms, book_version)
        self.rules = rules


class _Terms(_Holding):
    """A tenant's settings in a stretch of time."""

    __slots__ = ("settings",)

    def __init__(
        self, since_ms: int, until_ms: int, book_version: int, settings: LifeSettings
    ) -> None:
        super().__init__(since_ms, until_ms, book_version)
        self.settings = settings


_NO_EPOCH = _Epoch(0, 0, -1, RuleSet(()))
_NO_TERMS = _Terms(0, 0, -1, LifeSettings())


class _Tenant:
    """What a lane holds for one tenant."""

    def __init__(self, *, lane: int, tenant: str) -> None:
        self.name = tenant
        self.key = tenant.encode()
        self.open: dict[bytes, TraceState] = {}
        self.closed = ClosedTraces()
        self.block: list[tuple[bytes, bytes]] = []
        """Traces closed at the instant at hand, packed: (trace id, state)."""
        self.expires: list[int] = []
        """Minutes whose stored traces have still to be removed, ascending."""
        self.accounts = Accounts(lane=lane, tenant=tenant, open_before=0)
        self.folds = Folds(lane=lane, tenant=tenant)
        self.epoch = _NO_EPOCH
        self.terms = _NO_TERMS
        self.open_bytes = 0
        """What the spans of open traces take in state."""
        self.hurried: list[tuple[bytes, TraceState]] = []
        """Traces that the record at hand opened again although there was no room for them."""
        self.turned_away_now: set[bytes] = set()
        """Traces of the record at hand that were not opened."""
        self.settings: LifeSettings | None = None
        self.max_open_traces = self.max_open_bytes = self.max_known_traces = 0
        """What this lane may hold, by the settings that were last adopted."""
        self.turned_away = False
        """Whether any trace was ever not opened."""
        self.shed_since_ms = _NEVER
        self.shed_until_ms = -_NEVER
        """Traces that begin meanwhile may lack spans that nothing remembers."""

    def adopt(self, settings: LifeSettings) -> None:
        """Go by these settings from now on."""
        self.settings = settings
        self.max_open_traces = settings.share(settings.max_open_traces)
        self.max_open_bytes = settings.share(settings.max_open_bytes)
        self.max_known_traces = settings.share(settings.max_known_traces)

    def weigh(self, trace: TraceState) -> None:
        """Account for what an open trace has grown by."""
        keeps = trace.kept is not None or trace.counted is not None
        if keeps or trace.beginnings is not None or trace.weighed_bytes:
            weight_bytes = trace.weight_bytes
            self.open_bytes += weight_bytes - trace.weighed_bytes
            trace.weighed_bytes = weight_bytes

    def open_spans(self) -> int:
        """Return how many spans have come of traces that were never closed."""
        return sum([trace.spans for trace in self.open.values() if not trace.closed_before])

    def turn_away(self, trace_id: bytes, now_ms: int, settings: LifeSettings) -> None:
        """Remember a trace that is not opened; if that is too much, remember that there were such.

        A trace without some of its spans must not be judged as if they had not been.
        """
        self.turned_away = True
        self.turned_away_now.add(trace_id)
        if self.closed.count < self.max_known_traces:
            self.closed.add_not_opened(trace_id, begin_ms=now_ms)
            return
        reach_ms = settings.max_life_ms + settings.lateness_ms
        if now_ms > self.shed_until_ms + reach_ms:
            self.shed_since_ms = now_ms
        self.shed_until_ms = now_ms + reach_ms

    def is_truncated(self, trace: TraceState) -> bool:
        """Tell whether not all spans that came of a trace were taken in."""
        return trace.truncated or self.shed_since_ms <= trace.begin_ms < self.shed_until_ms


class Lane:
    """One lane of traces: a state machine over the log of spans and the log of rules."""

    def __init__(
        self,
        lane: int,
        book: RuleBook,
        *,
        rule_sets: RuleSets | None = None,
        journal: list[Closing] | None = None,
    ) -> None:
        """rule_sets: those of all lanes that share the book.

        journal: told of every closing. Whoever keeps one wants all signals: none are folded then.
        """
        self.lane = lane
        self._journal = journal
        self._book = book
        self._rule_sets = rule_sets or RuleSets(book)
        self._inbox: list[_Entry] = []
        self._first_ms = _NEVER
        self._tenants: dict[str, _Tenant] = {}
        self._due_ms: list[int] = []
        """A heap of the times at which something is due."""
        self._due: dict[int, dict[str, list[bytes]]] = {}
        """By time and tenant: ids of traces that may be due then."""
        self._tick_ms = _NEVER
        self._snapshot_turn = -1
        self._latest_ms = 0
        # Late spans mostly come soon. Two dictionaries in turn: taking the oldest entry out of one
        # costs the more the longer it has been done.
        self._recent: dict[bytes, bytes] = {}
        self._former: dict[bytes, bytes] = {}
        self._recent_bytes = 0
        self._removals: list[bytes] = []
        self._handing = Handing(lane)
        # Minutes and snapshots turn at another moment in every lane, which spreads the work.
        self._shift_ms = lane * MINUTE_MS // LANES

    # ------------------------------------------------------------------ records and time

    def receive(self, *, time_ms: int, partition: int, offset: int, element: bytes) -> bytes:
        """Put one element into the inbox. Returns the record to append to the lane's list."""
        self._inbox.append(_Entry(time_ms, partition, offset, element))
        if time_ms < self._first_ms:
            self._first_ms = time_ms
        if time_ms > self._latest_ms:
            self._latest_ms = time_ms
        return _ENTRY_HEAD.pack(_ENTRY, _FORMAT, time_ms, partition, offset) + element

    def advance(self, watermark_ms: int, closed: ClosedStore) -> list[Output]:
        """Take all records up to a watermark, in log order, and fire all deadlines up to it.

        The greatest watermark (Flink sends it when a bounded input ends) judges nothing.
        """
        out: list[Output] = []
        if watermark_ms >= _MAX_WATERMARK:
            return out
        self._inbox.sort()
        taken = 0
        for entry in self._inbox:
            if entry.time_ms > watermark_ms:
                break
            self._fire(entry.time_ms - 1, closed, out)
            if self._tick_ms <= entry.time_ms:
                self._tick(out)
            self._take(entry, closed, out)
            taken += 1
        del self._inbox[:taken]
        self._first_ms = self._inbox[0].time_ms if self._inbox else _NEVER
        self._fire(watermark_ms, closed, out)
        if self._book.holds_many:
            out += (
                Output(stage, bytes((number,)), element, {})
                for stage, number, element in self._handing.flush()
            )
        return out

    def next_timer_ms(self) -> int | None:
        """Return the event time at which `advance` has something to do next, if any."""
        next_ms = min(
            self._first_ms,
            self._due_ms[0] if self._due_ms else _NEVER,
            self._tick_ms,
        )
        return None if next_ms == _NEVER else next_ms

    def latest_time_ms(self) -> int:
        """Return the latest record time received."""
        return self._latest_ms

    def unclosed(self) -> list[Closing]:
        """Return the traces that were never closed so far, as a journal would name them."""
        return [
            _closing(tenant.name, trace_id, trace, (), _NO_WAITS, 0)
            for tenant in self._tenants.values()
            for trace_id, trace in tenant.open.items()
            if not trace.closed_before
        ]

    def _fire(self, until_ms: int, closed: ClosedStore, out: list[Output]) -> None:
        due_ms = self._due_ms
        while True:
            next_ms = due_ms[0] if due_ms else _NEVER
            if self._tick_ms <= until_ms and self._tick_ms <= next_ms:
                self._tick(out)
                continue
            if next_ms > until_ms:
                return
            heappop(due_ms)
            due = self._due.pop(next_ms)
            for name in sorted(due):
                self._close_due(self._tenants[name], due[name], next_ms, closed, out)

    def _close_due(
        self,
        tenant: _Tenant,
        trace_ids: list[bytes],
        now_ms: int,
        closed: ClosedStore,
        out: list[Output],
    ) -> None:
        """Close those traces that are due at an instant indeed, in the order of their ids."""
        trace_ids.sort()
        for trace_id in trace_ids:
            trace = tenant.open.get(trace_id)
            if trace is None or trace.due_ms < now_ms:
                continue
            if trace.due_ms > now_ms:
                self._arm(trace.due_ms, tenant.name, trace_id)
                continue
            self._arm_tick(now_ms)
            self._close(tenant, trace_id, trace, now_ms, closed, out)
        if tenant.block:
            self._store(tenant, now_ms, closed)

    def _arm(self, due_ms: int, tenant: str, trace_id: bytes) -> None:
        """See to it that a trace is looked at when a time has come."""
        due = self._due.get(due_ms)
        if due is None:
            self._due[due_ms] = {tenant: [trace_id]}
            heappush(self._due_ms, due_ms)
            return
        of_tenant = due.get(tenant)
        if of_tenant is None:
            due[tenant] = [trace_id]
        else:
            of_tenant.append(trace_id)

    def _arm_tick(self, now_ms: int) -> None:
        if self._tick_ms == _NEVER:
            self._tick_ms = now_ms // TICK_MS * TICK_MS + TICK_MS

    def _tick(self, out: list[Output]) -> None:
        tick_ms = self._tick_ms
        # Ticks go on to the end of a minute, so that each minute starts with empty accounts.
        self._tick_ms = tick_ms + TICK_MS if tick_ms % MINUTE_MS else _NEVER
        for tenant in self._tenants.values():
            accounts = tenant.accounts
            open_spans = None if accounts.is_idle else tenant.open_spans()
            stats = accounts.tick(tick_ms, open_spans=open_spans)
            if stats is not None:
                out.append(Output("stats", *stats, _headers(tenant)))
            for identity, value in tenant.folds.tick(tick_ms):
                out.append(Output("signals", identity, value, _headers(tenant)))
            if tenant.epoch is not _NO_EPOCH and not self._book.is_awake(tenant.name):
                tenant.epoch = _NO_EPOCH

    # ------------------------------------------------------------------ taking in

    def _take(self, entry: _Entry, closed: ClosedStore, out: list[Output]) -> None:
        self._arm_tick(entry.time_ms)
        if entry.element[0] >= COMPLIANCE:
            key = b"%d/%d" % (entry.partition, entry.offset)
            topic = "dead-letters" if entry.element[0] == DEAD_LETTER else "evidence"
            out.append(Output(topic, key, entry.element[1:], {"schema": SCHEMA}))
            return
        facts = unpack_facts(entry.element)
        tenant = self._tenants.get(facts.tenant)
        if tenant is None:
            tenant = _Tenant(lane=self.lane, tenant=facts.tenant)
            self._tenants[facts.tenant] = tenant
        settings = self._book.settings(facts.tenant, entry.time_ms)
        if settings is not tenant.settings:
            tenant.adopt(settings)
        self._turn(tenant, entry.time_ms, settings, closed)
        tenant.accounts.count("received", facts.spans + facts.rejected)
        if facts.rejected:
            tenant.accounts.count("rejected", facts.rejected)
        touched = self._take_fragments(tenant, facts, entry, settings, closed)
        for trace_id, trace in tenant.hurried:
            trace.due_ms = entry.time_ms
            self._arm(entry.time_ms, tenant.name, trace_id)
        tenant.hurried.clear()
        tenant.turned_away_now.clear()
        for trace_id, trace in touched.items():
            tenant.weigh(trace)
            trace.clock_skew_ms = settings.clock_skew_ms
            self._judge_early(tenant, trace_id, trace, entry.time_ms, out)

    def _take_fragments(
        self,
        tenant: _Tenant,
        facts: Facts,
        entry: _Entry,
        settings: LifeSettings,
        closed: ClosedStore,
    ) -> dict[bytes, TraceState]:
        """Add an element's facts to its traces. Returns the traces that learnt something."""
        now_ms = entry.time_ms
        offset = entry.offset
        settle_due_ms = now_ms + settings.settle_ms
        patience_due_ms = now_ms + settings.patience_ms
        late_due_ms = settle_due_ms if settings.external_roots else patience_due_ms
        max_life_ms = settings.max_life_ms
        max_spans = settings.max_trace_spans
        room = tenant.open_bytes < tenant.max_open_bytes
        late = 0
        open_traces = tenant.open
        sets = facts.sets
        matched = self._book.matched(facts.tenant, now_ms) if self._book.holds_many else None
        if matched is not None and matched.handed_on:
            # What no promise looks at is none of the trace's concern.
            own = ~matched.handed_on
            sets = [(true & own, maybe & own) for true, maybe in sets]
        touched: dict[bytes, TraceState] = {}
        at_fragment: list[TraceState | None] = []
        for trace_id, spans, _, fact_set in facts.fragments:
            trace = open_traces.get(trace_id)
            if trace is None:
                trace = self._begin(tenant, trace_id, entry, settings, closed, spans)
                at_fragment.append(trace)
                if trace is None:
                    continue
            else:
                at_fragment.append(trace)
            trace.spans += spans
            if trace.spans > max_spans:
                trace.truncated = True
            if trace.closed_before:
                late += spans
                tenant.accounts.count(late_by("late", now_ms - trace.last_ms), spans)
            trace.last_ms = now_ms
            trace.last_offset = offset
            trace.judged_quiet_ms = -1
            if fact_set:
                true, maybe = sets[fact_set]
                if true & ~trace.true or maybe & ~trace.maybe:
                    trace.true |= true
                    trace.maybe |= maybe
                    touched[trace_id] = trace
            due_ms = settle_due_ms
            if trace.root is None:
                # A closed trace may have an external root: late spans judge it as with a root.
                due_ms = late_due_ms if trace.closed_before else patience_due_ms
            if due_ms > trace.begin_ms + max_life_ms and not trace.closed_before:
                due_ms = trace.begin_ms + max_life_ms
            if due_ms < trace.due_ms:
                self._arm(due_ms, tenant.name, trace_id)
            trace.due_ms = due_ms
        if late:
            tenant.accounts.count("late", late)
        for fragment, span_id, start_ns, name, service in facts.roots:
            trace = at_fragment[fragment]
            if trace is not None:
                weighs_less = trace.beginnings is not None
                trace.add_root(TraceRoot(start_ns, span_id, name, service))
                if weighs_less:
                    tenant.weigh(trace)
                due_ms = _capped_due(trace, settings, settle_due_ms)
                if due_ms < trace.due_ms:
                    trace.due_ms = due_ms
                    self._arm(due_ms, tenant.name, facts.fragments[fragment][0])
        for fragment, span_id, identity, number, certain in facts.counted:
            trace = at_fragment[fragment]
            if trace is not None:
                trace.add_counted(number, span_id, identity, certain=certain, room=room)
                touched[facts.fragments[fragment][0]] = trace
        for fragment, start_ns, end_ns in facts.extents:
            trace = at_fragment[fragment]
            if trace is not None and trace.add_extent(start_ns, end_ns):
                touched[facts.fragments[fragment][0]] = trace
        for fragment, number in facts.failed:
            trace = at_fragment[fragment]
            if trace is not None:
                trace.failed |= 1 << number
        if facts.outside is not NOTHING_OUTSIDE:
            _note_arrivals(tenant, facts, at_fragment, room)
        if facts.kept is not NOTHING_KEPT:
            self._keep(tenant, facts, at_fragment, now_ms, touched, matched, room)
        return touched

    def _keep(
        self,
        tenant: _Tenant,
        facts: Facts,
        at_fragment: Sequence[TraceState | None],
        now_ms: int,
        touched: dict[bytes, TraceState],
        matched: Matched | None,
        room: bool,
    ) -> None:
        """Keep spans one by one, for rules that ask for that, or hand them on."""
        kept = facts.kept
        conflicts = 0
        asked = matched if matched is not None and matched.many is not None else None
        for fragment, member in kept.members:
            trace = at_fragment[fragment]
            trace_id = facts.fragments[fragment][0]
            if trace is None and trace_id not in tenant.turned_away_now:
                continue
            if asked is not None and not self._handing.take_span(
                asked, tenant.accounts, tenant.name, trace_id, member, now_ms
            ):
                continue
            if trace is None:
                continue
            if trace.add_member(member, arrived_ms=now_ms, room=room):
                touched[trace_id] = trace
            elif self._contradicts(tenant, trace, member, now_ms):
                conflicts += 1
        if conflicts:
            tenant.accounts.count("conflicting_span", conflicts)
        if asked is not None:
            self._handing.end_record(tenant.name, now_ms)
        for fragment, chain in kept.chains:
            trace = at_fragment[fragment]
            if trace is None:
                continue
            trace.add_links(chain, room=room)
            if trace.keeps_members:
                touched[facts.fragments[fragment][0]] = trace
            else:
                tenant.weigh(trace)  # where no span is kept, nothing asks who stands above whom
        for fragment in kept.truncated:
            trace = at_fragment[fragment]
            if trace is not None:
                trace.truncated = True

    def _contradicts(self, tenant: _Tenant, trace: TraceState, member: bytes, now_ms: int) -> bool:
        """Tell whether a span that came before says something else this time.

        Nobody can tell if the rules have changed since: others look at something else.
        """
        assert trace.kept is not None
        arrived_ms, first = trace.kept.first_of(member)
        if first == member:
            return False
        return self._book.match_epoch(tenant.name, now_ms)[0] <= arrived_ms

    def _begin(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        entry: _Entry,
        settings: LifeSettings,
        closed: ClosedStore,
        spans: int,
    ) -> TraceState | None:
        """Begin a trace, or open a closed one again; None if its spans are not taken.

        A closed trace is opened again even if there is no room: what comes late may mend what was
        said of it. It is then closed at this very instant.
        """
        time_ms, partition, offset, _ = entry
        since_ms = time_ms + self._shift_ms - settings.lateness_ms
        known = tenant.closed.find(trace_id, since_ms=since_ms)
        if known is not None and known is not TOO_MANY and not settings.lateness_ms:
            known = TOO_LATE  # whole minutes are too coarse to tell that it was closed just now
        has_room = len(tenant.open) < tenant.max_open_traces
        if known is TOO_LATE:
            closed_by_ms = tenant.closed.closed_by_ms(trace_id, since_ms=since_ms)
            lateness_ms = max(0, time_ms + self._shift_ms - closed_by_ms)
            tenant.accounts.count("too_late", spans)
            tenant.accounts.count(late_by("too_late", lateness_ms), spans)
            return None
        may_begin = has_room and tenant.closed.count < tenant.max_known_traces
        if known is TOO_MANY or (known is None and not may_begin):
            tenant.turn_away(trace_id, time_ms, settings)
            tenant.accounts.count("over_cap", spans)
            return None
        if known is None:
            trace = TraceState(begin_ms=time_ms, partition=partition, offset=offset)
        else:
            trace = self._reopen(tenant, trace_id, entry, known, closed)
            if not has_room:
                trace.truncated = True
                tenant.hurried.append((trace_id, trace))
        tenant.open[trace_id] = trace
        trace.due_ms = _NEVER
        return trace

    def _reopen(
        self, tenant: _Tenant, trace_id: bytes, entry: _Entry, known: Known, closed: ClosedStore
    ) -> TraceState:
        packed = None
        if known.stored_ms is not None:
            key = _block_key(tenant, known.stored_ms)
            name = key + trace_id
            packed = self._recent.get(name) or self._former.get(name)
            if packed is None:
                packed = _find_in_block(closed.get(key), trace_id)
        tenant.closed.forget(trace_id)
        if packed is not None:
            trace = unpack_trace(packed)
        else:
            trace = TraceState(
                begin_ms=known.begin_ms, partition=entry.partition, offset=entry.offset
            )
            trace.root = FORGOTTEN_ROOT
        trace.closed_before = True
        tenant.weigh(trace)
        return trace

    # ------------------------------------------------------------------ judging

    def _judge_early(
        self, tenant: _Tenant, trace_id: bytes, trace: TraceState, now_ms: int, out: list[Output]
    ) -> None:
        """Signal at once what no further span can mend; what was signalled waits for the end."""
        trace.complete = False
        trace.in_doubt = _OPEN
        if trace.beginnings is not None:
            decided = trace.closed_before
            trace.external_root = self._external_root(tenant, trace) if decided else None
        rules = self._rule_set(tenant, trace.begin_ms)
        violations = rules.violations(trace, now_ms)
        for item in violations:
            said = trace.emitted.get(item.rule_id) if trace.emitted else None
            if said is None or said.verdict is not Verdict.VIOLATED:
                self._say(tenant, trace_id, trace, item, now_ms=now_ms, closed_ms=0, out=out)
        if rules.many is not None and violations:
            self._hand_on(rules.many, tenant, trace_id, trace, violations, now_ms)

    def _close(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        now_ms: int,
        closed: ClosedStore,
        out: list[Output],
    ) -> None:
        """Judge a trace whose time has come, and put it away unless some rule waits."""
        settings = self._settings(tenant, now_ms)
        judged = self._judge_closed(tenant, trace, settings, now_ms)
        quiet_ms = now_ms - trace.last_ms
        rules = self._rule_set(tenant, trace.begin_ms)
        longest_ms = rules.longest_settle_ms
        waits: Mapping[str, int] = _NO_WAITS
        if longest_ms > quiet_ms and now_ms >= trace.begin_ms + settings.max_life_ms:
            judged = [_cut_short(item, rules, trace, quiet_ms) for item in judged]
        if longest_ms > quiet_ms or trace.keeps_members:
            waits = _waits(trace, judged, settings, now_ms)
        if waits:
            judged = [item for item in judged if not _is_silent(item, waits, quiet_ms)]
        self._report(tenant, trace_id, trace, judged, waits, now_ms, out)
        if waits:
            trace.due_ms = min(waits.values())
            self._arm(trace.due_ms, tenant.name, trace_id)
        else:
            self._put_away(tenant, trace_id, trace, now_ms, settings, closed)

    def _judge_closed(
        self, tenant: _Tenant, trace: TraceState, settings: LifeSettings, now_ms: int
    ) -> Sequence[Judged]:
        """Judge a trace as closed at a time; rules that do not apply are left out.

        A rule with `on_incomplete: signal` takes a trace of which the end is not known as it is.
        """
        rules = self._rule_set(tenant, trace.begin_ms)
        if trace.beginnings is not None:
            decided = trace.closed_before or _has_passed_patience(trace, settings, now_ms)
            trace.external_root = self._external_root(tenant, trace) if decided else None
        trace.in_doubt = self._doubts(trace, tenant, settings, now_ms)
        trace.complete = not trace.in_doubt
        trace.now_ms = now_ms
        trace.settle_ms = settings.settle_ms
        trace.clock_skew_ms = settings.clock_skew_ms
        judged = rules.judge(trace)
        if rules.holds_incomplete and _has_orphans(rules, trace):
            judged = [_held(item) for item in judged]
        if trace.complete or not trace.in_doubt <= _END_NOT_KNOWN or not rules.signals_incomplete:
            return judged
        trace.in_doubt, doubts = _CERTAIN, trace.in_doubt
        trace.complete = True
        as_it_is = {item.rule_id: item for item in rules.judge(trace)}
        trace.in_doubt, trace.complete = doubts, False
        return [
            as_it_is.get(item.rule_id, item) if item.rule.signals_incomplete else item
            for item in judged
        ]

    def _external_root(self, tenant: _Tenant, trace: TraceState) -> Called | None:
        """Return what stands for the root of a trace that has none.

        What counts is the setting under which the trace began: since then its spans were noted.
        """
        beginnings = trace.beginnings
        if beginnings is None or tenant.is_truncated(trace):
            return None
        if not self._settings(tenant, trace.begin_ms).external_roots:
            return None
        return beginnings.external_root()

    def _doubts(
        self, trace: TraceState, tenant: _Tenant, settings: LifeSettings, now_ms: int
    ) -> frozenset[Reason]:
        """Return why spans may have been missed; none if absence is known."""
        doubts: set[Reason] = set()
        root = trace.root_at_hand
        if root is None:
            doubts.add(Reason.NO_ROOT)
        if not trace.closed_before and now_ms - trace.begin_ms >= settings.max_life_ms:
            doubts.add(Reason.STILL_OPEN)
        if settings.span_sampled:
            doubts.add(Reason.SAMPLED)
        if tenant.is_truncated(trace):
            doubts.add(Reason.TRUNCATED)
        losses = self._book.losses
        if trace.begin_ms < losses.shadow_ends_ms + settings.max_life_ms and losses.touch(
            tenant.name,
            self.lane,
            begin_ms=trace.begin_ms,
            root_ms=trace.begin_ms if root is None else root.start_ns // _NS_PER_MS,
            judged_ms=now_ms,
            max_life_ms=settings.max_life_ms,
        ):
            doubts.add(Reason.GAP)
        return frozenset(doubts) if doubts else _CERTAIN

    def _report(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        judged: Sequence[Judged],
        waits: Mapping[str, int],
        now_ms: int,
        out: list[Output],
    ) -> None:
        """Say what is new about a closed trace, and count it."""
        accounts = tenant.accounts
        first_time = not trace.closed_before
        if self._journal is not None:
            said = tuple([(item.rule_id, item.judgement) for item in judged])
            self._journal.append(_closing(tenant.name, trace_id, trace, said, waits, now_ms))
        for item in judged:
            if _is_first_verdict(item, trace):
                accounts.count_verdict(item.key, item.verdict, item.reasons)
            if item.violated or trace.emitted:
                self._say(tenant, trace_id, trace, item, now_ms=now_ms, closed_ms=now_ms, out=out)
        if trace.emitted:
            unspoken = trace.emitted.keys() - waits.keys()
            unspoken.difference_update([item.rule_id for item in judged])
            if unspoken:
                self._withdraw(tenant, trace_id, trace, unspoken, now_ms=now_ms, out=out)
            many = self._rule_set(tenant, trace.begin_ms).many
            if many is not None:
                self._hand_on(many, tenant, trace_id, trace, judged, now_ms)
        if first_time:
            accounts.count("judged_traces")
            accounts.count(self._became(tenant, trace), trace.spans)
        elif trace.judged_quiet_ms < 0:
            accounts.count("rejudged_traces")
        trace.judged_quiet_ms = now_ms - trace.last_ms
        trace.closed_before = True
        if waits or trace.waiting:
            silent = waits.keys() - {item.rule_id for item in judged}
            trace.waiting = frozenset(silent if first_time else silent & trace.waiting)

    def _became(self, tenant: _Tenant, trace: TraceState) -> str:
        """Return in which of the accounts the spans of a trace end when it is first closed."""
        if not self._rule_set(tenant, trace.begin_ms).rules:
            return "unruled"
        return "truncated" if tenant.is_truncated(trace) else "judged"

    def _say(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        item: Judged,
        *,
        now_ms: int,
        closed_ms: int,
        out: list[Output],
    ) -> None:
        """Emit or fold a violation, or a change of one; nothing if nothing changed."""
        rule, judgement = item.rule, item.judgement
        said = trace.emitted.get(rule.id) if trace.emitted else None
        if said is None and judgement.verdict is not Verdict.VIOLATED:
            return
        folded = said.folded if said else self._is_folded(tenant, rule, now_ms)
        revision = next_revision(judged_ms=now_ms, previous=said.revision if said else 0)
        now = Emitted(
            revision,
            judgement.verdict,
            judgement.broken,
            judgement.rests_on_absence and self._is_incomplete(tenant, trace),
            judgement.reasons,
            bindings_digest(judgement),
            said.handed if said else b"",
            folded,
        )
        if said is not None and said.content == now.content:
            return
        if trace.emitted is None:
            trace.emitted = {}
        trace.emitted[rule.id] = now
        if folded:
            was = said.verdict if said else None
            tenant.folds.count(rule, trace_id, was=was, verdict=now.verdict, now_ms=now_ms)
            tenant.accounts.count("folded" if said is None else "folded_corrections")
            return
        identity = signal_id(
            tenant=tenant.name, rule_id=rule.id, version=rule.version, trace_id=trace_id
        )
        value = pack_signal(
            identity=identity,
            tenant=tenant.name,
            rule=rule,
            trace_id=trace_id,
            trace=trace,
            judgement=judgement,
            now=now,
            was=said,
            judged_ms=now_ms,
            closed_ms=closed_ms,
        )
        out.append(Output("signals", identity, value, _headers(tenant)))
        tenant.accounts.count("signals" if said is None else "corrections")

    def _is_folded(self, tenant: _Tenant, rule: Rule, now_ms: int) -> bool:
        """Tell whether a new violation is folded rather than written whole."""
        if self._journal is not None:
            return False
        settings = self._settings(tenant, now_ms)
        return tenant.folds.takes(rule, fold_after=settings.fold_after)

    def _hand_on(
        self,
        many: ManySet,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        judged: Sequence[Judged],
        now_ms: int,
    ) -> None:
        """Tell rules over many traces what is new of the signals of a trace."""
        self._handing.take_signals(
            many, tenant.accounts, tenant.name, trace_id, trace, judged, now_ms
        )

    def _is_incomplete(self, tenant: _Tenant, trace: TraceState) -> bool:
        """Tell whether spans of a trace that was judged as closed are known to be missing."""
        rules = self._rule_set(tenant, trace.begin_ms)
        return not trace.complete or _has_orphans(rules, trace)

    def _withdraw(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        rule_ids: set[str],
        *,
        now_ms: int,
        out: list[Output],
    ) -> None:
        """Take back what was said by rules that, as is known now, do not apply."""
        rules = self._rule_set(tenant, trace.begin_ms)
        for rule_id in sorted(rule_ids):
            rule = rules.rule(rule_id)
            if rule is not None and now_ms < rule.stops_ms:
                item = Judged(rule, rules.ask(rule, trace))
                self._say(tenant, trace_id, trace, item, now_ms=now_ms, closed_ms=now_ms, out=out)

    def _rule_set(self, tenant: _Tenant, begin_ms: int) -> RuleSet:
        """Return the rules that judge the traces begun at a time."""
        epoch = tenant.epoch
        if epoch.holds(begin_ms, self._book.version):
            return epoch.rules
        since_ms, until_ms = self._book.epoch(tenant.name, begin_ms)
        rules = self._rule_sets.of(tenant.name, since_ms=since_ms)
        tenant.epoch = _Epoch(since_ms, until_ms, self._book.version, rules)
        return rules

    def _settings(self, tenant: _Tenant, time_ms: int) -> LifeSettings:
        """Return the settings of a tenant at a time."""
        terms = tenant.terms
        if terms.holds(time_ms, self._book.version):
            return terms.settings
        since_ms, until_ms, settings = self._book.settings_epoch(tenant.name, time_ms)
        tenant.terms = _Terms(since_ms, until_ms, self._book.version, settings)
        return settings

    # ------------------------------------------------------------------ putting away

    def _put_away(
        self,
        tenant: _Tenant,
        trace_id: bytes,
        trace: TraceState,
        now_ms: int,
        settings: LifeSettings,
        closed: ClosedStore,
    ) -> None:
        self._turn(tenant, now_ms, settings, closed)
        del tenant.open[trace_id]
        tenant.open_bytes -= trace.weighed_bytes
        if trace.is_plain and not self._rule_set(tenant, trace.begin_ms).needs_root:
            tenant.closed.add(trace_id, begin_ms=trace.begin_ms, stored_ms=None)
            return
        stored_ms = now_ms + self._shift_ms
        tenant.closed.add(trace_id, begin_ms=trace.begin_ms, stored_ms=stored_ms)
        trace.closed_before = True
        tenant.block.append((trace_id, trace.pack()))

    def _store(self, tenant: _Tenant, now_ms: int, closed: ClosedStore) -> None:
        """Put the traces closed at an instant into the store, all in one block.

        What lies in the store is never overwritten: a restored lane, which comes this way again,
        must find a trace as it was, not as it became. So a block is named by its time.
        """
        key = _block_key(tenant, now_ms + self._shift_ms)
        closed.put(key, _pack_block(tenant.block))
        if len(self._recent) >= _RECENT or self._recent_bytes >= _RECENT_BYTES:
            self._former, self._recent = self._recent, {}
            self._recent_bytes = 0
        recent = self._recent
        for trace_id, packed in tenant.block:
            recent[key + trace_id] = packed
            self._recent_bytes += len(packed)
        tenant.block = []

    def _turn(
        self, tenant: _Tenant, now_ms: int, settings: LifeSettings, closed: ClosedStore
    ) -> None:
        """Come to a time: put away the minute that is over, and remove what nobody asks again."""
        index = tenant.closed
        shifted_ms = now_ms + self._shift_ms
        if shifted_ms // MINUTE_MS == index.current_minute:
            return
        ended = index.current_minute
        sealed, dropped = index.turn(
            shifted_ms,
            late_ms=settings.lateness_ms,
            keep_ms=settings.lateness_ms + settings.max_life_ms,
        )
        if sealed is not None:
            closed.put(_minute_key(tenant, ended), pack_sealed(sealed))
            if any(sealed.stored):
                tenant.expires.append(ended)
        # Removed with the next snapshot, so that no restored lane misses what its list names.
        self._removals += (_minute_key(tenant, minute) for minute in dropped)
        late_minute = (shifted_ms - settings.lateness_ms) // MINUTE_MS
        while tenant.expires and tenant.expires[0] < late_minute:
            self._expire(tenant, tenant.expires.pop(0), closed)

    def _expire(self, tenant: _Tenant, minute: int, closed: ClosedStore) -> None:
        """Remove the facts of traces closed in a minute that no late span can reach any more."""
        blocks_ms = tenant.closed.blocks_ms(minute)
        if blocks_ms is None:
            packed = closed.get(_minute_key(tenant, minute))
            blocks_ms = [] if packed is None else unpack_sealed(packed).blocks_ms()
        self._removals += (_block_key(tenant, stored_ms) for stored_ms in blocks_ms)

    # ------------------------------------------------------------------ state

    def wants_snapshot(self) -> bool:
        """Tell whether the lane's list should be replaced by a snapshot now."""
        return self._snapshot_turn_now() != self._snapshot_turn

    def _snapshot_turn_now(self) -> int:
        return (self._latest_ms + self._shift_ms // 4) // SNAPSHOT_EVERY_MS

    def snapshot(self, closed: ClosedStore) -> list[bytes]:
        """Return the records that replace the lane's list, and remove what they do not need."""
        self._snapshot_turn = self._snapshot_turn_now()
        for key in self._removals:
            closed.remove(key)
        self._removals.clear()
        head = _LANE_HEAD.pack(
            _SNAPSHOT_LANE, _FORMAT, self.lane, self._latest_ms, self._tick_ms, LANES
        )
        records = [head]
        records += map(_pack_tenant, self._tenants.values())
        records += (
            _ENTRY_HEAD.pack(_ENTRY, _FORMAT, e.time_ms, e.partition, e.offset) + e.element
            for e in self._inbox
        )
        return records

    @classmethod
    def restore(
        cls,
        lane: int,
        book: RuleBook,
        records: Iterable[bytes],
        closed: ClosedStore,
        *,
        rule_sets: RuleSets | None = None,
    ) -> Lane:
        """Build a lane again from its list. Raises ValueError for what this build cannot read."""
        restored = cls(lane, book, rule_sets=rule_sets)
        for record in records:
            kind, version = record[:1], record[1]
            if version not in (_FORMAT, _CAPPED_FORMAT, _FOLDS_FORMAT):
                raise ValueError(f"lane state of format {version}; this build reads 2 to 4")
            if kind == _ENTRY:
                _, _, time_ms, partition, offset = _ENTRY_HEAD.unpack_from(record)
                element = record[_ENTRY_HEAD.size :]
                restored.receive(
                    time_ms=time_ms, partition=partition, offset=offset, element=element
                )
            elif kind == _SNAPSHOT_LANE:
                restored._restore_head(record)
            elif kind == _SNAPSHOT_TENANT:
                restored._restore_tenant(record, closed)
            else:
                raise ValueError(f"lane state of kind {kind!r}: not known to this build")
        return restored

    def _restore_head(self, record: bytes) -> None:
        _, _, lane, latest_ms, tick_ms, lanes = _LANE_HEAD.unpack(record)
        if (lane, lanes) != (self.lane, LANES):
            raise ValueError(
                f"state of lane {lane} of {lanes}, wanted lane {self.lane} of {LANES}: "
                "replay from the log instead of restoring"
            )
        self._latest_ms = latest_ms
        self._tick_ms = tick_ms
        self._snapshot_turn = self._snapshot_turn_now()

    def _restore_tenant(self, record: bytes, closed: ClosedStore) -> None:
        tenant = _unpack_tenant(record, lane=self.lane, closed=closed)
        self._tenants[tenant.name] = tenant
        for trace_id, trace in tenant.open.items():
            tenant.weigh(trace)
            self._arm(trace.due_ms, tenant.name, trace_id)


def _capped_due(trace: TraceState, settings: LifeSettings, due_ms: int) -> int:
    """Return when a trace is closed: at due_ms, but not past its longest life."""
    if trace.closed_before:
        return due_ms
    return min(due_ms, trace.begin_ms + settings.max_life_ms)


def _has_passed_patience(trace: TraceState, settings: LifeSettings, now_ms: int) -> bool:
    """Tell whether a trace that is closed without a root was not just at the end of its life."""
    quiet = now_ms - trace.last_ms >= settings.patience_ms
    return quiet or now_ms - trace.begin_ms < settings.max_life_ms


def _waits(
    trace: TraceState, judged: Sequence[Judged], settings: LifeSettings, now_ms: int
) -> Mapping[str, int]:
    """Return the rules that have to judge a closed trace again, and when.

    A rule that settles longer waits if the root came, for its first verdict not beyond the longest
    life; one with an open window until it is over. By clocks of spans that are far ahead it never
    is: then the last arrival decides.
    """
    waits: dict[str, int] = {}
    end_ms = trace.begin_ms + settings.max_life_ms
    for item in judged:
        rule, judgement = item.rule, item.judgement
        settled_ms = trace.last_ms + rule.settle_ms
        if settled_ms > end_ms and _is_first_verdict(item, trace):
            settled_ms = end_ms
        if settled_ms > now_ms and trace.root_at_hand is not None:
            waits[rule.id] = settled_ms
        elif judgement.due_ns is not None:
            settle_ms = max(settings.settle_ms, rule.settle_ms)
            latest_ms = trace.last_ms + rule.window_ms + settle_ms + settings.max_life_ms
            due_ms = min(-(-judgement.due_ns // _NS_PER_MS), latest_ms)
            if due_ms > now_ms:
                waits[rule.id] = due_ms
    return waits


def _is_first_verdict(item: Judged, trace: TraceState) -> bool:
    """Tell whether a rule has not judged a trace before."""
    return not trace.closed_before or item.rule_id in trace.waiting


def _cut_short(item: Judged, rules: RuleSet, trace: TraceState, quiet_ms: int) -> Judged:
    """Return what a rule says at the end of the longest life, if it would still have waited.

    It does not know then that all spans have come, whatever the others know that settle sooner.
    """
    rule = item.rule
    if rule.settle_ms <= quiet_ms or rule.signals_incomplete or not _is_first_verdict(item, trace):
        return item
    doubts, complete = trace.in_doubt, trace.complete
    trace.in_doubt, trace.complete = doubts | _OPEN, False
    try:
        return Judged(rule, rules.ask(rule, trace))
    finally:
        trace.in_doubt, trace.complete = doubts, complete


def _is_silent(item: Judged, waits: Mapping[str, int], quiet_ms: int) -> bool:
    """Tell whether nothing is said of a rule that waits: a violation in view of a window stands."""
    if item.rule_id not in waits:
        return False
    return item.rule.settle_ms > quiet_ms or not item.violated


def _closing(
    tenant: str,
    trace_id: bytes,
    trace: TraceState,
    judged: tuple[tuple[str, Judgement], ...],
    waits: Mapping[str, int],
    closed_ms: int,
) -> Closing:
    """Return what the journal says of a trace before it counts as closed."""
    root = trace.root_at_hand
    return Closing(
        tenant,
        trace_id,
        trace.begin_ms,
        closed_ms,
        not trace.closed_before,
        judged,
        frozenset(waits),
        root.name if root else "",
        root.service if root else "",
        trace.spans,
        trace.last_ms,
        trace.first_offset,
        trace.last_offset,
    )


def _has_orphans(rules: RuleSet, trace: TraceState) -> bool:
    """Tell whether the parent of some span did not come; False where links are not kept."""
    return rules.keeps_links and trace.has_orphans


def _note_arrivals(
    tenant: _Tenant, facts: Facts, at_fragment: Sequence[TraceState | None], room: bool
) -> None:
    """Note which spans came of traces that may begin outside, and which of them were called."""
    called: dict[int, list[Called]] = {}
    for fragment, span in facts.outside.called:
        called.setdefault(fragment, []).append(span)
    for fragment, ids in facts.outside.arrivals:
        trace = at_fragment[fragment]
        if trace is None:
            continue
        if trace.beginnings is None and trace.spans > facts.fragments[fragment][1]:
            continue  # a root has come, or earlier spans were not noted
        trace.add_arrivals(ids, called.get(fragment, ()), room=room)
        tenant.weigh(trace)


def _held(item: Judged) -> Judged:
    """Return what a rule that holds says of a trace with orphans."""
    if item.rule.holds_incomplete and item.judgement.rests_on_absence:
        return Judged(item.rule, _HELD)
    return item


def _headers(tenant: _Tenant) -> dict[str, bytes]:
    return {"tenant": tenant.key, "schema": SCHEMA}


def _block_key(tenant: _Tenant, stored_ms: int) -> bytes:
    """Return the store key of the traces closed at a time (shifted as minutes are)."""
    return b"b" + tenant.key + _MINUTE.pack(stored_ms)


def _pack_block(traces: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Pack closed traces: u8 format, then of each: 16s id, u32 length, trace state."""
    parts = [_BLOCK_FORMAT]
    for trace_id, packed in traces:
        parts.append(_BLOCK_ITEM.pack(trace_id, len(packed)))
        parts.append(packed)
    return b"".join(parts)


def _find_in_block(block: bytes | None, wanted: bytes) -> bytes | None:
    """Return a trace's state out of a block. Raises ValueError for another format."""
    if block is None:
        return None
    if block[:1] != _BLOCK_FORMAT:
        raise ValueError(f"closed traces of format {block[:1].hex()}: not known to this build")
    at = 1
    while at < len(block):
        trace_id, size = _BLOCK_ITEM.unpack_from(block, at)
        at += _BLOCK_ITEM.size
        if trace_id == wanted:
            return block[at : at + size]
        at += size
    return None


def _minute_key(tenant: _Tenant, minute: int) -> bytes:
    return b"m" + tenant.key + _MINUTE.pack(minute)


def _pack_tenant(tenant: _Tenant) -> bytes:
    """Pack a tenant's share of a lane.

    'T', u8 format, then blocks, each u32 length and content: tenant; accounts; current minute
    (i64) with its closed traces (16s id, u64 beginning and block); sealed minutes (i64); minutes
    to expire (i64); open traces (16s id, u32 length, trace state). From format 3 on, of a tenant
    that had traces turned away: since and until when spans were that nothing remembers (i64, i64),
    else nothing. In format 4 what was written whole and folded (udfs.folds).
    """
    index = tenant.closed
    open_traces = []
    for trace_id, trace in tenant.open.items():
        packed = trace.pack()
        open_traces.append(trace_id + _U32.pack(len(packed)) + packed)
    blocks: tuple[bytes, ...] = (
        tenant.key,
        tenant.accounts.pack(),
        _MINUTE.pack(index.current_minute)
        + b"".join(_CLOSED_ITEM.pack(*item) for item in index.current.items()),
        b"".join(map(_MINUTE.pack, index.minutes)),
        b"".join(map(_MINUTE.pack, tenant.expires)),
        b"".join(open_traces),
    )
    version = _FORMAT
    shed = b""
    if tenant.turned_away:
        version = _CAPPED_FORMAT
        shed = _SHED.pack(tenant.shed_since_ms, tenant.shed_until_ms)
    folds = tenant.folds.pack()
    if folds:
        version = _FOLDS_FORMAT
        blocks += (shed, folds)
    elif shed:
        blocks += (shed,)
    head = _SNAPSHOT_TENANT + bytes((version,))
    return head + b"".join(_U32.pack(len(block)) + block for block in blocks)


def _unpack_tenant(record: bytes, *, lane: int, closed: ClosedStore) -> _Tenant:
    blocks = []
    at = 2
    while at < len(record):
        end = at + 4 + _U32.unpack_from(record, at)[0]
        blocks.append(record[at + 4 : end])
        at = end
    key, accounts, current, minutes, expires, open_traces, *more = blocks
    shed = more[0] if more else b""
    tenant = _Tenant(lane=lane, tenant=key.decode())
    if shed:
        tenant.turned_away = True
        tenant.shed_since_ms, tenant.shed_until_ms = _SHED.unpack(shed)
    tenant.accounts.restore(accounts)
    if len(more) > 1:
        tenant.folds.restore(more[1])
    index = tenant.closed
    index.current_minute = _MINUTE.unpack_from(current)[0]
    index.current = dict(_CLOSED_ITEM.iter_unpack(current[_MINUTE.size :]))
    for (minute,) in _MINUTE.iter_unpack(minutes):
        packed = closed.get(_minute_key(tenant, minute))
        if packed is not None:
            index.restore(unpack_sealed(packed))
    tenant.expires = [minute for (minute,) in _MINUTE.iter_unpack(expires)]
    at = 0
    while at < len(open_traces):
        trace_id = open_traces[at : at + 16]
        end = at + 20 + _U32.unpack_from(open_traces, at + 16)[0]
        tenant.open[trace_id] = unpack_trace(open_traces[at + 20 : end])
        at = end
    return tenant
