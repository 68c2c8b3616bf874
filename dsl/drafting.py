"""A rule out of spans that somebody picked in a trace, with a test that keeps it and one that does
not.

What is proposed has been tried: its text checks, and both tests pass. Where the order of the spans
cannot be asked for (two of one name, two that start together), the next weaker form is taken, and
none where nothing fits. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from dsl.life import LifeSettings, judge_whole
from dsl.plan import AllFilters, Ask, Filter, Reader, SpanTest
from dsl.printer import INTRINSICS, duration_text, span_test_text
from dsl.rule import check
from dsl.spans import Span
from dsl.suites import arrivals_of
from dsl.verdict import Verdict
from dsl.words import AGGREGATES, KINSHIP, RESERVED, SCOPES

OWN_KEYS: Final = ("service", "status", "kind")
MAX_PICKS: Final = 10
MAX_VALUE_CHARACTERS: Final = 200
"""Of an attribute's text that a rule compares; of a longer one it asks whether it is there."""
_BINDINGS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_WORDS: Final = RESERVED | SCOPES | AGGREGATES | KINSHIP | INTRINSICS | {"any", "trace", "count"}


class Shape(StrEnum):
    """What is promised of the spans, of which the first says when the promise applies."""

    TOGETHER = "together"
    """The others happen too, at any time."""
    IN_ORDER = "in_order"
    """The others happen after it, one after the other."""
    NEVER = "never"
    """None of the others happens."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A span of the trace, and what of it the rule asks for.

    keys: attributes of the span or its resource; `status`, `service` and `kind` of the span itself
    where it has no attribute of that name.
    """

    span: Span
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftTest:
    """A test as suites write it."""

    name: str
    trace: tuple[Mapping[str, Any], ...]
    expect: str

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a `tests:` list."""
        return {"name": self.name, "trace": [*self.trace], "expect": self.expect}


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule that checks and its two tests, which pass. shape: what came of the wanted one."""

    text: str
    tests: tuple[DraftTest, DraftTest]
    shape: Shape


def draft_rule(trace: Sequence[Span], picks: Sequence[Pick], shape: Shape) -> Draft | str:
    """Return a rule about the picked spans of a trace, or why there is none, for people.

    trace: all spans of it, which say who stands above whom. Of picks with the same test only the
    earliest counts, but together, where they are counted. With a single pick the trace's root says
    when the promise applies.
    """
    if not picks:
        return "Pick at least one span."
    if len(picks) > MAX_PICKS:
        return f"Pick {MAX_PICKS} spans at most: a promise about more is hard to read."
    ordered = sorted(picks, key=lambda pick: (pick.span.start_ns, -pick.span.end_ns))
    if len({_test_text(pick) for pick in ordered}) == 1:
        ordered = _with_root(trace, ordered)
        if len(ordered) < 2:
            return "Pick a second span: a promise says what happens beside the first one."
    for candidate in _CANDIDATES[shape]:
        draft = candidate(trace, ordered)
        if draft is not None and _holds(draft):
            return draft
    return "No promise tells these spans apart. Pick other ones, or attributes that differ."


def _with_root(trace: Sequence[Span], picks: list[Pick]) -> list[Pick]:
    roots = [span for span in trace if not any(span.parent_span_id)]
    root = min(roots, key=lambda span: span.start_ns, default=None)
    if root is None or _test_text(Pick(root)) == _test_text(picks[0]):
        return picks
    return [Pick(root), *(pick for pick in picks if pick.span is not root)]


# -- shapes ----------------------------------------------------------------------------------------


def _together(trace: Sequence[Span], picks: Sequence[Pick]) -> Draft | None:
    first = picks[0]
    counts: dict[str, int] = {}
    for pick in picks:
        test = _test_text(pick)
        counts[test] = counts.get(test, 0) + 1
    when = _test_text(first)
    always = [
        f"count({test}) >= {count}" if count > 1 else test
        for test, count in counts.items()
        if test != when or count > 1
    ]
    text = _text(when, "always", " and ".join(always))
    last = next(pick for pick in reversed(picks) if _test_text(pick) != when or counts[when] > 1)
    return _draft(text, trace, picks, Shape.TOGETHER, broken=[p for p in picks if p is not last])


