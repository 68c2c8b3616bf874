"""Any file of rules, any trace: values or problems, never an exception.

Files are mutated twice over: as text, and as the tree of a valid file in which one piece is
exchanged for something that no one expects there.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check, judge_spans, render, spans_from_otlp_json
from dsl.documents import read_document
from dsl.many.rule_set import check_together
from dsl.objects import parse_rules
from dsl.suites import run
from dsl.traces import TraceError, span_from_fields

PROMISES = """
- id: pii-needs-audit
  name: PII access is audited
  severity: high
  state: active
  controls: [soc2.CC7.2]
  tags: [privacy]
  settle: 10s
  on_incomplete: hold
  group_by: [service, user.id]
  exceptions:
    - {where: "service == staging", reason: load tests, owner: ada, until: 2027-01-31}
  rule: |
    when   { db.query.where(pii == true) as q and q.rows * 2 + 1 > 1 }
    always { audit.log.where(user.id == q.user.id) after q within 5s }
    never  { a then b within 1s or sum(rows of db.query child of q) > q.duration / 1ms }
  tests:
    - name: audited
      trace:
        - {name: GET /, id: r, duration: 2s, kind: server, status: ok, scope: {name: lib}}
        - {name: db.query, id: q, parent: r, service: crm, attributes: {pii: true, rows: 7}}
        - {name: audit.log, parent: r, start: 200ms, arrives: 1s, attributes: {user.id: u1}}
        - {name: x, events: [{name: e, time: 1s, attributes: {k: [1, {m: 2}]}}], redacted: [p]}
        - {name: y, links: [{trace_id: t, span_id: r}], dropped_attributes_count: 1}
      expect: [{at: 10s, verdict: inconclusive}, {at: 1m, verdict: [violated, satisfied]}]
    - {name: refused, rule: "when {", expect: rejected}
"""
MANY = """
rules:
  - {id: p, rule: "when { a } always { b }", group_by: [user.id]}
  - id: c
    rule: >-
      correlate { violated("p") or login.where(user.id exists) } by user.id within 10m
      having count >= 1 and sum(amount) > -1 or distinct(trace) > 1
    tests:
      - name: two
        traces:
          - {at: 1s, trace: [{name: a, attributes: {user.id: u, amount: 1e3}}]}
          - {at: 2m, trace: [{name: login, start: 1s, attributes: {user.id: u, amount: "7"}}]}
        expect: [{at: 3m, verdict: violated}, {at: 1h, verdict: satisfied}]
tests:
  - name: nightly
    rule: "expect { backup } every 24h by service in [crm, 7]"
    traces: [{at: 1h, trace: [{name: backup, service: crm}]}]
    expect: [violated, satisfied]
"""
OTLP: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "crm"}}],
                "droppedAttributesCount": 1,
            },
            "scopeSpans": [
                {
                    "scope": {"name": "lib", "version": "1", "attributes": []},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "db.query",
                            "kind": "SPAN_KIND_SERVER",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": 1544712661000000000,
                            "status": {"code": 2, "message": "no"},
                            "attributes": [
                                {"key": "pii", "value": {"boolValue": True}},
                                {"key": "rows", "value": {"intValue": "7"}},
                                {"key": "ratio", "value": {"doubleValue": 0.5}},
                                {"key": "raw", "value": {"bytesValue": "AAEC"}},
                                {
                                    "key": "list",
                                    "value": {"arrayValue": {"values": [{"intValue": 1}]}},
                                },
                                {
                                    "key": "map",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [{"key": "k", "value": {"intValue": 1}}]
                                        }
                                    },
                                },
                            ],
                            "events": [{"timeUnixNano": 1, "name": "e", "attributes": []}],
                            "links": [{"traceId": "00", "spanId": "01", "attributes": []}],
                            "droppedEventsCount": 3,
                        }
                    ],
                }
            ],
        }
    ]
}

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**30, -(10**300), 2**63, 1e308, float("inf"), float("nan"), -0.0]),
    st.sampled_from(["", "10s", "-1d", "\0", "\ud800", "\ufeff", "when {", "violated", "x" * 999]),
    st.text(max_size=20),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers()), max_size=2),
)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to every piece of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = [path]
    for key, value in inner:
        found += _paths(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
    return found


def _with(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a tree with another value at a path."""
    if not path:
        return value
    first, *rest = path
    inner = _with(tree[first], tuple(rest), value)
    if isinstance(tree, dict):
        return {**tree, first: inner}
    return [*tree[:first], inner, *tree[first + 1 :]]


