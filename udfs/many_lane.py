"""One lane of rules over many traces: contributions in, signals out. Pure: no clock, no I/O.

A lane is fed with elements in any order (`receive`) and told how far event time has come
(`advance`), as lanes of traces are. Time goes in steps: at each multiple of STEP_MS at which there
is something to do, what was said up to it is taken in, in the order in which its sources said it,
and then every rule concerned says once what is new. So what comes out is a function of what was
said, and that is a function of the log.

Signals of these rules may be looked at by others. Of a tenant they all lie in one lane of the
stage MANY_SIGNALS: what one says the others take in at the next step.

What lies in Flink state for a lane: a list of byte records (`receive` returns one to append,
`snapshot` returns a list that replaces all), and a map of keys, written with each snapshot where
something changed. Records are

    'M' u8 format, what belongs to no key: JSON
    'I' u8 format, i64 judged ms, u8 source, u32 which of that ms, content: not taken in yet
    'E' u8 format, an element that came since

and the map holds for each key, named by the JSON of (tenant, rule, version, key), u8 format and
the JSON of its state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from struct import Struct
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import dsl
from dsl.many.agenda import Agenda
from dsl.many.correlation import MAX_KEYS, Limits
from dsl.many.expectation import ExpectLimits
from dsl.many.members import Signal, member_of_signal
from udfs.accounts import MINUTE_MS, TICK_MS, Accounts
from udfs.contributions import (
    MANY_SIGNALS,
    MANY_SPANS,
    SIGNALS_SOURCE,
    SPANS_SOURCE,
    WAKE,
    Contribution,
    Item,
    Joined,
    Outbox,
    Seen,
    lane_of_tenant,
    pack_contribution,
    unpack_contribution,
    unpack_items,
)
from udfs.correlate_state import CorrelateState
from udfs.expect_state import ExpectState, expects_anything
from udfs.handing import NO_KEY
from udfs.lanes import LANES
from udfs.life import Output
from udfs.many_rules import ManyRule
from udfs.many_said import NS_PER_MS, Spoken
from udfs.rulebook import RuleBook
from udfs.signals import SCHEMA

STEP_MS: Final = 500
LOOK_EVERY_MS: Final = 5_000
"""How often a lane that is awake looks for new rules that expect something."""
SNAPSHOT_EVERY_MS: Final = 15_000
TENANT_KEYS: Final = 2 * MAX_KEYS
"""Followed at once for all rules of a tenant."""
FORMAT: Final = 1

_HEAD, _INBOX, _ELEMENT = b"M", b"I", b"E"
_FORMAT_BYTE: Final = bytes((FORMAT,))
_ITEM = Struct("<qBI")
_NEVER: Final = 2**62
_MAX_WATERMARK: Final = 2**62
State: TypeAlias = CorrelateState | ExpectState
Ref: TypeAlias = tuple[str, str, int]
"""Tenant, rule id, version."""


class KeyStore(Protocol):
    """A map in Flink state, of bytes. All of it is read when a lane is restored."""

    def put(self, key: bytes, value: bytes) -> None: ...
    def remove(self, key: bytes) -> None: ...
    def items(self) -> Iterable[tuple[bytes, bytes]]: ...


class _Place(NamedTuple):
    """How far a source has been heard."""

    judged_ms: int
    nth: int


class ManyLane:
    """One lane of one stage: a state machine over what lanes of traces say."""

    def __init__(
        self,
        lane: int,
        stage: str,
        book: RuleBook,
        *,
        journal: list[Contribution] | None = None,
    ) -> None:
        """journal: gets all that is taken in, for who wants to know of keys without signals."""
        self.lane = lane
        self._journal = journal
        self.stage = stage
        self._book = book
        self._source = lane + (SPANS_SOURCE if stage == MANY_SPANS else SIGNALS_SOURCE)
        self._inbox: list[Item] = []
        self._first_ms = _NEVER
        self._heard: dict[int, _Place] = {}
        self._states: dict[Ref, State] = {}
        self._agenda: Agenda[Ref] = Agenda()
        self._outbox = Outbox(self._source)
        self._accounts: dict[str, Accounts] = {}
        self._tick_ms = _NEVER
        self._begin_ms: int | None = None
        """When event time came to the lane: nothing is expected of the time before."""
        self._noticed_ms = -_NEVER
        self._book_version = -1
        self._now_ms = -1
        self._latest_ms = 0
        self._snapshot_turn = -1
        self._appended = False
        self._removed: list[bytes] = []

    # ------------------------------------------------------------------ in

    def receive(self, element: bytes) -> bytes | None:
        """Put what an element says into the inbox, but for what was heard before.

        Returns the record to append to the lane's list, None if nothing was new.
        """
        new = False
        for item in unpack_items(element):
            new = self._hear(item) or new
        if not new:
            return None
        self._appended = True
        return _ELEMENT + _FORMAT_BYTE + element

    def _hear(self, item: Item) -> bool:
        if item.content == WAKE:
            if self._begin_ms is not None and self._begin_ms <= item.judged_ms:
                return False
            self._begin_ms = item.judged_ms
            self._latest_ms = max(self._latest_ms, item.judged_ms)
            return True
        place = _Place(item.judged_ms, item.nth)
        if place <= self._heard.get(item.source, (-1, -1)):
            return False
        self._heard[item.source] = place
        self._put(item)
        self._latest_ms = max(self._latest_ms, item.judged_ms)
        return True

    def latest_time_ms(self) -> int:
        """Return the latest time of anything received."""
        return self._latest_ms

    def next_timer_ms(self) -> int | None:
        """Return the event time at which `advance` has something to do next, if any."""
        times = [self._next_step_ms(), self._tick_ms]
        if self.stage == MANY_SPANS and self._begin_ms is not None:
            times.append(_step_after(max(self._noticed_ms, self._begin_ms), LOOK_EVERY_MS))
        next_ms = min(times)
        return None if next_ms == _NEVER else next_ms

    def _next_step_ms(self) -> int:
        step_ms = _NEVER if self._first_ms == _NEVER else _step_at(self._first_ms)
        due_ms = self._agenda.next_ns()
        return step_ms if due_ms is None else min(step_ms, due_ms)

    # ------------------------------------------------------------------ time

    def advance(self, watermark_ms: int) -> list[Output]:
        """Take all steps up to a watermark. The greatest one judges nothing."""
        out: list[Output] = []
        if watermark_ms >= _MAX_WATERMARK:
            return out
        self._notice(watermark_ms)
        while True:
            step_ms = self._next_step_ms()
            if self._tick_ms <= min(step_ms, watermark_ms):
                self._tick(out)
            elif step_ms <= watermark_ms:
                self._step(step_ms, out)
            else:
                break
        out += (
            Output(stage, bytes((lane,)), element, {})
            for stage, lane, element in self._outbox.flush()
        )
        return out

    def _notice(self, watermark_ms: int) -> None:
        """Make the states of rules that expect something from their activation on."""
        if self.stage != MANY_SPANS or self._begin_ms is None or watermark_ms <= self._noticed_ms:
            return
        for one in self._book.activations(after_ms=self._noticed_ms, until_ms=watermark_ms):
            ref = (one.tenant, one.rule_id, one.version)
            rule = self._book.many_version(*ref)
            if rule is None or not isinstance(rule.rule, dsl.ExpectRule) or ref in self._states:
                continue
            lasts = self._book.lifetime_ms(*ref)[1] > self._begin_ms
            if lasts and expects_anything(rule, one.tenant, lane=self.lane):
                self._begin(ref, rule)
                self._plan(ref)
        self._noticed_ms = watermark_ms
        if self._book_version != self._book.version:
            self._book_version = self._book.version
            for ref in self._states:
                self._plan(ref)

    def _step(self, now_ms: int, out: list[Output]) -> None:
        """Take in what was said up to a step, and say what is new."""
        before_ms, self._now_ms = self._now_ms, now_ms
        concerned = self._agenda.due(now_ms + 1)
        for ref in concerned:
            self._states[ref].advance(now_ms)
        for item in self._taken(now_ms):
            contribution = unpack_contribution(item.content)
            ref = _ref(contribution)
            state = self._states.get(ref) or self._begin_for(ref)
            if state is None:
                self._count(contribution.tenant, "unknown_rule")
                continue
            if ref not in concerned:
                concerned.add(ref)
                state.advance(now_ms)
            self._take(state, contribution)
            if self._journal is not None:
                self._journal.append(contribution)
        for ref in sorted(concerned):
            self._forget(ref, after_ms=before_ms)
            self._collect(ref, now_ms, out)

    def _taken(self, now_ms: int) -> list[Item]:
        taken = sorted(item for item in self._inbox if item.judged_ms <= now_ms)
        self._inbox = [item for item in self._inbox if item.judged_ms > now_ms]
        self._first_ms = min((item.judged_ms for item in self._inbox), default=_NEVER)
        return taken

    def _take(self, state: State, contribution: Contribution) -> None:
        if state.begins_key(contribution):
            of_tenant = sum(
                one.size for (name, _, _), one in self._states.items() if name == state.tenant
            )
            if of_tenant >= self._share(TENANT_KEYS):
                state.leave_out()
                return
        state.take(contribution)
        if isinstance(contribution, Seen):
            # It may have been seen before somebody said to forget it, and come only now.
            seen_ms = contribution.time_ns // NS_PER_MS
            self._forget(_ref(contribution), after_ms=seen_ms - 1, key=contribution.key)

    def _forget(self, ref: Ref, *, after_ms: int, key: str | None = None) -> None:
        """Let an `expect` forget what people said to forget since a time. key: only that one."""
        state = self._states[ref]
        if not isinstance(state, ExpectState) or state.ended:
            return
        for one in self._book.forgettings(*ref[:2], after_ms=after_ms):
            if one.effective_ms <= self._now_ms and key in (None, one.key):
                state.forget(one.key, one.effective_ms)

    def _collect(self, ref: Ref, now_ms: int, out: list[Output]) -> None:
        state = self._states[ref]
        if isinstance(state, ExpectState) and not state.ended:
            until_ms = self._book.lifetime_ms(*ref)[1]
            if until_ms <= now_ms:
                state.end(until_ms)
        for spoken in state.collect(now_ms):
            self._say(state, spoken, now_ms, out)
        for name, count in state.newly_counted().items():
            if count:
                self._count(state.tenant, f"members_{name}", count)
        if (isinstance(state, ExpectState) and state.ended) or not state.size:
            self._drop(ref, state)
        else:
            self._plan(ref)

    def _say(self, state: State, spoken: Spoken, now_ms: int, out: list[Output]) -> None:
        out.append(Output("signals", spoken.identity, spoken.message, _headers(state.tenant)))
        self._count(state.tenant, "signals" if spoken.is_new else "corrections")
        if spoken.is_new:
            accounts = self._accounts[state.tenant]
            accounts.count_verdict(state.rule.id, state.rule.version, dsl.Verdict.VIOLATED)
        many = self._book.many_in_force(state.tenant, spoken.first_ms)
        for rule in () if many is None else many.by_signals.get(state.rule.id, ()):
            self._hand_on(rule, state.tenant, spoken.signal, now_ms)

    def _hand_on(self, rule: ManyRule, tenant: str, signal: Signal, now_ms: int) -> None:
        """Tell a rule that looks at it of a signal."""
        assert isinstance(rule.rule, dsl.CorrelateRule)
        member = member_of_signal(rule.rule, signal)
        if member is None or None in member.keys:
            self._count(tenant, NO_KEY)
            return
        joined = Joined(tenant, rule.id, rule.version, member)
        if self.stage == MANY_SIGNALS:
            content = pack_contribution(joined)
            self._put(self._outbox.next_item(content, judged_ms=now_ms + 1))
        else:
            lane = lane_of_tenant(tenant)
            self._outbox.say(joined, stage=MANY_SIGNALS, lane=lane, judged_ms=now_ms)

    # ------------------------------------------------------------------ rules

    def _begin_for(self, ref: Ref) -> State | None:
        rule = self._book.many_version(*ref)
        return None if rule is None else self._begin(ref, rule)

    def _begin(self, ref: Ref, rule: ManyRule) -> State:
        effective_ms = self._book.lifetime_ms(*ref)[0]
        activated_ms = effective_ms if self._begin_ms is None else max(effective_ms, self._begin_ms)
        state = self._states[ref] = self._new_state(ref, rule, activated_ms)
        return state

    def _new_state(self, ref: Ref, rule: ManyRule, activated_ms: int) -> State:
        settings = self._book.settings(ref[0], self._book.lifetime_ms(*ref)[0])
        lateness_ns = (settings.max_life_ms + settings.lateness_ms) * NS_PER_MS
        max_keys, sampled = self._share(MAX_KEYS), settings.span_sampled
        if isinstance(rule.rule, dsl.CorrelateRule):
            limits = Limits(lateness_ns=lateness_ns, max_keys=max_keys, sampled=sampled)
            return CorrelateState(rule, ref[0], limits)
        expected = ExpectLimits(lateness_ns=lateness_ns, max_keys=max_keys, sampled=sampled)
        return ExpectState(rule, ref[0], expected, lane=self.lane, activated_ms=activated_ms)

    def _share(self, limit: int) -> int:
        """Return a lane's share of what all lanes of the stage may hold for a tenant."""
        return limit if self.stage == MANY_SIGNALS else limit // LANES

    def _plan(self, ref: Ref) -> None:
        """See to it that a rule is looked at when time alone changes something."""
        state = self._states[ref]
        due_ns = state.next_due_ns
        if due_ns is not None:
            due_ms = max(due_ns // NS_PER_MS, self._now_ms)
            self._agenda.put(ref, _step_after(due_ms, STEP_MS))
        if isinstance(state, ExpectState):
            until_ms = self._book.lifetime_ms(*ref)[1]
            if until_ms < _NEVER:
                self._agenda.put(ref, _step_at(max(until_ms, self._now_ms + 1)))
            for one in self._book.forgettings(*ref[:2], after_ms=self._now_ms)[:1]:
                self._agenda.put(ref, _step_at(one.effective_ms))

    def _drop(self, ref: Ref, state: State) -> None:
        """Forget a version of which nothing is followed any more."""
        self._removed += (_name(ref, key) for key in state.all_keys)
        del self._states[ref]

    # ------------------------------------------------------------------ accounts

    def _count(self, tenant: str, name: str, amount: int = 1) -> None:
        accounts = self._accounts.get(tenant)
        if accounts is None:
            accounts = self._accounts[tenant] = Accounts(lane=self._source, tenant=tenant)
        accounts.count(name, amount)
        if self._tick_ms == _NEVER:
            self._tick_ms = _step_after(self._now_ms, TICK_MS)

    def _tick(self, out: list[Output]) -> None:
        tick_ms = self._tick_ms
        # Ticks go on to the end of a minute, so that each minute starts with empty accounts.
        self._tick_ms = tick_ms + TICK_MS if tick_ms % MINUTE_MS else _NEVER
        for tenant, accounts in self._accounts.items():
            stats = accounts.tick(tick_ms)
            if stats is not None:
                out.append(Output("stats", *stats, _headers(tenant)))
        if self._tick_ms == _NEVER:
            self._accounts.clear()

    # ------------------------------------------------------------------ state

    def wants_snapshot(self) -> bool:
        """Tell whether the lane's list should be replaced by a snapshot now."""
        return self._appended and self._turn() != self._snapshot_turn

    def _turn(self) -> int:
        return max(self._now_ms, self._latest_ms) // SNAPSHOT_EVERY_MS

    def snapshot(self, store: KeyStore) -> list[bytes]:
        """Return the records that replace the lane's list, and write the keys that changed."""
        self._snapshot_turn = self._turn()
        self._appended = False
        for name in self._removed:
            store.remove(name)
        self._removed = []
        for ref, state in self._states.items():
            for key, packed in state.changed_keys():
                if packed is None:
                    store.remove(_name(ref, key))
                else:
                    store.put(_name(ref, key), _FORMAT_BYTE + _json(packed))
        head = _HEAD + _FORMAT_BYTE + _json(self._head())
        return [head, *(_packed_item(item) for item in self._inbox)]

    def _head(self) -> dict[str, Any]:
        return {
            "lane": self.lane,
            "stage": self.stage,
            "begin_ms": self._begin_ms,
            "noticed_ms": self._noticed_ms,
            "now_ms": self._now_ms,
            "latest_ms": self._latest_ms,
            "tick_ms": self._tick_ms,
            "heard": [[source, *place] for source, place in sorted(self._heard.items())],
            "states": [[*ref, state.head()] for ref, state in sorted(self._states.items())],
            "accounts": {name: one.pack().hex() for name, one in sorted(self._accounts.items())},
        }

    @classmethod
    def restore(
        cls, lane: int, stage: str, book: RuleBook, records: Iterable[bytes], store: KeyStore
    ) -> ManyLane:
        """Build a lane again. Raises ValueError for what this build cannot read."""
        restored = cls(lane, stage, book)
        for record in records:
            kind, content = record[:1], record[2:]
            _require_format(record[1:2])
            if kind == _HEAD:
                restored._restore_head(json.loads(content), store)
            elif kind == _INBOX:
                restored._put(_unpacked_item(content))
            elif kind == _ELEMENT:
                restored.receive(content)
            else:
                raise ValueError(f"lane state of kind {kind!r}: not known to this build")
        return restored

    def _restore_head(self, head: dict[str, Any], store: KeyStore) -> None:
        if (head["lane"], head["stage"]) != (self.lane, self.stage):
            raise ValueError(
                f"state of lane {head['lane']} of {head['stage']}, wanted lane {self.lane} of "
                f"{self.stage}: replay from the log instead of restoring"
            )
        self._begin_ms, self._noticed_ms = head["begin_ms"], head["noticed_ms"]
        self._now_ms, self._latest_ms = head["now_ms"], head["latest_ms"]
        self._tick_ms = head["tick_ms"]
        self._heard = {source: _Place(*place) for source, *place in head["heard"]}
        for tenant, packed in head["accounts"].items():
            accounts = self._accounts[tenant] = Accounts(lane=self._source, tenant=tenant)
            accounts.restore(bytes.fromhex(packed))
        keys: dict[Ref, list[Any]] = {}
        for name, value in store.items():
            _require_format(value[:1])
            tenant, rule_id, version, _ = json.loads(name)
            keys.setdefault((tenant, rule_id, version), []).append(json.loads(value[1:]))
        for tenant, rule_id, version, of_rule in head["states"]:
            self._restore_state((tenant, rule_id, version), of_rule, keys)
        self._snapshot_turn = self._turn()

    def _restore_state(self, ref: Ref, head: list[Any], keys: dict[Ref, list[Any]]) -> None:
        rule = self._book.many_version(*ref)
        if rule is None:
            return  # a later build wrote it: what this one cannot read it cannot follow
        state = self._new_state(ref, rule, head[2] if len(head) > 2 else 0)
        state.restore_head(head)
        state.restore_keys(keys.get(ref, ()))
        self._states[ref] = state
        self._plan(ref)

    def _put(self, item: Item) -> None:
        self._inbox.append(item)
        self._first_ms = min(self._first_ms, item.judged_ms)


def _ref(contribution: Contribution) -> Ref:
    return contribution.tenant, contribution.rule_id, contribution.version


def _step_at(time_ms: int) -> int:
    """Return the first step at a time or after it."""
    return -(-time_ms // STEP_MS) * STEP_MS


def _step_after(time_ms: int, every_ms: int) -> int:
    """Return the first multiple of a time after another."""
    return time_ms // every_ms * every_ms + every_ms


def _headers(tenant: str) -> dict[str, bytes]:
    return {"tenant": tenant.encode(), "schema": SCHEMA}


def _name(ref: Ref, key: str | tuple[str, ...]) -> bytes:
    return _json([*ref, key])


def _json(values: Any) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()


def _packed_item(item: Item) -> bytes:
    head = _INBOX + _FORMAT_BYTE + _ITEM.pack(item.judged_ms, item.source, item.nth)
    return head + item.content


def _unpacked_item(content: bytes) -> Item:
    judged_ms, source, nth = _ITEM.unpack_from(content)
    return Item(judged_ms, source, nth, content[_ITEM.size :])


def _require_format(found: bytes) -> None:
    if found != _FORMAT_BYTE:
        raise ValueError(f"lane state of format {found.hex() or 'none'}; this build reads {FORMAT}")
