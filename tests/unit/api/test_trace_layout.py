"""How traces are laid out in rows, and which span a trace waited for when."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.traces.layout import ERROR, NOWHERE, ORPHAN, Layout, SpanColumns, critical_path, lay_out

MS = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """A span; times in ms."""

    id: int
    parent: int = 0
    start: int = 0
    end: int = 1
    name: str = ""
    service: str = "a"
    error: bool = False


def layout(*spans: Drawn) -> Layout:
    """Lay spans out as the database hands them over: by start, then id."""
    ordered = sorted(spans, key=lambda span: (span.start, span.id))
    return lay_out(
        SpanColumns(
            span_ids=b"".join(span.id.to_bytes(8, "big") for span in ordered),
            parent_ids=b"".join(span.parent.to_bytes(8, "big") for span in ordered),
            starts_ns=[span.start * MS for span in ordered],
            durations_ns=[(span.end - span.start) * MS for span in ordered],
            names=[span.name or str(span.id) for span in ordered],
            services=[span.service for span in ordered],
            errors=[span.error for span in ordered],
        )
    )


def names(found: Layout) -> list[str]:
    return [found.name_table[number] for number in found.names]


def test_children_stand_below_their_parents_earlier_ones_first() -> None:
    found = layout(
        Drawn(4, 1, 50, 60), Drawn(2, 1, 10, 20), Drawn(3, 2, 12, 14), Drawn(1, 0, 0, 100)
    )
    assert names(found) == ["1", "2", "3", "4"]
    assert list(found.depths) == [0, 1, 2, 1]
    assert list(found.parents) == [NOWHERE, 0, 1, 0]
    assert list(found.below) == [3, 1, 0, 0]
    assert list(found.children(0)) == [1, 3]
    assert found.duration_ns == 100 * MS


def test_rows_and_stored_order_lead_to_each_other() -> None:
    found = layout(Drawn(1, 0, 0, 9), Drawn(2, 3, 1, 2), Drawn(3, 1, 5, 8))
    assert list(found.ordinals) == [0, 2, 1]
    assert [found.rows[ordinal] for ordinal in found.ordinals] == [0, 1, 2]
    assert [found.row_of(number.to_bytes(8, "big")) for number in (1, 2, 3, 9)] == [0, 2, 1, -1]


def test_an_id_that_lies_across_two_others_is_not_found() -> None:
    found = layout(Drawn(0x1111111111111111), Drawn(0x2222222222222222))
    assert found.row_of(bytes.fromhex("1111111122222222")) == NOWHERE


def test_a_span_whose_parent_did_not_come_stands_at_the_top_and_says_so() -> None:
    found = layout(Drawn(5, 99))
    assert (list(found.flags), list(found.depths)) == ([ORPHAN], [0])


def test_spans_that_are_each_others_parents_are_all_there_once() -> None:
    found = layout(Drawn(1, 2), Drawn(2, 1), Drawn(3, 3))
    assert sorted(names(found)) == ["1", "2", "3"]


def test_two_spans_with_one_id_are_both_there() -> None:
    found = layout(Drawn(7, 0, 0, 9, name="client"), Drawn(7, 0, 1, 2, name="server"))
    assert names(found) == ["client", "server"]


def test_failures_are_counted_upwards_and_by_service() -> None:
    found = layout(
        Drawn(1, 0, 0, 9),
        Drawn(2, 1, 1, 2, service="b", error=True),
        Drawn(3, 2, 1, 2, service="b", error=True),
    )
    assert list(found.errors_below) == [2, 1, 0]
    assert [flags & ERROR for flags in found.flags] == [0, 1, 1]
    assert [(one.name, one.span_count, one.error_count) for one in found.service_counts] == [
        ("a", 1, 0), ("b", 2, 2),
    ]  # fmt: skip


def test_a_trace_without_spans_is_empty() -> None:
    found = layout()
    assert (len(found), found.duration_ns, found.critical) == (0, 0, ())


def path(found: Layout) -> list[tuple[str, int, int]]:
    """The critical path in order of time, in ms."""
    order = sorted(found.critical, key=lambda stretch: stretch[1])
    return [(names(found)[row], since // MS, until // MS) for row, since, until in order]


def test_the_path_runs_through_the_child_that_ended_last() -> None:
    found = layout(Drawn(1, 0, 0, 100), Drawn(2, 1, 10, 90), Drawn(3, 1, 20, 60))
    assert path(found) == [("1", 0, 10), ("2", 10, 90), ("1", 90, 100)]


def test_the_path_goes_on_with_what_ended_before_the_child_began() -> None:
    found = layout(
        Drawn(1, 0, 0, 100), Drawn(2, 1, 5, 40), Drawn(3, 1, 45, 95), Drawn(4, 3, 50, 80)
    )
    assert path(found) == [
        ("1", 0, 5), ("2", 5, 40), ("1", 40, 45), ("3", 45, 50), ("4", 50, 80), ("3", 80, 95),
        ("1", 95, 100),
    ]  # fmt: skip


def test_a_child_that_outlives_its_parent_counts_up_to_the_parents_end() -> None:
    found = layout(Drawn(1, 0, 0, 50), Drawn(2, 1, 10, 500))
    assert path(found) == [("1", 0, 10), ("2", 10, 50)]


@st.composite
def traces(draw: st.DrawFn) -> list[Drawn]:
    """Spans with any parents at all, themselves and each other among them."""
    count = draw(st.integers(1, 40))
    times = st.integers(0, 100)
    spans = []
    for span_id in range(1, count + 1):
        start = draw(times)
        parent = draw(st.integers(0, count + 1))
        spans.append(Drawn(span_id, parent, start, draw(st.integers(start - 3, 120))))
    return spans


@given(traces())
def test_every_span_has_one_row_and_hangs_where_its_parent_says(spans: list[Drawn]) -> None:
    found = layout(*spans)
    assert sorted(found.ordinals) == list(range(len(spans)))
    for row in range(len(found)):
        parent = found.parents[row]
        if parent == NOWHERE:
            assert found.depths[row] == 0
        else:
            assert parent < row <= parent + found.below[parent]
            assert found.depths[row] == found.depths[parent] + 1


@given(traces())
def test_the_critical_path_fills_the_time_of_its_root_without_overlap(
    spans: Sequence[Drawn],
) -> None:
    found = layout(*spans)
    stretches = sorted((since, until) for _, since, until in critical_path(found))
    assert all(since < until for since, until in stretches)
    assert all(a[1] == b[0] for a, b in pairwise(stretches))
    tops = [row for row in range(len(found)) if found.parents[row] == NOWHERE]
    longest = max(max(found.durations_ns[row] for row in tops), 0)
    assert sum(until - since for since, until in stretches) == longest


def test_a_long_chain_and_a_wide_fan_are_laid_out() -> None:
    rng = random.Random(7)
    chain = [Drawn(n, n - 1, n, 5_000 - n) for n in range(1, 2_001)]
    fan = [Drawn(n, 2_000, rng.randrange(3_000), 4_000) for n in range(2_001, 4_001)]
    found = layout(*chain, *fan)
    assert (max(found.depths), found.below[0]) == (2_000, 3_999)
