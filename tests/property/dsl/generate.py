"""Strategies: rule texts that check, and traces that rules can tell apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from dsl import Event, Span

KEYS = ["k", "m.n", "status", "kind", "duration", "count"]
TEXTS = ["x", "7", "7.0", "true", "ok", "", "-12", "1e3", "abc", "b"]
NUMBERS = [0, 1, 7, -12, 1000, 7.5, 0.1]
SPAN_TESTS = ["a", "b.c", '"GET /x/{id}"', "any"]
RELATIONS = [
    *("child of", "parent of", "sibling of", "ancestor of", "descendant of"),
    *("before", "after", "before", "after", "during"),
]
AGGREGATES = ["sum", "avg", "min", "max", "p50", "p95", "p99"]
WINDOWS = ["0ms", "1ms", "2ms", "0.5ms"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def literals(draw: st.DrawFn) -> str:
    """A constant as written."""
    return draw(
        st.one_of(
            st.sampled_from(TEXTS).map(_quoted),
            st.sampled_from(["x", "ok", "USD", "server", "staging-crm"]),
            st.sampled_from(NUMBERS).map(str),
            st.sampled_from(["true", "false"]),
        )
    )


@st.composite
def comparisons(draw: st.DrawFn, bindings: tuple[str, ...]) -> str:
    """One comparison of a filter; bindings: those that it may read."""
    if bindings and draw(st.integers(0, 2)) == 0:
        return draw(joins(bindings))
    key = draw(
        st.sampled_from(
            [*KEYS, "resource.k", "span.k", '"k"', "name", "service", "is_root", "attr(status)"]
        )
    )
    shape = draw(st.integers(0, 8))
    if shape == 0:
        return key
    if shape == 1:
        return f"{key} exists"
    if shape == 2:
        items = draw(st.lists(literals(), min_size=1, max_size=3))
        return f"{key} in [{', '.join(items)}]"
    if shape == 3:
        op = draw(st.sampled_from(["contains", "starts_with", "ends_with"]))
        return f"{key} {op} {draw(literals())}"
    if shape == 4:
        return f'{key} matches "{draw(st.sampled_from(["^a", "x$", "[0-9]", "."]))}"'
    if shape == 5:
        op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        return f"{key} {op} attr({draw(st.sampled_from(['k', 'm.n', 'resource.k']))})"
    if shape == 6:
        op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        return f"duration {op} {draw(st.sampled_from(['1ms', '2ms', '0.5ms']))}"
    if shape == 7:
        inner = draw(st.sampled_from(["name == e", "k == 7", "name == e and k > 1", "not k == 7"]))
        return f"event.where({inner})"
    op = draw(st.sampled_from(["==", "!="]))
    if op == "==" or draw(st.booleans()):
        return f"{key} {op} {draw(literals())}"
    number = draw(st.one_of(st.sampled_from(NUMBERS).map(str), st.sampled_from(TEXTS).map(_quoted)))
    return f"{key} {draw(st.sampled_from(['<', '<=', '>', '>=']))} {number}"


@st.composite
def joins(draw: st.DrawFn, bindings: tuple[str, ...]) -> str:
    """A comparison of a filter with an attribute or property of a bound span."""
    other = draw(st.sampled_from(bindings))
    attribute = st.sampled_from(["k", "m.n", "count", "span.k", "resource.k"])
    shape = draw(st.integers(0, 5))
    if shape == 0:
        op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        return f"duration {op} {other}.duration"
    if shape == 1:
        op = draw(st.sampled_from(["==", "!=", "contains", "starts_with"]))
        return f"name {op} {other}.name"
    if shape == 2:
        return f"{other}.{draw(attribute)} == {draw(literals())}"
    if shape == 3:
        op = draw(st.sampled_from(["==", "!=", "<", ">="]))
        return f"{other}.{draw(attribute)} {op} attr({draw(st.sampled_from(['k', 'm.n']))})"
    if shape == 4:
        return draw(st.sampled_from([f"{other}.k exists", f"{other}.k", f"{other}.status == ok"]))
    op = draw(st.sampled_from(["==", "==", "!=", "<", "<=", ">", ">=", "contains", "ends_with"]))
    return f"{draw(st.sampled_from(KEYS))} {op} {other}.{draw(attribute)}"


def filters(bindings: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """What stands inside `where(…)`."""
    return st.recursive(
        comparisons(bindings),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
            inner.map(lambda one: f"not ({one})"),
        ),
        max_leaves=3,
    )


@st.composite
def span_tests(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A span test."""
    name = draw(st.sampled_from(SPAN_TESTS))
    count = draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
    wheres = [draw(filters(bindings)) for _ in range(count)]
    return name + "".join(f".where({one})" for one in wheres)


