"""One large trace against rules with structure: bindings, relations, sequences, aggregates.

They are judged on the whole spans, as suites and the API's trial do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

import dsl
from api.bench.drafts import TraceDraft
from api.bench.rules import rule_mix
from api.bench.traffic import Planter, TrafficSettings, draft_trace

_BEGIN_NS = 1_795_000_000_000_000_000

_STRUCTURED = (
    'when {{ db.query.where(user.id == "u{k}") as q }}\n'
    "always {{ any.where(kind == server) ancestor of q }}",
    'when {{ payment.charge.where(user.id == "u{k}") as p }}\n'
    "always {{ audit.log.where(user.id == p.user.id) after p within 5s }}",
    'when {{ http.call.where(user.id == "u{k}") as c }}\n'
    "never {{ db.query.where(user.id == c.user.id) child of c }}",
    'when {{ order.place.where(user.id == "u{k}") as o }}\n'
    "never {{ count(db.query descendant of o) > 5{k} }}",
    'when {{ login.attempt.where(user.id == "u{k}") then payment.charge then audit.log'
    " within 10s }}\n"
    "always {{ fraud.check }}",
    "when {{ payment.charge }}\n"
    'never {{ sum(payment.amount of payment.charge.where(user.id == "u{k}")) > 100000 }}',
    "when {{ db.query }}\n"
    'never {{ p95(duration of db.query.where(db.collection.name == "table_{k}")) > 2s }}',
    "when {{ file.read }}\n"
    "never {{ distinct(user.id of file.read.where(thread.id == {k})) > 1{k} }}",
    'when {{ cache.get.where(user.id == "u{k}") as g }}\n'
    "never {{ db.query.where(status == error) during g }}",
    'when {{ order.place.where(user.id == "u{k}") as o\n'
    "       and payment.charge.where(user.id == o.user.id) after o as p }}\n"
    "never {{ payment.bypass.where(user.id == o.user.id) after p }}",
)


@dataclass(frozen=True, slots=True)
class JudgedTrace:
    """The CPU time until one trace was judged by so many rules. judged_by: what rules they are."""

    judged_by: str
    spans: int
    rules: int
    ms: float


def judge_structured(rules: int, *, spans: int, repeats: int) -> JudgedTrace:
    """Measure one trace of so many spans against rules that look at spans one by one."""
    rng = Random(1)
    drafted = draft_trace(rng, Planter(rule_mix(rules), TrafficSettings()), size=spans)
    trace = spans_of(drafted, rng)
    compiled = structured_rules(rules)
    times_ms = []
    for _ in range(repeats):
        begun_ns = time.process_time_ns()
        at_hand = dsl.SpansAtHand(trace)
        for rule in compiled:
            dsl.judge_spans(rule, at_hand)
        times_ms.append((time.process_time_ns() - begun_ns) / 1e6)
    return JudgedTrace("rules with structure", spans, rules, min(times_ms))


def structured_rules(count: int) -> tuple[dsl.CompiledRule, ...]:
    """Return so many rules that look at spans one by one, of ten patterns in turn."""
    patterns = len(_STRUCTURED)
    rules = []
    for number in range(count):
        checked = dsl.check(_STRUCTURED[number % patterns].format(k=number // patterns))
        if checked.promise is None:
            raise AssertionError(checked.problems)
        rules.append(checked.promise)
    return tuple(rules)


def spans_of(trace: TraceDraft, rng: Random) -> list[dsl.Span]:
    """Return the spans of a draft as the language sees them."""
    ids = [rng.randbytes(8) for _ in trace.spans]
    return [
        dsl.Span(
            span_id=span_id,
            parent_span_id=b"" if span.parent is None else ids[span.parent],
            name=span.operation.name,
            kind=span.operation.kind.name.lower(),
            status="error" if span.error else "unset",
            start_ns=_BEGIN_NS + span.start_ns,
            end_ns=_BEGIN_NS + span.end_ns,
            attributes=span.attributes,
            resource={"service.name": span.operation.service},
        )
        for span, span_id in zip(trace.spans, ids, strict=True)
        if not span.lost
    ]
