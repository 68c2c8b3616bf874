"""Some traces of a backtest whole, with what both versions say about each of their spans."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import dsl
from api.worker.backtests.work import Sides
from api.worker.redaction import RedactSpans
from api.worker.spans_log import SpansLog
from api.worker.sweep import Range, merged, spans_of_traces
from api.worker.trace_copy import MAX_SPANS, FoundSpan, distinct, spans_of, to_json
from udfs.backtest.difference import Kind, Row
from udfs.backtest.outcomes import OPEN, Outcome
from udfs.rulebook import Rule

EXAMPLES_PER_KIND = 2
"""Of each partition."""


class Example(NamedTuple):
    """A trace of a row. explanations: JSON {was, now}, each as `dsl.Explanation.to_dict`."""

    found: Sequence[FoundSpan]
    whole: bool
    explanations: str
    external_roots: bool = False
    """Whether it is over, and may begin outside of what the tenant exports."""


RowKey = tuple[str, bytes]
"""Rule id and trace id."""


def chosen(rows: Sequence[Row]) -> list[Row]:
    """Return the rows to show whole: the first ones of each kind."""
    taken: dict[Kind, int] = {}
    picked = []
    for row in rows:
        taken[row.kind] = taken.get(row.kind, 0) + 1
        if taken[row.kind] <= EXAMPLES_PER_KIND:
            picked.append(row)
    return picked


def read_examples(
    rows: Sequence[Row], sides: Sides, log: SpansLog, *, partition: int, redact: RedactSpans
) -> dict[RowKey, Example]:
    """Read the traces of rows again and explain them.

    redact: spans that `ingest` has not redacted. A trace that the log no longer holds is left out.
    Raises LogUnavailable and RangeExpired of `api.worker.spans_log`, RedactionUnavailable.
    """
    wanted = {
        row.trace.trace_id: Range(partition, row.trace.first_offset, row.trace.last_offset)
        for row in rows
    }
    found = _read(wanted, log, tenant=sides.now.tenant, redact=redact)
    now_rules = {rule.id: rule for rule in sides.now.rules}
    was_rules = {rule.id: rule for rule in sides.was.rules} if sides.was else {}
    examples = {}
    for row in rows:
        spans = distinct(found[row.trace.trace_id][:MAX_SPANS])
        if not spans:
            continue
        external_roots = sides.now.settings_at(row.trace.begin_ms).external_roots
        told = {
            "was": _explain(was_rules.get(row.rule_id), row.was, spans, external_roots),
            "now": _explain(now_rules.get(row.rule_id), row.now, spans, external_roots),
        }
        whole = len(found[row.trace.trace_id]) <= MAX_SPANS
        examples[row.rule_id, row.trace.trace_id] = Example(
            spans, whole, json.dumps(told), external_roots and row.now.verdict != OPEN
        )
    return examples


def _read(
    wanted: Mapping[bytes, Range], log: SpansLog, *, tenant: str, redact: RedactSpans
) -> dict[bytes, list[FoundSpan]]:
    found: dict[bytes, list[FoundSpan]] = {trace_id: [] for trace_id in wanted}
    for stretch in merged(wanted.values()):
        for record in log.read(stretch):
            if record.tenant != tenant:
                continue
            here = [trace_id for trace_id, each in wanted.items() if each.holds(record.offset)]
            for trace_id, payload in spans_of_traces(record.payload, here).items():
                if len(found[trace_id]) <= MAX_SPANS:
                    if not record.is_redacted:
                        payload = redact(tenant, payload)
                    found[trace_id] += spans_of(payload, trace_id, offset=record.offset)
    return found


def _explain(
    rule: Rule | None, outcome: Outcome | None, found: Sequence[FoundSpan], external_roots: bool
) -> object | None:
    """Return the explanation as JSON values, None where there is no such version."""
    if rule is None or outcome is None:
        return None
    compiled = dsl.check(rule.record.text).promise
    if compiled is None:
        return None
    complete = outcome.verdict not in (OPEN, dsl.Verdict.INCONCLUSIVE)
    moment = dsl.Moment(external_roots=external_roots and outcome.verdict != OPEN)
    spans = [each.span for each in found]
    told = dsl.explain(compiled, spans, complete=complete, moment=moment).to_dict()
    return json.loads(to_json(told))  # type: ignore[no-any-return]