@st.composite
def terms(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A span test with relations to what is bound."""
    most = 2 if bindings else 0
    found = draw(st.lists(relations(bindings), max_size=most)) if bindings else []
    return " ".join([draw(span_tests(bindings)), *found])


@st.composite
def relations(draw: st.DrawFn, bindings: tuple[str, ...]) -> str:
    """What a span is to a bound one."""
    other = draw(st.sampled_from(bindings))
    word = draw(st.sampled_from(RELATIONS))
    within = f" within {draw(st.sampled_from(WINDOWS))}" if draw(st.booleans()) else ""
    return f"{word} {other}{within if word in ('before', 'after') else ''}"


@st.composite
def steps(draw: st.DrawFn, names: tuple[str, ...] = ()) -> str:
    """A sequence; names: bindings for its first steps."""
    count = draw(st.integers(max(2, len(names)), 3))
    written = [draw(span_tests()) for _ in range(count)]
    for place, name in enumerate(names):
        written[place] += f" as {name}"
    within = f" within {draw(st.sampled_from(WINDOWS))}" if draw(st.booleans()) else ""
    return " then ".join(written) + within


@st.composite
def numbers(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A number of a trace, without a unit."""
    term = draw(terms(bindings))
    kinds = ["count", "count", "aggregate", "distinct", "spans", *(["bound"] if bindings else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "aggregate":
        key = draw(st.sampled_from(["k", "m.n", "resource.k"]))
        return f"{draw(st.sampled_from(AGGREGATES))}({key} of {term})"
    if kind == "distinct":
        return f"distinct({draw(st.sampled_from(['k', 'm.n', 'name', 'service']))} of {term})"
    if kind == "bound":
        return f"{draw(st.sampled_from(bindings))}.{draw(st.sampled_from(['k', 'm.n']))}"
    return "trace.spans" if kind == "spans" else f"count({term})"


@st.composite
def times(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A number of a trace that is a duration."""
    kind = draw(st.sampled_from(["trace", "aggregate", *(["bound"] if bindings else [])]))
    if kind == "aggregate":
        return f"{draw(st.sampled_from(AGGREGATES))}(duration of {draw(terms(bindings))})"
    return f"{draw(st.sampled_from(bindings))}.duration" if kind == "bound" else "trace.duration"


@st.composite
def measured(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A comparison of numbers or durations of a trace."""
    op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    shape = draw(st.integers(0, 6))
    if shape == 0:
        items = draw(st.sampled_from(["[1, 2]", "[0]", "[7.5, -12, 3]"]))
        return f"count({draw(terms(bindings))}) in {items}"
    if shape == 1:
        right = draw(st.one_of(st.sampled_from(WINDOWS), times(bindings)))
        return f"{draw(times(bindings))} {op} {right}"
    if shape == 2:
        factor = draw(st.sampled_from(["* 2", "/ 2", "- 1ms", "+ trace.duration"]))
        return f"trace.duration {factor} {op} {draw(times(bindings))}"
    left = f"count({draw(terms(bindings))})" if shape == 3 else draw(numbers(bindings))
    if shape <= 4:
        return f"0 + {left} {op} {draw(st.sampled_from(['-1', '0', '1', '2', '7', '0.5', '7.5']))}"
    right = draw(numbers(bindings))
    form = draw(st.sampled_from(["{l} + 1", "2 * {l}", "{l} - {r}", "-{l}", "{l} / 2", "3 / {l}"]))
    written = form.replace("{l}", left).replace("{r}", right)
    return f"{written} {op} {draw(st.sampled_from(['1', '0.5', f'2 * {right}']))}"


@st.composite
def of_bound(draw: st.DrawFn, bindings: tuple[str, ...]) -> str:
    """A condition about a bound span itself."""
    it = draw(st.sampled_from(bindings))
    shape = draw(st.integers(0, 4))
    if shape == 0:
        return f"{it}.where({draw(filters(bindings))})"
    if shape == 1:
        op = draw(st.sampled_from(["<", ">=", "==", "!="]))
        return f"{it}.duration {op} {draw(st.sampled_from(WINDOWS))}"
    if shape == 2:
        return f"{it}.k {draw(st.sampled_from(['==', '!=']))} {draw(literals())}"
    if shape == 3:
        other = draw(st.sampled_from(bindings))
        return f"{it}.k {draw(st.sampled_from(['==', '<', '>=']))} {other}.k"
    return draw(st.sampled_from([f"{it}.k exists", f"{it}.status == error", f"{it}.k > 1"]))


@st.composite
def leaves(draw: st.DrawFn, bindings: tuple[str, ...] = ()) -> str:
    """A condition without and, or, not."""
    shape = draw(st.integers(0, 9))
    if shape <= 3:
        return draw(terms(bindings))
    if shape == 4:
        op = draw(st.sampled_from(["==", "<", ">="]))
        return f"a.k {op} {draw(st.sampled_from(['7', '1000', '0.1']))}"
    if shape == 5:
        return draw(steps())
    if shape == 6:
        words = ["trace.root.name == a", "trace.root.service exists", "trace.root.name != b.c"]
        return draw(st.sampled_from(words[: 2 if bindings else 1]))
    if shape <= 7 and bindings:
        return draw(of_bound(bindings))
    return draw(measured(bindings))


def conditions(bindings: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """What stands inside a clause, but for bindings that it makes."""
    return st.recursive(
        leaves(bindings),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
            inner.map(lambda one: f"not ({one})"),
        ),
        max_leaves=3,
    )


@st.composite
def clauses(
    draw: st.DrawFn, bindings: tuple[str, ...], fresh: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """The inside of a clause that makes the bindings `fresh`, and the bindings that hold in it."""
    parts: list[str] = []
    named = list(fresh)
    while named:
        if len(named) > 1 and draw(st.booleans()):
            parts.append(draw(steps(tuple(named[:2]))))
            made, named = named[:2], named[2:]
        else:
            made = [named.pop(0)]
            simple = st.sampled_from(["any", "a", "b.c"])
            words = draw(terms(bindings)) if bindings else draw(st.one_of(simple, span_tests()))
            parts.append(f"{words} as {made[0]}")
        bindings = (*bindings, *made)
    if not parts or draw(st.integers(0, 2)) == 0:
        parts.append(draw(conditions(bindings)))
    return " and ".join(parts), bindings


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A whole rule."""
    count = draw(st.sampled_from([0, 1, 1, 2]))
    when, bindings = draw(clauses((), ("q", "p")[:count]))
    written = [f"when {{ {when} }}"]
    which = draw(st.sampled_from(["always", "never", "both"]))
    for word in ("always", "never"):
        if which in (word, "both"):
            fresh = ("r",) if draw(st.integers(0, 4)) == 0 else ()
            body, _ = draw(clauses(bindings, fresh))
            written.append(f"{word} {{ {body} }}")
    return "\n".join(draw(st.permutations(written)) if not bindings else written)


def values() -> st.SearchStrategy[Any]:
    """Attribute values of every type."""
    return st.one_of(
        st.sampled_from(TEXTS),
        st.sampled_from([*NUMBERS, 7.0, float("nan"), 2**62, True, False]),
        st.sampled_from([b"x", ["x", 7, True], {"n": "x"}]),
    )


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """The attributes of a resource; a service is named by a text, as its convention says."""
    service = draw(st.sampled_from(["", "x", "7", "abc"]))
    attributes = draw(st.dictionaries(st.just("k"), values(), max_size=1))
    return {**attributes, **({"service.name": service} if service else {})}


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """A span whose name, attributes and losses matter to generated rules."""
    keys = st.sampled_from(["k", "m.n", "m", "status", "kind", "duration", "count"])
    events = st.builds(
        Event,
        name=st.sampled_from(["e", "f"]),
        attributes=st.dictionaries(st.just("k"), values(), max_size=1),
        dropped_attributes_count=st.sampled_from([0, 0, 1]),
    )
    start = draw(st.sampled_from([0, 1_000_000, 2_000_000]))
    return Span(
        span_id=draw(st.sampled_from([b"1", b"2", b"3", b"4", b"5"])),
        name=draw(st.sampled_from(["a", "a", "b.c", "b.c", "GET /x/{id}"])),
        parent_span_id=draw(st.sampled_from([b"", b"1", b"2", b"3", b"9"])),
        kind=draw(st.sampled_from(["server", "client", "unspecified"])),
        status=draw(st.sampled_from(["ok", "error", "unset"])),
        start_ns=start,
        end_ns=start + draw(st.sampled_from([0, 500_000, 1_000_000, 3_000_000])),
        attributes=draw(st.dictionaries(keys, values(), max_size=3)),
        resource=draw(resources()),
        events=tuple(draw(st.lists(events, max_size=2))),
        dropped_attributes_count=draw(st.sampled_from([0, 0, 0, 1])),
        dropped_events_count=draw(st.sampled_from([0, 0, 0, 1])),
        redacted=draw(st.sampled_from([frozenset(), frozenset({"k"})])),
        parent_is_remote=draw(st.sampled_from([None, None, True, False])),
    )


@st.composite
def traces(draw: st.DrawFn) -> list[Span]:
    """The spans of one trace in the order of arrival: some twice, some with a shared id."""
    found = [draw(spans()) for _ in range(draw(st.sampled_from([4, 3, 5, 2, 1, 0])))]
    if found and draw(st.integers(0, 3)) == 0:
        again = draw(st.sampled_from(found))
        found.append(replace(again, attributes={"k": 7}))
    return found


@st.composite
def restored(draw: st.DrawFn, span: Span) -> Span:
    """The same span with something in place of what was taken away from it."""
    lost = set(span.redacted) | ({"k", "m.n", "status"} if span.dropped_attributes_count else set())
    missing = sorted(lost - set(span.attributes))
    back = draw(st.lists(st.sampled_from(missing), unique=True)) if missing else []
    event = Event(name=draw(st.sampled_from(["e", "f"])), attributes={"k": 7})
    more = (event,) if span.dropped_events_count and draw(st.booleans()) else ()
    return replace(
        span,
        attributes={**span.attributes, **{key: draw(values()) for key in back}},
        events=(*(replace(one, dropped_attributes_count=0) for one in span.events), *more),
        dropped_attributes_count=0,
        dropped_events_count=0,
        redacted=frozenset(),
    )
