"""Strategies: rule texts that check, and traces that rules can tell apart."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dsl import Event, Span

NAMES = ["a", "b.c", "GET /x/{id}"]
KEYS = ["k", "m.n", "status", "kind", "duration", "count"]
TEXTS = ["x", "7", "7.0", "true", "ok", "", "-12", "1e3", "abc", "b"]
NUMBERS = [0, 1, 7, -12, 1000, 7.5, 0.1]


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
def tests(draw: st.DrawFn) -> str:
    """One comparison of a filter."""
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


def filters() -> st.SearchStrategy[str]:
    """What stands inside `where(…)`."""
    return st.recursive(
        tests(),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
            inner.map(lambda one: f"not ({one})"),
        ),
        max_leaves=3,
    )


@st.composite
def span_tests(draw: st.DrawFn) -> str:
    """A span test."""
    name = draw(st.sampled_from(["a", "b.c", '"GET /x/{id}"', "any"]))
    wheres = draw(st.lists(filters(), max_size=2))
    return name + "".join(f".where({one})" for one in wheres)


@st.composite
def leaves(draw: st.DrawFn) -> str:
    """A condition without and, or, not."""
    shape = draw(st.integers(0, 5))
    if shape <= 2:
        return draw(span_tests())
    if shape == 3:
        op = draw(st.sampled_from(["==", "<", ">="]))
        return f"a.k {op} {draw(st.sampled_from(['7', '1000', '0.1']))}"
    count = f"count({draw(span_tests())})"
    if shape == 4:
        op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        return f"{count} {op} {draw(st.integers(-1, 3))}"
    left = draw(
        st.sampled_from(
            [
                f"{count} + 1",
                f"2 * {count}",
                f"{count} - count(a)",
                f"-{count}",
                f"{count} / 2",
                f"trace.spans - {count}",
                f"3 / {count}",
            ]
        )
    )
    op = draw(st.sampled_from(["==", "<", ">="]))
    return f"{left} {op} {draw(st.sampled_from(['1', '2', 'count(b.c)', '0.5']))}"


def conditions() -> st.SearchStrategy[str]:
    """What stands inside a clause."""
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
            inner.map(lambda one: f"not ({one})"),
        ),
        max_leaves=3,
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A whole rule."""
    clauses = [f"when {{ {draw(conditions())} }}"]
    which = draw(st.sampled_from(["always", "never", "both"]))
    if which != "never":
        clauses.append(f"always {{ {draw(conditions())} }}")
    if which != "always":
        clauses.append(f"never {{ {draw(conditions())} }}")
    return "\n".join(draw(st.permutations(clauses)))


def values() -> st.SearchStrategy[Any]:
    """Attribute values of every type."""
    return st.one_of(
        st.sampled_from(TEXTS),
        st.sampled_from([*NUMBERS, 7.0, float("nan"), 2**62, True, False]),
        st.sampled_from([b"x", ["x", 7, True], {"n": "x"}]),
    )


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
    start = draw(st.sampled_from([0, 1_000_000]))
    return Span(
        span_id=draw(st.sampled_from([b"1", b"2", b"3", b"4"])),
        name=draw(st.sampled_from(NAMES)),
        parent_span_id=draw(st.sampled_from([b"", b"1"])),
        kind=draw(st.sampled_from(["server", "client", "unspecified"])),
        status=draw(st.sampled_from(["ok", "error", "unset"])),
        start_ns=start,
        end_ns=start + draw(st.sampled_from([500_000, 1_000_000, 3_000_000])),
        attributes=draw(st.dictionaries(keys, values(), max_size=3)),
        resource=draw(
            st.dictionaries(st.sampled_from(["k", "service.name"]), values(), max_size=2)
        ),
        events=tuple(draw(st.lists(events, max_size=2))),
        dropped_attributes_count=draw(st.sampled_from([0, 0, 0, 1])),
        dropped_events_count=draw(st.sampled_from([0, 0, 0, 1])),
        redacted=draw(st.sampled_from([frozenset(), frozenset({"k"})])),
    )


def traces() -> st.SearchStrategy[list[Span]]:
    """The spans of one trace."""
    return st.lists(spans(), max_size=4)
