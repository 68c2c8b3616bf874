"""Catalogues of controls: whole, in words of our own, and what is told of a wrong name."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from typer.testing import CliRunner

from api.command.controls import app
from api.errors import OperatorError
from dsl.controls import (
    FRAMEWORKS,
    Catalogue,
    Control,
    Misnamed,
    catalogue,
    catalogues,
    control,
    misnamed,
    sort_key,
)
from dsl.library import packs
from dsl.objects import parse_rules

NAMES = {
    "soc2": r"(CC[1-9]|A1|C1|PI1|P[1-8])\.\d",
    "hipaa": r"164\.3(08|10|12|14|16)\([a-e]\)(\(\d\)(\([ivx]+\)(\([A-F]\))?)?)?",
    "gdpr": r"\d{1,2}(\(\d\)(\([a-f]\))?)?",
    "pci-dss": r"([1-9]|1[0-2])(\.\d{1,2}){0,4}",
    "iso27001": r"A\.[5-8]\.\d{1,2}",
    "fedramp": r"(AC|AU)-[1-9]\d?(\([1-9]\d?\))?",
}
COUNTS = {"soc2": 61, "iso27001": 93}
"""As many as the framework has, where a catalogue is to know all of them one by one."""
EVERY = [one for each in catalogues() for one in each.controls]


def ids(value: Catalogue | Control) -> str:
    return value.id


def test_there_is_a_catalogue_for_each_framework() -> None:
    assert tuple(each.id for each in catalogues()) == FRAMEWORKS


@pytest.mark.parametrize("each", catalogues(), ids=ids)
def test_names_are_written_as_their_framework_writes_them_and_once(each: Catalogue) -> None:
    names = list(each.names())
    assert [name for name in names if not re.fullmatch(NAMES[each.id], name)] == []
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert not set(each.beyond) & {one.name for one in each.controls}
    assert len(names) == COUNTS.get(each.id, len(names))


@pytest.mark.parametrize("each", catalogues(), ids=ids)
def test_a_catalogue_says_which_edition_it_is_of_and_why_controls_are_left_out(
    each: Catalogue,
) -> None:
    assert each.title
    assert re.search(r"\d", each.edition)
    assert each.about.endswith(".")
    assert all(why.endswith(".") for why in each.beyond.values())


@pytest.mark.parametrize("one", EVERY, ids=ids)
def test_a_control_says_what_it_asks_what_traces_show_and_what_they_do_not(one: Control) -> None:
    assert 5 < len(one.title) < 70
    assert not one.title.endswith(".")
    for text in (one.asks, one.shows, one.lacks):
        assert 4 < len(text) < 300
        assert text.endswith(".")
        assert text[0].isupper()
    assert "complian" not in (one.shows + one.lacks).lower().replace("compliance spans", "")


def test_iso_has_all_organisational_and_technological_controls_and_the_others_beyond() -> None:
    found = catalogue("iso27001")
    assert found is not None
    chapters = Counter(name.split(".")[1] for name in found.names())
    assert chapters == {"5": 37, "6": 8, "7": 14, "8": 34}
    assert {one.name.split(".")[1] for one in found.controls} == {"5", "8"}


def test_every_control_of_the_library_is_one() -> None:
    named = {one for pack in packs() for rule in pack.rules for one in rule.controls}
    assert {one: wrong.hint for one in named if (wrong := misnamed(one))} == {}


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("soc2.CC6_1", "soc2.CC6.1"),
        ("SOC2.cc6.1", "soc2.CC6.1"),
        ("soc-2.CC6.1", "soc2.CC6.1"),
        ("soc2 CC6.1", "soc2.CC6.1"),
        ("CC6.1", "soc2.CC6.1"),
        ("pci.6.4.2", "pci-dss.6.4.2"),
        ("iso27001.8.15", "iso27001.A.8.15"),
        ("A.8.15", "iso27001.A.8.15"),
        ("gdpr.Art.17", "gdpr.17"),
        ("fedramp.AC-2 (1)", "fedramp.AC-2(1)"),
        ("hipaa.164.312(a)(3)", "hipaa.164.312(a)(1)"),
        ("soc2.NOTHING", ""),
        ("a b c", ""),
        ("", ""),
    ],
)
def test_a_wrong_name_is_told_with_what_was_meant(text: str, instead: str) -> None:
    found = misnamed(text)
    assert found is not None
    assert found.instead == instead


@pytest.mark.parametrize(
    "text",
    [
        *("soc2.CC6.1", "soc2.CC1.1", "hipaa.164.312(a)", "fedramp.CM-8(3)", "gdpr.5(1)(f)"),
        *("owasp-llm.LLM01", "eu-ai-act.14", "acme.payments-7", "internal"),
    ],
)
def test_what_a_framework_has_and_what_has_no_catalogue_may_be_named(text: str) -> None:
    assert misnamed(text) is None


def test_the_problem_of_a_rule_stands_at_the_control_and_names_another() -> None:
    text = (
        "id: r1\ncontrols:\n  - soc2.CC6.1\n  - soc2.CC6_2\n  - own.7\n"
        "rule: when { a } always { b }\n"
    )
    document = parse_rules(text, filename="r.yaml")
    [problem] = document.problems
    assert (problem.code, problem.line, problem.column) == ("object.unknown_control", 4, 5)
    assert problem.message == "`soc2.CC6_2` names no control"
    assert problem.hint == "did you mean `soc2.CC6.2`?"
    assert document.rules == ()


def test_controls_are_sorted_as_their_catalogues_have_them() -> None:
    mixed = ["own.1", "pci-dss.10.2", "pci-dss.3.2", "soc2.CC1.1", "soc2.CC6.1", "soc2.A1.1"]
    assert sorted(mixed, key=sort_key) == [
        *("soc2.CC6.1", "soc2.A1.1", "soc2.CC1.1", "pci-dss.3.2", "pci-dss.10.2", "own.1")
    ]


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_lists_frameworks_and_controls() -> None:
    assert [line.split()[0] for line in told("list").splitlines()] == list(FRAMEWORKS)
    lines = told("list", "soc2").splitlines()
    assert "soc2.CC6.1  Only who is allowed gets in" in lines
    assert not any(line.startswith("soc2.CC1.1") for line in lines)
    assert any(
        line.startswith("soc2.CC1.1") for line in told("list", "soc2", "--beyond").split("\n")
    )
    listed = json.loads(told("list", "hipaa", "--json"))
    assert listed["controls"][0] == {"id": "hipaa.164.312(a)(1)", "title": "Access control"}


def test_the_command_shows_a_control_and_says_why_it_cannot() -> None:
    shown = control("soc2.CC6.1")
    assert shown is not None
    assert shown.lacks in told("show", "soc2.CC6.1")
    assert json.loads(told("show", "soc2.CC6.1", "--json"))["asks"] == shown.asks
    for name, why in (
        ("soc2.CC6_1", "did you mean `soc2.CC6.1`?"),
        ("soc2.CC1.1", "About integrity"),
        ("own.1", "has no catalogue"),
    ):
        with pytest.raises(OperatorError, match=re.escape(why)):
            told("show", name)
    with pytest.raises(OperatorError, match="there are soc2"):
        told("list", "sox")


def test_a_hint_without_a_guess_says_where_names_are() -> None:
    assert Misnamed("soc2", "").hint == "`betrace controls list soc2` shows those that there are"
