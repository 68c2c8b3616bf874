"""The shipped rules on spans as they stand behind `ingest`: redacted by the defaults.

Every test that a rule carries must come to what it does on spans that nobody has touched: a rule
whose eyes redaction takes is of no use to whoever installs it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from api.rules.redacted import Redacted, redacted_rule
from dsl.library import packs
from dsl.objects import RuleDocument, RuleObject, RuleTest, parse_rules
from dsl.suites import TestResult, run
from tests.support.redaction import redactor
from udfs.otlp import REMOVED_TEXT, any_value, key_values

REDACTOR: Final = redactor()
DOCUMENTS: Final = {pack.id: parse_rules(pack.text, filename=f"{pack.id}.yaml") for pack in packs()}
RULES: Final = [rule for document in DOCUMENTS.values() for rule in document.rules]


def ids(rule: RuleObject) -> str:
    return rule.id


@cache
def judged(rule: str) -> Redacted:
    return redacted_rule(rule, REDACTOR)


def redacted_document(document: RuleDocument) -> RuleDocument:
    """Return rules as they are judged, with the traces of their tests redacted."""
    return replace(
        document,
        rules=tuple(replace(one, rule=judged(one.rule).text or one.rule) for one in document.rules),
        tests=tuple(map(redacted_test, document.tests)),
    )


def redacted_test(test: RuleTest) -> RuleTest:
    return replace(
        test,
        rule=judged(test.rule).text or test.rule,
        trace=redacted_trace(test.trace),
        traces=test.traces
        and tuple({**one, "trace": redacted_trace(one["trace"])} for one in test.traces),
    )


def redacted_trace(trace: Any) -> Any:
    return [redacted_entry(entry) for entry in trace] if isinstance(trace, list) else trace


def redacted_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a span as it would be written of what is left of it."""
    resource = {**entry.get("resource", {})}
    if "service" in entry:
        resource["service.name"] = entry["service"]
    sent = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=key_values(resource)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(attributes=key_values(entry.get("scope", {}))),
                        spans=[span_of(entry)],
                    )
                ],
            )
        ]
    )
    value, _ = REDACTOR.record(sent.SerializeToString())
    (of_resource,) = ExportTraceServiceRequest.FromString(value).resource_spans
    (of_scope,) = of_resource.scope_spans
    (span,) = of_scope.spans
    left, gone = kept(span.attributes)
    resource, gone_of_resource = kept(of_resource.resource.attributes)
    fields = {
        "name": span.name,
        "status_message": span.status.message,
        "attributes": left,
        "resource": resource,
        "scope": kept(of_scope.scope.attributes)[0],
        "redacted": [*gone, *gone_of_resource],
        "events": [
            {**event, "name": after.name, "attributes": kept(after.attributes)[0]}
            for event, after in zip(entry.get("events", ()), span.events, strict=True)
        ],
        "links": [
            {**link, "attributes": kept(after.attributes)[0]}
            for link, after in zip(entry.get("links", ()), span.links, strict=True)
        ],
    }
    return {**{k: v for k, v in entry.items() if k != "service"}, **fields}


def span_of(entry: Mapping[str, Any]) -> Span:
    return Span(
        trace_id=bytes(15) + b"\1",
        span_id=bytes(7) + b"\1",
        name=str(entry["name"]),
        status=Status(message=entry.get("status_message", "")),
        attributes=key_values(entry.get("attributes", {})),
        events=[
            Span.Event(name=one.get("name", ""), attributes=key_values(one.get("attributes", {})))
            for one in entry.get("events", ())
        ],
        links=[
            Span.Link(attributes=key_values(one.get("attributes", {})))
            for one in entry.get("links", ())
        ],
    )


def kept(attributes: Any) -> tuple[dict[str, Any], list[str]]:
    """Return what attributes hold still, and the keys of those that were removed."""
    values = {one.key: any_value(one.value) for one in attributes}
    gone = [key for key, value in values.items() if value == REMOVED_TEXT]
    return {key: value for key, value in values.items() if key not in gone}, gone


@cache
def results() -> dict[str, list[tuple[TestResult, TestResult]]]:
    """Return of each rule its tests, as they are and on redacted spans."""
    found: dict[str, list[tuple[TestResult, TestResult]]] = {}
    for document in DOCUMENTS.values():
        after = run(redacted_document(document)).tests
        for test, same in zip(run(document).tests, after, strict=True):
            found.setdefault(test.rule, []).append((test, same))
    return found


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_says_the_same_of_redacted_spans(rule: RuleObject) -> None:
    differing = [
        (before.name, before.verdict, after.verdict)
        for before, after in results()[rule.id]
        if before.verdict != after.verdict
    ]
    assert differing == []


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_redaction_has_nothing_to_say_against_a_rule(rule: RuleObject) -> None:
    said = judged(rule.rule)
    assert (*said.problems, *said.warnings) == ()


def test_the_spans_of_tests_are_redacted() -> None:
    before = {
        "name": "a",
        "service": "shop",
        "attributes": {"user.email": "ada@example.com", "password": "x", "n": 1},
        "events": [{"name": "e", "attributes": {"note": "of ada@example.com"}}],
    }
    after = redacted_entry(before)
    assert (after["attributes"].pop("user.email")[:5], after["attributes"]) == ("hash:", {"n": 1})
    assert (after["redacted"], after["resource"]) == (["password"], {"service.name": "shop"})
    assert "ada@example.com" not in str(after["events"])
