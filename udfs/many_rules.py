"""Versions of rules over many traces, linked to the numbers of their tenant, and who asks what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import dsl
from dsl.captures import Capture, capture_of
from dsl.many.keys import SIGNAL_FIELDS, field_name, group_reader
from dsl.many.plan import SpanSource
from dsl.plan import Reader
from udfs.contributions import MANY_SIGNALS, MANY_SPANS
from udfs.wire import betrace_pb2 as wire

NAME: Final = Reader("intrinsic", "name")


@dataclass(frozen=True)
class ManyRule:
    """A version of a `correlate` or an `expect`. numbers: of its predicates, in their order."""

    id: str
    version: int
    rule: dsl.CorrelateRule | dsl.ExpectRule
    numbers: tuple[int, ...]
    record: wire.RuleVersion = field(compare=False)

    @cached_property
    def stage(self) -> str:
        """Where it is judged."""
        return MANY_SIGNALS if self.looks_at else MANY_SPANS

    @cached_property
    def looks_at(self) -> frozenset[str]:
        """The rules whose signals it looks at."""
        if isinstance(self.rule, dsl.ExpectRule):
            return frozenset()
        return frozenset(self.rule.correlated)

    @cached_property
    def captures(self) -> Mapping[Reader, Capture]:
        """What it reads off spans: its keys, what `having` reads, and names, for people."""
        if isinstance(self.rule, dsl.ExpectRule):
            readers = [] if self.rule.plan.by is None else [self.rule.plan.by]
        else:
            readers = [*self.rule.plan.by, *self.rule.plan.fields, NAME]
        return {reader: capture_of(reader) for reader in dict.fromkeys(readers)}

    @cached_property
    def signal_fields(self) -> frozenset[str]:
        """The fields of signals that it reads, but for those that every signal has."""
        if isinstance(self.rule, dsl.ExpectRule) or not self.looks_at:
            return frozenset()
        readers = (*self.rule.plan.by, *self.rule.plan.fields)
        return frozenset(map(field_name, readers)) - {"rule"}


@dataclass(frozen=True)
class ManySet:
    """The rules over many traces of a tenant in one epoch."""

    rules: Sequence[ManyRule]

    @cached_property
    def by_number(self) -> Mapping[int, Sequence[tuple[ManyRule, int]]]:
        """Number of a predicate to the rules that ask for its spans, each with its source."""
        found: dict[int, list[tuple[ManyRule, int]]] = {}
        for rule in self.rules:
            for number, source in _sources(rule):
                found.setdefault(number, []).append((rule, source))
        return found

    @cached_property
    def by_signals(self) -> Mapping[str, Sequence[ManyRule]]:
        """Id of a rule to the rules that look at its signals."""
        found: dict[str, list[ManyRule]] = {}
        for rule in self.rules:
            for looked_at in sorted(rule.looks_at):
                found.setdefault(looked_at, []).append(rule)
        return found

    def fields_of(self, rule_id: str, group_by: Iterable[str]) -> tuple[str, ...]:
        """Return the fields of a rule's signals that some rule reads, of those that they have."""
        wanted: set[str] = set()
        for rule in self.by_signals.get(rule_id, ()):
            wanted |= rule.signal_fields
        return tuple(sorted(wanted & {*group_by, *(SIGNAL_FIELDS - {"rule"})}))


def _sources(rule: ManyRule) -> Iterable[tuple[int, int]]:
    if isinstance(rule.rule, dsl.ExpectRule):
        return [(rule.numbers[0], 0)]
    return [
        (rule.numbers[one.predicate], i)
        for i, one in enumerate(rule.rule.plan.sources)
        if isinstance(one, SpanSource)
    ]


def field_captures(fields: Iterable[str]) -> tuple[Capture, ...]:
    """Return what is captured of the spans that stand for signals; services are kept anyway."""
    return tuple(capture_of(group_reader(name)) for name in fields if name != "service")