@st.composite
def mutated(draw: st.DrawFn, tree: Any) -> Any:
    """A tree in which a few pieces are exchanged."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(tree))) if isinstance(tree, dict | list) else ()
        tree = _with(tree, path, draw(STRANGE))
    return tree


def _read_whole(text: str, filename: str) -> None:
    """Read a file, check its rules together, run its tests, and show all that came of it."""
    document = parse_rules(text, filename=filename)
    for problem in document.problems:
        json.dumps(problem.to_dict())
    render(text, document.problems)
    for rule, checked in check_together(document.rules):
        json.dumps(rule.to_dict())
        [rule.in_file(problem) for problem in (*checked.problems, *checked.warnings)]
    result = run(document)
    assert result.passed + result.failed == len(document.tests)
    json.dumps(result.to_dict())


TREES = [read_document(text, filename="rules.yaml").values[0] for text in (PROMISES, MANY)]


@settings(deadline=None)
@given(st.sampled_from(TREES).flatmap(mutated))
def test_a_file_with_strange_pieces(tree: Any) -> None:
    _read_whole(json.dumps(tree), "rules.json")


@settings(deadline=None)
@given(st.sampled_from(TREES).flatmap(mutated))
def test_a_file_with_strange_pieces_in_yaml(tree: Any) -> None:
    _read_whole(yaml.safe_dump(tree, allow_unicode=True), "rules.yaml")


PIECES = (
    *(":", "- ", "{", "}", "[", "]", "\n", "\n  ", "|", ">", '"', "'", "&a ", "*a", "!!int "),
    *(
        "#",
        "%YAML 1.1\n---\n",
        "---\n",
        "...\n",
        "\t",
        "\0",
        "\ufeff",
        "\u2028",
        "\x85",
        "<<: ",
        "0x1",
    ),
)


@settings(deadline=None)
@given(st.sampled_from([PROMISES, MANY, json.dumps(TREES[0])]), st.data())
def test_a_file_with_pieces_cut_or_put_in(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 8))
        text = text[:at] + data.draw(st.sampled_from(("", *PIECES))) + text[at + cut :]
    _read_whole(text, "rules.yaml")
    _read_whole(text, "rules.json")


@settings(deadline=None)
@given(
    st.one_of(st.text(max_size=100), st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
)
def test_any_characters(text: str) -> None:
    _read_whole(text, "rules.yaml")
    _read_whole(text, "rules.json")


WITNESS = check(
    "when { any.where(pii == true or list contains 1 or map.k == 1 or raw exists) as q"
    " and q.rows * q.rows > 1 } always { any.where(event.name == e and ratio < 1) descendant of q }"
).promise


@settings(deadline=None)
@given(mutated(OTLP))
def test_an_otlp_trace_with_strange_pieces(tree: Any) -> None:
    try:
        spans = spans_from_otlp_json(json.loads(json.dumps(tree)))
    except TraceError:
        return
    assert WITNESS is not None
    assert judge_spans(WITNESS, spans).verdict


@settings(deadline=None)
@given(st.sampled_from(TREES[0][0]["tests"][0]["trace"]).flatmap(mutated))
def test_a_span_of_a_suite_with_strange_pieces(fields: Any) -> None:
    if not isinstance(fields, dict):
        return
    try:
        span = span_from_fields(fields, position=0)
    except TraceError:
        return
    assert WITNESS is not None
    assert judge_spans(WITNESS, [span]).verdict