def _in_order(trace: Sequence[Span], picks: Sequence[Pick]) -> Draft | None:
    distinct = _distinct(picks)
    names = _binding_names(distinct)
    if names is None or len(distinct) < 2:
        return None
    tests = [_test_text(pick) for pick in distinct]
    terms = []
    for number, (before, after) in enumerate(pairwise(distinct), 1):
        relation = _relation(trace, before.span, after.span)
        if relation is None:
            return None
        bound = f" as {names[number]}" if number + 1 < len(distinct) else ""
        terms.append(f"{tests[number]} {relation} {names[number - 1]}{bound}")
    joined = "\n         and ".join(terms)
    text = _text(f"{tests[0]} as {names[0]}", "always", joined)
    return _draft(text, trace, distinct, Shape.IN_ORDER, broken=distinct[:-1])


def _never(trace: Sequence[Span], picks: Sequence[Pick]) -> Draft | None:
    distinct = _distinct(picks)
    if len(distinct) < 2:
        return None
    never = " or ".join(_test_text(pick) for pick in distinct[1:])
    text = _text(_test_text(distinct[0]), "never", never)
    tests = (
        DraftTest("does not happen", _trace_of(trace, distinct[:1]), Verdict.SATISFIED.value),
        DraftTest("happens", _trace_of(trace, distinct), Verdict.VIOLATED.value),
    )
    return Draft(text, tests, Shape.NEVER)


_CANDIDATES: Final[
    Mapping[Shape, tuple[Callable[[Sequence[Span], Sequence[Pick]], Draft | None], ...]]
] = {
    Shape.TOGETHER: (_together,),
    Shape.IN_ORDER: (_in_order, _together),
    Shape.NEVER: (_never,),
}
"""What is tried for each shape, the strongest first."""


def _text(when: str, word: str, promise: str) -> str:
    width = max(len("when"), len(word))
    return f"{'when':<{width}} {{ {when} }}\n{word:<{width}} {{ {promise} }}\n"


def _draft(
    text: str, trace: Sequence[Span], kept: Sequence[Pick], shape: Shape, *, broken: Sequence[Pick]
) -> Draft:
    missing = next(pick for pick in kept if all(pick is not one for one in broken))
    tests = (
        DraftTest("all of it happens", _trace_of(trace, kept), Verdict.SATISFIED.value),
        DraftTest(
            f"{missing.span.name} is missing", _trace_of(trace, broken), Verdict.VIOLATED.value
        ),
    )
    return Draft(text, tests, shape)


def _distinct(picks: Sequence[Pick]) -> list[Pick]:
    """Return the earliest pick of each test."""
    found: dict[str, Pick] = {}
    for pick in picks:
        found.setdefault(_test_text(pick), pick)
    return list(found.values())


def _relation(trace: Sequence[Span], one: Span, other: Span) -> str | None:
    """Return what the later of two spans is to the earlier, None where that cannot be told."""
    if other.start_ns > one.start_ns:
        return "after"
    return "descendant of" if one.span_id in _ids_above(trace, other) else None


# -- tests of spans --------------------------------------------------------------------------------


def _test_text(pick: Pick) -> str:
    asks = tuple(ask for key in pick.keys if (ask := ask_of(pick.span, key)) is not None)
    condition: Filter | None = None
    if asks:
        condition = asks[0] if len(asks) == 1 else AllFilters(asks)
    return span_test_text(SpanTest(pick.span.name, condition))


def own_keys(span: Span) -> tuple[str, ...]:
    """Return what a rule can ask of a span beside its attributes: what says something, and has not
    the name of an attribute."""
    return tuple(
        key
        for key in OWN_KEYS
        if key not in span.attributes
        and key not in span.resource
        and getattr(span, key) not in ("", "unset")
    )


