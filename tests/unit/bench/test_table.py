"""The table takes up where it was interrupted, and says what many rules cost."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest

from api.bench.report_rows import row_line
from api.bench.rows import Row, RowFile
from api.bench.stack import Lifetimes, Stack
from api.bench.table import TableSettings, first_rate, losses, measure_table


def row(settings: TableSettings, *, rules: int, slots: int, rate: int, **more: Any) -> Row:
    return settings.which(rules=rules, slots=slots) | {"sustained_spans_per_s": rate} | more


def no_stack(_slots: int) -> AbstractContextManager[Stack]:
    raise AssertionError("a stack was started")


def test_cells_that_are_known_are_not_measured_again() -> None:
    settings = TableSettings(rules=(10, 100), slots=(1,))
    rows = RowFile(None)
    known = [row(settings, rules=rules, slots=1, rate=5) for rules in (10, 100)]
    for each in known:
        rows.add(each)
    assert list(measure_table(settings, no_stack, rows=rows, say=lambda _: None)) == known


def test_a_cell_measured_otherwise_is_not_taken_for_this_one() -> None:
    other = TableSettings(rules=(10,), slots=(1,), seconds=60)
    rows = RowFile(None)
    rows.add(row(other, rules=10, slots=1, rate=5))
    settings = TableSettings(rules=(10,), slots=(1,))
    with pytest.raises(AssertionError, match="a stack was started"):
        list(measure_table(settings, no_stack, rows=rows, say=lambda _: None))


def test_the_loss_is_of_the_rate_of_ten_rules_for_each_number_of_slots() -> None:
    settings = TableSettings()
    rows = [
        row(settings, rules=10, slots=1, rate=100_000),
        row(settings, rules=1_000, slots=1, rate=85_000),
        row(settings, rules=10, slots=2, rate=0),
        row(settings, rules=1_000, slots=2, rate=90_000),
    ]
    assert losses(rows) == {1: pytest.approx(0.15)}


def test_a_cell_begins_at_what_its_neighbour_held() -> None:
    settings = TableSettings()
    known = [
        row(settings, rules=0, slots=1, rate=90_000),
        row(settings, rules=10, slots=1, rate=80_000),
        row(settings, rules=100, slots=1, rate=0),
    ]
    assert first_rate(known, slots=1) == 80_000
    assert first_rate(known, slots=2) > 90_000
    assert first_rate([], slots=1) == first_rate(known[2:], slots=1) > 0


def test_a_rate_is_a_lower_bound_where_the_search_ran_out_of_time() -> None:
    settings = TableSettings()
    held = {"sustained_flat": True, "precision": 1.0, "recall": 1.0}
    ended = row(settings, rules=10, slots=1, rate=90_000, lost_in_trials=96_000, **held)
    cut = row(settings, rules=10, slots=1, rate=90_000, lost_in_trials=None, **held)
    given = cut | {"asked_rate": 90_000.0}
    assert row_line("table", ended).startswith("10 rules, 1 slots: 90,000,")
    assert row_line("table", cut).startswith("10 rules, 1 slots: ≥ 90,000,")
    assert row_line("table", given).startswith("10 rules, 1 slots: 90,000,")


def test_lifetimes_are_options_of_the_command_that_makes_a_tenant() -> None:
    assert list(Lifetimes().options()) == ["--settle", "2000ms", "--patience", "10000ms"]
    more = Lifetimes(max_life_ms=60_000, lateness_ms=0)
    assert list(more.options())[4:] == ["--max-life", "60000ms", "--lateness", "0ms"]
