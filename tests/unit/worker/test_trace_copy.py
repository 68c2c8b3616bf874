"""A trace made whole out of what was read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import dsl
from api.worker.trace_copy import (
    FoundSpan,
    distinct,
    explained,
    fingerprint,
    lacks_parent,
    names_of,
    root_of,
    services_of,
    spans_of,
    to_json,
)
from dsl.exceptions import RuleException

TRACE = bytes(15) + b"\x01"


def found(
    *spans: tuple[str, str, str, int], offset: int = 0, service: str = "shop", flags: int = 0
) -> list[FoundSpan]:
    """Return spans of (name, id, parent, start in ns) that came in one record."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = service
    scope_spans = resource_spans.scope_spans.add()
    for name, span_id, parent, start_ns in spans:
        scope_spans.spans.add(
            trace_id=TRACE,
            span_id=span_id.encode().ljust(8),
            parent_span_id=parent.encode().ljust(8) if parent else b"",
            name=name,
            start_time_unix_nano=start_ns,
            flags=flags,
        )
    return spans_of(request.SerializeToString(), TRACE, offset=offset)


def names(spans: list[FoundSpan]) -> list[tuple[int, str]]:
    return [(each.offset, each.span.name) for each in spans]


def test_of_equal_spans_the_first_taken_in_is_kept() -> None:
    later = found(("a", "1", "", 5), ("b", "2", "1", 6), offset=9)
    earlier = found(("a", "1", "", 5), offset=3)
    assert names(distinct(later + earlier)) == [(3, "a"), (9, "b")]


def test_a_shared_id_with_another_name_or_start_is_another_span() -> None:
    spans = found(("a", "1", "", 5), ("b", "1", "", 5), ("a", "1", "", 6))
    assert distinct(spans) == spans


def test_a_trace_lacks_a_parent_until_it_has_come() -> None:
    child = found(("b", "2", "1", 6))
    assert lacks_parent(child)
    assert not lacks_parent(child + found(("a", "1", "", 5)))


def test_the_root_is_the_earliest_span_without_a_parent() -> None:
    root = root_of(found(("late", "1", "", 9), ("child", "2", "1", 1), ("early", "3", "", 5)))
    assert root is not None
    assert root.name == "early"


def test_a_trace_of_orphans_has_no_root() -> None:
    assert root_of(found(("b", "2", "1", 6))) is None


def test_a_trace_that_begins_outside_is_called_by_the_span_that_was_called() -> None:
    spans = found(("a", "2", "1", 6), flags=0x300) + found(("b", "3", "2", 7))
    assert names_of(spans)["root_name"] == ""
    assert names_of(spans, external_roots=True)["root_name"] == "a"
    rooted = spans + found(("r", "1", "", 5))
    assert names_of(rooted, external_roots=True)["root_name"] == "r"


@pytest.mark.parametrize(
    ("closed", "external_roots", "verdict"),
    [(True, True, "violated"), (True, False, "inconclusive"), (False, True, "inconclusive")],
)
def test_a_closed_trace_that_begins_outside_is_explained_as_it_was_judged(
    closed: bool, external_roots: bool, verdict: str
) -> None:
    rule = dsl.check("when { a as q } always { login ancestor of q }").promise
    assert rule is not None
    spans = found(("a", "2", "1", 6), flags=0x300) + found(("login", "3", "2", 7))
    told = explained(
        rule,
        spans,
        rule_id="r",
        verdict="violated",
        closed=closed,
        group_by=(),
        external_roots=external_roots,
        judged_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert json.loads(told.json)["verdict"] == verdict


def test_services_are_named_once_and_sorted() -> None:
    spans = found(("a", "1", "", 1), service="shop") + found(("b", "2", "1", 2), service="bank")
    assert services_of(spans + spans) == ["bank", "shop"]


def test_spans_without_a_usable_id_or_of_another_trace_are_left_out() -> None:
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add().scope_spans.add()
    scope_spans.spans.add(trace_id=TRACE, span_id=b"short", name="a")
    scope_spans.spans.add(trace_id=bytes(16), span_id=b"12345678", name="b")
    assert spans_of(request.SerializeToString(), TRACE, offset=0) == []


def test_a_fingerprint_depends_on_rule_and_values_but_not_on_their_order() -> None:
    one = fingerprint("r", {"service": "shop", "user": 7})
    assert one == fingerprint("r", {"user": 7, "service": "shop"})
    assert len({one, fingerprint("q", {"service": "shop", "user": 7}), fingerprint("r", {})}) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, '"NaN"'),
        ([-math.inf, math.inf], '["-Infinity","Infinity"]'),
        ({"a\0": "b\0"}, '{"a\ufffd":"b\ufffd"}'),
        ("\\u0000", '"\\\\u0000"'),
        (2**64, str(2**64)),
    ],
)
def test_json_says_what_jsonb_can_hold(value: Any, text: str) -> None:
    assert to_json(value) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_json_is_read_back_as_it_was_but_for_nul_and_infinities(value: Any) -> None:
    text = to_json(value)
    assert "\0" not in text
    if "\\u0000" not in json.dumps(value) and "Infinity" not in json.dumps(value):
        assert json.loads(text) == value


def test_a_rule_about_single_spans_is_explained_on_the_copied_spans() -> None:
    text = "when { login and transfer as t } always { check after t within 30m }"
    rule = dsl.check(text).promise
    assert rule is not None
    spans = found(("login", "l", "", 5), service="door")
    spans += found(("check", "c", "l", 6), ("transfer", "t", "l", 9), offset=1, service="bank")
    exceptions = [RuleException("service == door", "no"), RuleException("name == transfer", "yes")]
    told = explained(
        rule,
        spans,
        rule_id="r",
        verdict="violated",
        closed=True,
        group_by=["service", "name"],
        exceptions=exceptions,
        judged_at=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert told.agrees
    assert told.group_values == {"service": "bank", "name": "transfer"}
    assert told.exception == exceptions[1]
    violated = json.loads(told.json)["violated"]
    assert violated == [[{"binding": "t", "span_id": b"t".ljust(8).hex()}]]
