"""Members of a `correlate`: what spans and signals contribute to it.

A member says what a window needs to know of it, and no more: its keys, its time, its trace, the
fields that `having` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from dsl.many.keys import Plain, key_of, read_signal, read_span
from dsl.many.plan import SignalSource, SpanSource
from dsl.plan import Reader
from dsl.spans import SpanView
from dsl.values import GONE, Absent

if TYPE_CHECKING:
    from dsl.many.rule import CorrelateRule


@dataclass(frozen=True, slots=True)
class Member:
    """One span or signal that a `correlate` looks at.

    id: what tells it from all other members of its key; a later revision of it replaces an
    earlier one, and (id, revision) says all the rest. time_ns: its own time, since 1970. keys: one
    text for each of `by`, None where it has none. values: the fields that `having` reads, in the
    order of the plan; None is missing. gone: indexes of fields that were taken away. withdrawn:
    it no longer counts. doubtful: it might be a member, nobody can tell. source: index of the one
    in the plan that it came from. label: its name, for people.
    A member keeps its keys and its time: one that gets others is withdrawn and another comes.
    """

    id: str
    time_ns: int
    trace_id: str
    keys: tuple[str | None, ...]
    values: tuple[Plain | None, ...] = ()
    gone: tuple[int, ...] = ()
    revision: int = 0
    withdrawn: bool = False
    doubtful: bool = False
    source: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal of another rule, as a source of members. fields: what its rule groups by."""

    id: str
    rule: str
    time_ns: int
    trace_id: str
    fields: Mapping[str, Plain]
    service: str = ""
    revision: int = 0
    withdrawn: bool = False


def members_of_spans(
    rule: CorrelateRule, spans: Iterable[SpanView], *, trace_id: str
) -> list[Member]:
    """Return what the spans of a trace contribute: each that fulfils a source, or might."""
    tests = [
        (i, rule.predicates[one.predicate].test)
        for i, one in enumerate(rule.plan.sources)
        if isinstance(one, SpanSource)
    ]
    found = []
    for span in spans:
        answers = {test(span): i for i, test in reversed(tests)}  # the first source of each answer
        for answer in (True, None):
            if answer in answers:
                source, doubtful = answers[answer], answer is None
                found.append(
                    _member_of_span(rule, span, trace_id, source=source, doubtful=doubtful)
                )
                break
    return found


def _member_of_span(
    rule: CorrelateRule, span: SpanView, trace_id: str, *, source: int, doubtful: bool
) -> Member:
    return member_of_values(
        rule,
        lambda reader: read_span(reader, span),
        identity=_span_identity(span, trace_id),
        time_ns=span.start_ns,
        trace_id=trace_id,
        source=source,
        doubtful=doubtful,
        label=span.name,
    )


def member_of_values(
    rule: CorrelateRule,
    read: Callable[[Reader], Plain | Absent | None],
    *,
    identity: str,
    time_ns: int,
    trace_id: str,
    source: int,
    doubtful: bool,
    label: str,
) -> Member:
    """Return what a span contributes. read: what a reader of the rule finds on it."""
    values = [read(reader) for reader in rule.plan.fields]
    return Member(
        id=identity,
        time_ns=time_ns,
        trace_id=trace_id,
        keys=tuple(key_of(read(reader)) for reader in rule.plan.by),
        values=tuple(None if isinstance(value, Absent) else value for value in values),
        gone=tuple(i for i, value in enumerate(values) if value is GONE),
        doubtful=doubtful,
        source=source,
        label=label,
    )


SPAN_ID_CHARACTERS: Final = 16
"""An id of a member that is a span begins with the span's own, in hex."""


def _span_identity(span: SpanView, trace_id: str) -> str:
    """Return what tells a span from others: ids may be shared by client and server."""
    kept = "\0".join((trace_id, span.kind, span.name, str(span.start_ns))).encode()
    return span.span_id.hex() + blake2b(kept, digest_size=8).hexdigest()


def member_of_signal(rule: CorrelateRule, signal: Signal) -> Member | None:
    """Return what a signal contributes, None if its rule is no source of this one."""
    sources = [
        i
        for i, one in enumerate(rule.plan.sources)
        if isinstance(one, SignalSource) and one.rule == signal.rule
    ]
    if not sources:
        return None
    fields = {**signal.fields, "rule": signal.rule}
    if signal.service:
        fields["service"] = signal.service

    def read(readers: tuple[Reader, ...]) -> list[Plain | None]:
        return [read_signal(reader, fields) for reader in readers]

    return Member(
        id=signal.id,
        time_ns=signal.time_ns,
        trace_id=signal.trace_id,
        keys=tuple(map(key_of, read(rule.plan.by))),
        values=tuple(read(rule.plan.fields)),
        revision=signal.revision,
        withdrawn=signal.withdrawn,
        source=sources[0],
        label=signal.rule,
    )
