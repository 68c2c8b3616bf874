"""Reading records by hand finds what the official schema and the predicates themselves find."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import dsl
from dsl.judging import Moment, kept_span
from dsl.spans import has_remote_parent
from dsl.structure import KeptSpan
from udfs import reading as interpreted
from udfs.facts import Facts
from udfs.lanes import lane_of, tenant_prefix_crc
from udfs.match import build_index
from udfs.members import unpack_member
from udfs.native import engine_module, reading_module
from udfs.otlp import as_any_value, decode_spans
from udfs.recut import cut_by_lane
from udfs.rulebook import Matched

TENANT = "t"
LONG = "long." + "k" * 130
FILTERS = (
    "pay.where(amount > 10)",
    "pay.where(amount <= 10 and currency == EUR)",
    "pay.where(currency in [EUR, USD])",
    "pay",
    "pay.where(resource.region == eu)",
    "pay.where(span.region == eu)",
    "pay.where(region == eu)",
    "pay.where(map.inner.leaf == 7)",
    f'pay.where("{LONG}" == 1)',
    "pay.where(status == error)",
    "pay.where(not (amount exists))",
    "log.where(amount > 10 and is_root)",
    "any.where(amount == 12)",
    "any.where(currency contains U)",
    "any.where(kind == server)",
    "any.where(region exists)",
    'any.where(map.inner == "x")',
)
COUNTED = (0, 3, 12)
KEPT = (0, 3, 11)
COMPARING = """when { pay as q and pay as p }
always { any.where(amount == q.map and event.where(k == p.currency) and duration > 1s) after q }"""
LANE = 5
TRACES = [t for n in range(400) if lane_of(TENANT, t := n.to_bytes(16, "big")) == LANE][:3]
STRAYS = [bytes(16), b"\xff" * 16]
"""Traces of other lanes, as there are in a record that was cut by another number of lanes."""
ALL = [*TRACES, *STRAYS]


def matched() -> Matched:
    predicates = []
    for number, text in enumerate(FILTERS):
        rule = dsl.check(f"when {{ {text} }} always {{ other.thing }}").rule
        assert rule is not None, text
        predicates.append((number, rule.predicates[0]))
    comparing = dsl.check(COMPARING).promise
    assert comparing is not None
    return Matched(
        predicates=tuple(predicates),
        counted=sum(1 << n for n in COUNTED),
        needs_extent=True,
        needs_links=True,
        kept=dict.fromkeys(KEPT, comparing.captures),
        begins_outside=True,
    )


MATCHED = matched()

VALUES = st.one_of(
    st.sampled_from(["EUR", "USD", "eu", "12", "", "x" * 200]),
    st.integers(-(2**63), 2**63 - 1) | st.integers(5, 15),
    st.floats(allow_nan=False),
    st.booleans(),
)
KEYS = st.sampled_from(["amount", "currency", "region", "amounts", "currencx", LONG, "map.inner"])


def attribute(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=as_any_value(value))


MAPS = st.sampled_from([{"inner": "x"}, {"inner": {"leaf": 7}}])
ATTRIBUTES = st.lists(
    st.builds(attribute, KEYS, VALUES)
    | st.builds(
        attribute, st.just("map"), st.sampled_from([{"inner": "x"}, {"inner": {"leaf": 7}}])
    ),
    max_size=5,
)
CROWDS = st.sampled_from([[], [], [attribute("xmount", 1)] * (interpreted.MAX_NOTED + 6)])
"""More attributes of a key like `amount`, at the first look, than there are places to note."""


@st.composite
def spans(draw: st.DrawFn) -> Span:
    return Span(
        trace_id=draw(st.sampled_from([*ALL, b"short"])),
        span_id=draw(st.sampled_from([b"span-000", b"span-001", b"span-002"])),
        parent_span_id=draw(st.sampled_from([b"", bytes(8), b"\0parent-", b"span-001"])),
        trace_state=draw(st.sampled_from(["", "a=b"])),
        name=draw(st.sampled_from(["pay", "log", "other", ""])),
        kind=draw(st.integers(0, 5)),
        start_time_unix_nano=draw(st.sampled_from([0, 1, 2**62, 2**64 - 1])),
        end_time_unix_nano=draw(st.integers(0, 9)),
        attributes=draw(CROWDS) + draw(ATTRIBUTES),
        dropped_attributes_count=draw(st.sampled_from([0, 0, 3])),
        events=[Span.Event(name="e", attributes=draw(ATTRIBUTES))],
        status={"code": draw(st.integers(0, 4)), "message": draw(st.sampled_from(["", "m"]))},
        flags=draw(st.sampled_from([0, 0x301, 0x100, 0x200, 0xFF])),
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request; fields of its spans may stand in any order, or twice."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(1, 3))):
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.extend(draw(ATTRIBUTES))
        of_resource.resource.dropped_attributes_count = draw(st.sampled_from([0, 0, 1]))
        for _ in range(draw(st.integers(0, 2))):
            of_resource.scope_spans.add().spans.extend(draw(st.lists(spans(), max_size=4)))
    payload = request.SerializeToString()
    if draw(st.booleans()):
        payload = draw(unusual(payload))
    return payload


@st.composite
def unusual(draw: st.DrawFn, payload: bytes) -> bytes:
    """The same with unknown fields, groups, a value before its key, and an overlong varint."""
    span = Span(trace_id=TRACES[0], span_id=b"span-009", name="log").SerializeToString()
    late = draw(
        st.sampled_from(
            [
                b"\x2a\x03pay",  # the name again: the last one counts
                b"\xa3\x06\x08\x01\xa4\x06",  # a group nobody knows
                b"\x4a\x10\x12\x03\x18\x8c\x01\x0a\x06amount\x0a\x01a",
                b"\x4a\x0e\x12\x02\x18\x0c\x0a\x06amount\x12\x00",
                b"\x50\x80\x80\x00",  # nothing dropped, in three bytes
                b"\x98\x06\x05",
            ]
        )
    )
    span += late
    scope_spans = b"\x12" + bytes((len(span),)) + span + b"\x0a\x03\x0a\x01s"
    resource_spans = b"\x12" + bytes((len(scope_spans),)) + scope_spans + b"\x0a\x00"
    return payload + b"\x0a" + bytes((len(resource_spans),)) + resource_spans


def read_by(module: ModuleType, payload: bytes) -> Facts | None:
    index = build_index(MATCHED, reading=module)
    reading = module.Reading(index, tenant=TENANT, lane=LANE, prefix_crc=tenant_prefix_crc(TENANT))
    try:
        facts: Facts = reading.read(payload)
    except module.Malformed:
        return None
    return facts


def by_trace(facts: Facts) -> dict[bytes, tuple[int, int, int]]:
    """(spans, predicates that hold, predicates that might hold and are not known to)."""
    found = {}
    for trace_id, spans_count, _, number in facts.fragments:
        true, maybe = facts.sets[number]
        found[trace_id] = (spans_count, true, maybe & ~true)
    return found


def expected(payload: bytes) -> dict[bytes, tuple[int, int, int]]:
    """The same from whole spans, each asked every predicate."""
    found: dict[bytes, list[int]] = {}
    for span in decode_spans(payload):
        if span.trace_id not in ALL:
            continue
        row = found.setdefault(span.trace_id, [0, 0, 0])
        row[0] += 1
        for number, predicate in MATCHED.predicates:
            holds = predicate.test(span)
            row[1] |= (holds is True) << number
            row[2] |= (holds is None) << number
    return {trace: (n, true, maybe & ~true) for trace, (n, true, maybe) in found.items()}


@given(requests())
def test_a_record_read_by_hand_says_what_its_spans_say(payload: bytes) -> None:
    facts = read_by(interpreted, payload)
    assert facts is not None
    assert by_trace(facts) == expected(payload)
    decoded = [span for span in decode_spans(payload) if span.trace_id in ALL]
    assert facts.rejected == len(decode_spans(payload)) - len(decoded)
    roots = sorted((s.span_id, s.name) for s in decoded if not any(s.parent_span_id))
    assert sorted((span_id, name) for _, span_id, _, name, _ in facts.roots) == roots
    counted = sorted(
        (s.span_id, number, holds is True)
        for s in decoded
        for number in COUNTED
        if (holds := MATCHED.predicates[number][1].test(s)) is not False
    )
    found = [(span_id, number, certain) for _, span_id, _, number, certain in facts.counted]
    assert sorted(found) == counted


def kept_of(span: dsl.SpanView) -> tuple[KeptSpan, dict[int, bool]] | None:
    """What is to be kept of a span, and the predicates that ask for it."""
    holds = {number: MATCHED.predicates[number][1].test(span) for number in KEPT}
    answers = {number: answer is True for number, answer in holds.items() if answer is not False}
    if not answers:
        return None
    comparing = dsl.check(COMPARING).promise
    assert comparing is not None
    captures = {capture.hash: capture for capture in comparing.captures}
    kept = kept_span(span, captures, Moment(arrived_ns={span.span_id: 7}))
    values = {number: kept.values[number] for number in captures}
    return replace(kept, parent_id=kept.parent_id.ljust(8, b"\0"), values=values), answers


@given(requests())
def test_what_is_kept_of_spans_is_what_the_language_keeps(payload: bytes) -> None:
    facts = read_by(interpreted, payload)
    assert facts is not None
    decoded = [span for span in decode_spans(payload) if span.trace_id in ALL]
    expected = [kept for span in decoded if (kept := kept_of(span)) is not None]
    members = [unpack_member(member, arrived_ns=7) for _, member in facts.kept.members]
    assert [(member.span, dict(member.answers)) for member in members] == expected
    links = sorted(s.span_id + s.parent_span_id.ljust(8, b"\0") for s in decoded)
    chains = b"".join(chain for _, chain in facts.kept.chains)
    assert sorted(chains[at : at + 16] for at in range(0, len(chains), 16)) == links
    assert not facts.kept.truncated


@given(requests())
def test_what_may_stand_for_a_root_is_noted_where_no_root_came(payload: bytes) -> None:
    facts = read_by(interpreted, payload)
    assert facts is not None
    decoded = [span for span in decode_spans(payload) if span.trace_id in ALL]
    rootless = {t for t in ALL if all(any(s.parent_span_id) for s in decoded if s.trace_id == t)}
    came = {t: {s.span_id for s in decoded if s.trace_id == t} for t in rootless}
    arrivals = {facts.fragments[at][0]: ids for at, ids in facts.outside.arrivals}
    told = {t: {ids[at : at + 8] for at in range(0, len(ids), 8)} for t, ids in arrivals.items()}
    assert told == {t: ids for t, ids in came.items() if ids}
    called = [
        (s.trace_id, s.span_id, s.parent_span_id.ljust(8, b"\0"), s.name, s.service)
        for s in decoded
        if s.trace_id in rootless
        and has_remote_parent(s)
        and s.parent_span_id not in came[s.trace_id]
    ]
    noted = [
        (facts.fragments[at][0], s.span_id, s.parent_id, s.name, s.service)
        for at, s in facts.outside.called
    ]
    assert sorted(noted) == sorted(called)


@given(requests(), st.randoms(use_true_random=False))
def test_bytes_that_are_damaged_give_facts_or_are_refused(
    payload: bytes, chance: random.Random
) -> None:
    damaged = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    cut = bytes(damaged[: chance.randint(0, len(damaged))])
    for content in (bytes(damaged), cut):
        read_by(interpreted, content)


@pytest.mark.skipif(
    reading_module() is interpreted, reason="there is no C compiler: nothing was compiled"
)
class TestCompiled:
    """The compiled module is the same function."""

    @given(requests(), st.randoms(use_true_random=False))
    def test_compiled_and_interpreted_agree_on_any_bytes(
        self, payload: bytes, chance: random.Random
    ) -> None:
        damaged = bytearray(payload)
        for _ in range(chance.randint(0, 4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        content = bytes(damaged)
        assert read_by(reading_module(), content) == read_by(interpreted, content)


def only(payload: bytes, *, keeps: Callable[[bytes], bool]) -> bytes:
    """Return a request without the spans whose trace ids are not wanted."""
    request = ExportTraceServiceRequest.FromString(payload)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            kept = [span for span in scope_spans.spans if keeps(span.trace_id)]
            del scope_spans.spans[:]
            scope_spans.spans.extend(kept)
    return request.SerializeToString()


@given(requests())
def test_what_a_lane_gets_of_a_record_is_what_its_spans_alone_would_have_given(
    payload: bytes,
) -> None:
    index, crc = build_index(MATCHED, reading=interpreted), tenant_prefix_crc(TENANT)
    pack = engine_module("facts").pack_facts

    def read(payload: bytes, lane: int) -> tuple[Facts, bool]:
        reading = interpreted.Reading(index, tenant=TENANT, lane=lane, prefix_crc=crc)
        return reading.read(payload), reading.has_strays()

    facts, has_strays = read(only(payload, keeps=lambda _: True), LANE)
    cut = cut_by_lane(facts, prefix_crc=crc, lane=LANE)
    assert has_strays == any(lane != LANE for lane in cut if cut[lane].spans)
    assert list(cut) == sorted(cut)
    assert sum(part.rejected for part in cut.values()) == facts.rejected
    for lane, part in cut.items():

        def belongs(trace_id: bytes, lane: int = lane) -> bool:
            if len(trace_id) != 16:  # rejected: it stays where the record said
                return lane == LANE
            return lane_of(TENANT, trace_id) == lane

        alone, strays = read(only(payload, keeps=belongs), lane)
        assert not strays
        assert pack(part) == pack(alone)
