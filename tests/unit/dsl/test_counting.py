"""What test runs say about themselves: golden cases that ran, mutants that survived."""

from __future__ import annotations

import pytest

from tests.support import golden, mutants


def _report(*files: str) -> pytest.TestReport:
    properties = [(golden.PROPERTY, file) for file in files]
    return pytest.TestReport(
        "test", ("file", 1, "test"), {}, "passed", None, "call", user_properties=properties
    )


def test_golden_cases_are_counted_with_their_files() -> None:
    ran = [_report("a.yaml"), _report("a.yaml"), _report("b.yaml"), _report()]
    assert golden.summary(ran) == "language: 3 golden cases in 2 files"


def test_nothing_is_said_where_no_golden_case_ran() -> None:
    assert golden.summary([_report()]) is None


def test_the_score_is_of_the_mutants_that_were_tried() -> None:
    codes = {"dsl.a.x__mutmut_1": 1, "dsl.a.x__mutmut_2": 0, "dsl.a.y__mutmut_1": None}
    lines = mutants.report({**codes, "dsl.b.z__mutmut_1": -24, "dsl.b.z__mutmut_2": 33})
    assert [line.split() for line in lines[:4]] == [
        ["module", "killed", "survived", "untried", "score"],
        ["dsl.a", "1", "1", "1", "50.0%"],
        ["dsl.b", "1", "1", "0", "50.0%"],
        ["in", "all", "2", "2", "1", "50.0%"],
    ]
    assert lines[-2:] == ["dsl.a.x__mutmut_2", "dsl.b.z__mutmut_2"]


def test_a_seed_decides_which_mutants_are_tried() -> None:
    names = [f"m{number}" for number in range(100)]
    chosen = mutants.sample(names, size=10, seed=1)
    assert chosen == mutants.sample(names, size=10, seed=1)
    assert len(set(chosen)) == 10
    assert chosen != mutants.sample(names, size=10, seed=2)
    assert mutants.sample(names, size=0, seed=1) == sorted(names)
