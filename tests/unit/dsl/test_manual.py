"""Every example of the manual is a rule that checks; every test in it passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dsl
from dsl.objects import parse_rules
from dsl.suites import run

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "dsl" / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.M | re.S)


@pytest.mark.parametrize("text", _blocks("betrace"))
def test_an_example_of_the_manual_checks(text: str) -> None:
    assert dsl.check(text).problems == ()


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_an_object_of_the_manual_passes_its_tests(text: str) -> None:
    document = parse_rules(text, filename="manual.yaml")
    assert document.problems == ()
    result = run(document)
    assert [test.name for test in result.tests if not test.passed] == []
    assert result.tests != ()


def test_the_starter_rules_pass_their_tests() -> None:
    file = ROOT / "deploy" / "demo" / "rules.yaml"
    document = parse_rules(file.read_text(), filename=str(file))
    assert document.problems == ()
    assert [test.name for test in run(document).tests if not test.passed] == []
