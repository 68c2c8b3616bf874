"""Asking an exception of what is at hand: signals with their spans, tests, cases.

By the functions that decide in the stream (`dsl.exceptions`, `dsl.showing`): here is only what they
are asked of. A stored trace may hold spans that came after its signal was judged. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from time import thread_time
from typing import Any, Final

import dsl
from api.cases.model import Case
from api.exceptions.model import PAST_SECONDS, Kept, PastSignal, Unproven
from api.samples.model import Sample
from dsl.exceptions import RuleException, silencing, span_of_key
from dsl.excusing import Violation, expected_violations, shown_violation, violations_in
from dsl.judging import Moment
from dsl.life import Before
from dsl.many.trials import TriedRule
from dsl.objects import RuleDocument, parse_rules
from dsl.spans import Span
from dsl.suites import tried_rules
from dsl.traces import TraceError

_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """An exception as it is asked: of redacted spans, and of spans as people write them."""

    redacted: RuleException
    at: datetime

    @property
    def plain(self) -> RuleException:
        """The exception as it was written."""
        return replace(self.redacted, judged="")

    def silences(self, span: dsl.SpanView | None) -> bool:
        """Tell whether a violation that a stored span stands for would be silenced."""
        return silencing([self.redacted], span, at=self.at) is not None

    def silences_written(self, span: dsl.SpanView | None) -> bool:
        """Tell the same of a span that was written down, and not redacted."""
        return silencing([self.plain], span, at=self.at) is not None


@dataclass(frozen=True, slots=True)
class Judging:
    """How a tenant's traces are judged."""

    clock_skew_ms: int = 0
    external_roots: bool = False

    def moment(self, signal: PastSignal) -> Moment:
        """Return the moment that the worker explains a signal at."""
        return Moment(
            clock_skew_ns=self.clock_skew_ms * _NS_PER_MS,
            external_roots=self.external_roots and signal.closed,
        )


# -- signals ---------------------------------------------------------------------------------------


def span_of(
    signal: PastSignal,
    spans: Sequence[Span] | None,
    judging: Judging,
    *,
    check: Callable[[str], dsl.Checked] = dsl.check,
) -> Violation | None:
    """Return what stands for a signal; None: it cannot be told. spans: None: not stored."""
    if signal.key is not None:
        return Violation(span_of_key(signal.key))
    rule = check(signal.rule_text).promise
    if rule is None or not spans:
        return None
    moment = judging.moment(signal)
    span = shown_violation(rule, spans, complete=signal.closed, moment=moment)
    return None if span is None else Violation(span)


def answers(
    asked: Asked,
    signals: Iterable[PastSignal],
    spans: Mapping[str, Sequence[Span]],
    judging: Judging,
    *,
    clock: Callable[[], float] = thread_time,
) -> Iterator[tuple[PastSignal, bool | None]]:
    """Yield whether each signal would be silenced; None: it cannot be told, or took too long."""
    until_s = clock() + PAST_SECONDS
    checked = cache(dsl.check)
    for signal in signals:
        found = None
        if clock() < until_s:
            found = span_of(signal, spans.get(signal.trace_id or ""), judging, check=checked)
        yield signal, None if found is None else asked.silences(found.span)


# -- tests and cases -------------------------------------------------------------------------------


@dataclass(slots=True)
class Held:
    """What became of the tests and cases of a rule that expect a violation."""

    silences: list[Kept]
    held: int
    unproven: list[Unproven]


def held_to(
    asked: Asked,
    fields: Mapping[str, Any],
    text: str,
    cases: Sequence[tuple[Case, Sample]],
    *,
    redacted_text: str,
    before: Before,
) -> Held:
    """Ask an exception of the violations that tests and cases of a rule expect.

    fields: of the rule object; text: of the rule; redacted_text: as it is judged on redacted spans,
    which a tenant's own samples hold. Raises what `before` raises.
    """
    found = Held([], 0, [])
    document = _document(fields, text)
    rules = _tried(document)
    for test in document.tests:
        if test.rule_id in rules:
            ask = expected_violations(test, rules, before=before)
            _note(found, Kept(test.name), ask, asked.silences_written)
    own = _tried(_document({**fields, "tests": []}, redacted_text))
    for case, sample in cases:
        by, silences = (
            (rules, asked.silences_written) if sample.is_library else (own, asked.silences)
        )
        for tried in by.values():
            ask = violations_in(tried, list(sample.spans or ()), before=before)
            _note(found, Kept(case.name, case.id), ask, silences)
    return found


def _note(
    found: Held,
    kept: Kept,
    violations: Iterator[Violation],
    silences: Callable[[dsl.SpanView | None], bool],
) -> None:
    try:
        shown = [one.span for one in violations]
    except TraceError as error:
        found.unproven.append(Unproven(kept.name, str(error)))
        return
    if any(map(silences, shown)):
        found.silences.append(kept)
    elif shown:
        found.held += 1


def _document(fields: Mapping[str, Any], text: str) -> RuleDocument:
    written = json.dumps({**fields, "rule": text}, ensure_ascii=False)
    return parse_rules(written, filename="rule.json")


def _tried(document: RuleDocument) -> dict[str, TriedRule]:
    return tried_rules(document, dsl.check, external_roots=False)
