"""Every example of the manual is a rule that checks; every test in it passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dsl
from api.command.rules import app
from dsl.formatter import format_rule
from dsl.objects import parse_rules
from dsl.suites import run

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "dsl" / "README.md").read_text()


def _blocks(language: str, text: str = MANUAL) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def _section(title: str) -> str:
    return MANUAL.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("text", _blocks("betrace"))
def test_an_example_of_the_manual_checks(text: str) -> None:
    assert dsl.check(text).problems == ()


@pytest.mark.parametrize("text", _blocks("betrace", _section("Commands")))
def test_a_layout_of_the_manual_is_the_one_that_fmt_writes(text: str) -> None:
    assert format_rule(text) == text


def test_the_problems_of_the_manual_are_what_check_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wrong] = _blocks("betrace wrong", _section("Commands"))
    [said] = _blocks("console", _section("Commands"))
    monkeypatch.chdir(tmp_path)
    Path("fraud.rule").write_text(wrong)
    result = CliRunner().invoke(app, ["check", "fraud.rule"])
    assert f"$ betrace rules check fraud.rule\n{result.stdout}" == said


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
