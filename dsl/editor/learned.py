"""What spans at hand tell about names: for an editor that has no tenant's traffic to ask."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dsl.lint import KnownNames
from dsl.objects import RuleDocument
from dsl.spans import Span
from dsl.traces import TraceError, span_from_fields
from dsl.values import text_of

MAX_VALUES: Final = 20
MAX_VALUE_CHARACTERS: Final = 100
_TYPES: Final[Mapping[type, str]] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "map",
    bytes: "bytes",
}


def known_from(spans: Iterable[Span]) -> KnownNames:
    """Return the names, keys, types and frequent values of spans."""
    names: Counter[str] = Counter()
    types: defaultdict[str, set[str]] = defaultdict(set)
    keys_of: defaultdict[str, set[str]] = defaultdict(set)
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for span in spans:
        names[span.name] += 1
        keys_of[span.name].update(span.attributes)
        _count(values, "name", span.name)
        _count(values, "service", span.service)
        for attributes in (span.attributes, span.resource):
            for key, value in attributes.items():
                types[key].add(_TYPES[type(value)])
                _count(values, key, value)
    return KnownNames(
        span_names=frozenset(names),
        attributes={key: frozenset(found) for key, found in types.items()},
        span_counts=dict(names),
        attributes_of={name: frozenset(keys) for name, keys in keys_of.items()},
        values={key: _frequent(counted) for key, counted in values.items()},
    )


def _count(values: Mapping[str, Counter[str]], key: str, value: Any) -> None:
    text = text_of(value)
    if text and len(text) <= MAX_VALUE_CHARACTERS:
        values[key][text] += 1


def _frequent(counted: Counter[str]) -> tuple[str, ...]:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(text for text, _ in ranked[:MAX_VALUES])


def spans_of_tests(document: RuleDocument) -> list[Span]:
    """Return the spans written down in the tests of a file; what cannot be read is left out."""
    found: list[Span] = []
    for test in document.tests:
        entries = test.trace if isinstance(test.trace, list) else []
        for position, entry in enumerate(entries):
            if not isinstance(entry, dict):
                continue
            try:
                found.append(span_from_fields(entry, position=position))
            except TraceError:
                continue
    return found