def ask_of(span: Span, key: str) -> Ask | None:
    """Return the question that this span answers with yes, None if it has nothing of that name."""
    if key in span.attributes:
        reader, value = Reader("any", key), span.attributes[key]
    elif key in span.resource:
        reader, value = Reader("resource", key), span.resource[key]
    elif key in OWN_KEYS and getattr(span, key):
        reader, value = Reader("intrinsic", key), getattr(span, key)
    else:
        return None
    match value:
        case bool() | int():
            return Ask(reader, "==", value)
        case float() if value == value and abs(value) != float("inf"):
            return Ask(reader, "==", value)
        case str() if len(value) <= MAX_VALUE_CHARACTERS and value.isprintable():
            return Ask(reader, "==", value)
        case _:
            return Ask(reader, "exists", None)


def _binding_names(picks: Sequence[Pick]) -> tuple[str, ...] | None:
    """Return a name for each span that nothing else in the rule is called by; None: too many."""
    said = {
        name.partition(".")[0].strip('"') for pick in picks for name in (pick.span.name, *pick.keys)
    }
    free = [name for name in _BINDINGS if name not in said | _WORDS]
    more = (f"step_{number}" for number in range(len(free) + 1, 3 * MAX_PICKS))
    names = [*free, *(name for name in more if name not in said)]
    return tuple(names[: len(picks)]) if len(names) >= len(picks) else None


# -- traces of tests -------------------------------------------------------------------------------


def _trace_of(trace: Sequence[Span], picks: Sequence[Pick]) -> tuple[Mapping[str, Any], ...]:
    """Return the picked spans as a test writes them: times from the first, only what is asked for.

    A span hangs below the nearest picked one above it.
    """
    labels = {pick.span.span_id: f"s{number}" for number, pick in enumerate(picks, 1)}
    begins_ns = min(pick.span.start_ns for pick in picks)
    return tuple(_entry(trace, pick, labels, begins_ns) for pick in picks)


def _entry(
    trace: Sequence[Span], pick: Pick, labels: Mapping[bytes, str], begins_ns: int
) -> dict[str, Any]:
    span = pick.span
    entry: dict[str, Any] = {"name": span.name, "id": labels[span.span_id]}
    parent = next((labels[one] for one in _ids_above(trace, span) if one in labels), None)
    if parent is not None and parent != entry["id"]:
        entry["parent"] = parent
    if span.service:
        entry["service"] = span.service
    if span.start_ns > begins_ns:
        entry["start"] = duration_text(span.start_ns - begins_ns)
    entry["duration"] = duration_text(max(span.end_ns - span.start_ns, 0))
    attributes = {key: span.attributes[key] for key in pick.keys if key in span.attributes}
    resource = {
        key: span.resource[key]
        for key in pick.keys
        if key in span.resource and key not in span.attributes and key != "service.name"
    }
    if "status" in pick.keys and "status" not in {**span.attributes, **span.resource}:
        entry["status"] = span.status
    if "kind" in pick.keys and "kind" not in {**span.attributes, **span.resource}:
        entry["kind"] = span.kind
    if attributes:
        entry["attributes"] = {key: _written(value) for key, value in attributes.items()}
    if resource:
        entry["resource"] = {key: _written(value) for key, value in resource.items()}
    return entry


def _written(value: Any) -> Any:
    """Return a value as a test holds it; what a rule only asks the presence of is not copied."""
    match value:
        case bool() | int():
            return value
        case float() if value == value and abs(value) != float("inf"):
            return value
        case str() if len(value) <= MAX_VALUE_CHARACTERS and value.isprintable():
            return value
    return "…"


def _ids_above(trace: Sequence[Span], span: Span) -> Iterator[bytes]:
    """Yield the ids of the spans above one, from its parent up."""
    parents = {one.span_id: one.parent_span_id for one in reversed(trace)}
    seen = {span.span_id}
    above = span.parent_span_id
    while any(above) and above not in seen:
        seen.add(above)
        yield above
        above = parents.get(above, b"")


# -- the proof -------------------------------------------------------------------------------------


def _holds(draft: Draft) -> bool:
    """Tell whether the text checks and both tests come out as they say."""
    rule = check(draft.text).promise
    if rule is None:
        return False
    for test in draft.tests:
        arrivals, _ = arrivals_of([*test.trace], None)
        spans = [one.span for one in arrivals]
        if judge_whole(rule, spans, LifeSettings()).verdict.value != test.expect:
            return False
    return True
