"""Everything that the manual shows is run: rules, refusals, messages, suites, commands, grammar."""

from __future__ import annotations

import json
import re
import shlex
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import dsl
from api.command.app import app as betrace
from api.command.backtest_report import report
from api.command.rules import app
from dsl import bindings, documents, filter_checker, measures, scene, source
from dsl.editor import vocabulary
from dsl.formatter import format_rule
from dsl.lexer import MAX_STRING_CHARACTERS, MAX_TOKENS, NS_PER_UNIT, tokenize
from dsl.objects import parse_rules
from dsl.parser import MAX_LIST_ITEMS, MAX_NESTING, MAX_TERMS, parse
from dsl.suites import run
from dsl.values import MAX_PATTERN_CHARACTERS
from dsl.verdict import ADVICE, Verdict
from dsl.words import RESERVED
from tests.support.ebnf import read_grammar

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "dsl" / "README.md").read_text()
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.M)
RUN_KINDS = {
    *("betrace", "betrace wrong", "console", "ebnf", "lua", "mistake", "report", "toml", "yaml"),
}
PUNCTUATION = set("{}()[],.+-*/")
SAMPLES = {
    "NAME": ["a", "b", "order", "x1"],
    "TEXT": ['"t"'],
    "NUMBER": ["3", "1.5"],
    "DURATION": ["5s"],
    "word": ["a", "eu-west-1"],
    "right": ["3", "5s", "USD", "a.b", "count(a)", "2 * trace.spans"],
}
"""What stands for the names of the grammar that are made of characters, or that a comment bends."""
AFTER_PARSING = {
    *("rule.no_when", "rule.no_promise", "rule.clause_twice"),
    *("rule.key_scope", "rule.key_twice", "rule.scope_inside", "rule.nested_where"),
    *("rule.mixed_units", "rule.no_unit", "rule.dotted_word", "rule.pattern_not_text"),
    *("rule.operator_type", "rule.pattern"),
}
"""Refusals that no grammar can say: of types, of places, of what must be there once."""


def _blocks(kind: str, text: str = MANUAL) -> list[str]:
    return [body for found, body in FENCE.findall(text) if found == kind]


def _section(title: str, level: int = 2) -> str:
    marks = "#" * level
    return MANUAL.partition(f"\n{marks} {title}\n")[2].partition(f"\n{marks} ")[0]


def _rows(section: str) -> list[list[str]]:
    """Return the cells of the rows of a table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [i for i, cells in enumerate(split) if all(set(cell) <= {"-"} for cell in cells)]
    heads = {i - 1 for i in rules}
    return [cells for i, cells in enumerate(split) if i not in rules and i not in heads]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell.replace("\\|", "|"))


def test_every_kind_of_block_is_run_by_a_test_here() -> None:
    assert {kind for kind, _ in FENCE.findall(MANUAL)} == RUN_KINDS
    assert MANUAL.count("\n```") == 2 * len(FENCE.findall(MANUAL))


def test_links_inside_the_manual_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", MANUAL, re.M)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    targets = re.findall(r"\]\(([^)]+)\)", MANUAL)
    assert {link[1:] for link in targets if link.startswith("#")} <= anchors
    files = {link for link in targets if not link.startswith(("#", "http"))}
    assert [link for link in files if not (ROOT / "dsl" / link).exists()] == []


@pytest.mark.parametrize("text", _blocks("betrace"))
def test_an_example_checks_without_problem_and_warning(text: str) -> None:
    checked = dsl.check(text)
    assert (checked.problems, checked.warnings) == ((), ())


@pytest.mark.parametrize("text", _blocks("betrace", _section("Commands")))
def test_a_layout_of_the_manual_is_the_one_that_fmt_writes(text: str) -> None:
    assert format_rule(text) == text


@pytest.mark.parametrize("said", _blocks("mistake"))
def test_a_mistake_is_answered_exactly_so(said: str) -> None:
    [text] = re.findall(r"^  1 \| (.*)$", said, re.M)
    checked = dsl.check(text)
    level = "error" if checked.problems else "warning"
    found = checked.problems or checked.warnings
    assert dsl.render(text, found, level=level) + "\n" == said
    assert len(found) == 1
    assert found[0].hint != ""


def test_at_least_twenty_mistakes_are_told_and_all_of_them_differ() -> None:
    mistakes = _blocks("mistake", _section("Twenty mistakes, and what you are told"))
    assert len(mistakes) == len(_blocks("mistake"))
    assert len(set(mistakes)) >= 20


def test_the_problems_of_the_manual_are_what_check_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wrong] = _blocks("betrace wrong")
    [said] = _blocks("console")
    monkeypatch.chdir(tmp_path)
    Path("fraud.rule").write_text(wrong)
    result = CliRunner().invoke(app, ["check", "fraud.rule"])
    assert f"$ betrace rules check fraud.rule\n{result.stdout}" == said


BACKTESTS = {
    "dsl-manual-backtest.json": ["large-payments-are-checked.rule", "--from", "6h"],
    "dsl-manual-backtest-many.json": ["password-spraying.rule", "--from", "6h"],
}


@pytest.mark.parametrize(
    ("said", "golden"), list(zip(_blocks("report"), BACKTESTS, strict=True)), ids=BACKTESTS
)
def test_a_backtest_of_the_manual_is_what_the_command_prints(
    said: str, golden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.loads((ROOT / "tests" / "golden" / golden).read_text())
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    printed = click.unstyle(report(told["backtest"], told["results"], examples=3))
    command, _, shown = said.partition("\n")
    assert shown == printed + "\n"
    _, rest = _command(shlex.split(command.removeprefix("$ betrace ")))
    assert rest == BACKTESTS[golden]


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_an_object_of_the_manual_passes_its_tests(text: str) -> None:
    document = parse_rules(text, filename="manual.yaml")
    assert document.problems == ()
    result = run(document)
    assert [test.name for test in result.tests if not test.passed] == []
    assert result.tests != ()


# -- tables of the reference: their first column is what one writes --------------------------------


@pytest.mark.parametrize("cells", _rows(_section("Span tests", 3)), ids=lambda cells: cells[0])
def test_a_span_test_of_the_table_checks(cells: list[str]) -> None:
    for text in _code(cells[0]):
        text = text.replace("f1", "n > 1").replace("f2", "n < 5")
        assert dsl.check(f"when {{ {text} }} never {{ nothing }}").problems == ()


RELATIONS = [
    text for cells in _rows(_section("Relations and windows", 3)) for text in _code(cells[0])
]


@pytest.mark.parametrize("text", RELATIONS)
def test_a_relation_of_the_table_checks(text: str) -> None:
    assert dsl.check(f"when {{ a as q }} never {{ b {text} }}").problems == ()


def test_the_table_of_relations_is_complete() -> None:
    assert {text.split()[0] for text in RELATIONS} == set(vocabulary.RELATIONS)


@pytest.mark.parametrize(
    "text",
    [text for cells in _rows(_section("Filters", 3))[:8] for text in _code(cells[0])],
)
def test_a_filter_of_the_table_checks(text: str) -> None:
    word = text.split()[0]
    known = word in vocabulary.COMPARISONS
    filled = f"x {text} 3" if known and word == text else f"x {text}" if known else text
    assert dsl.check_filter(filled).problems == ()


# -- commands --------------------------------------------------------------------------------------


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words lead to, and what is left of them."""
    command: Any = get_command(betrace)
    while hasattr(command, "get_command") and words:
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    return command, words


COMMANDS = [
    (name, line)
    for name in ("README.md", "FROM.md")
    for line in re.findall(r"(?<!`)`betrace ([^`\n]+)`", (ROOT / "dsl" / name).read_text())
]


@pytest.mark.parametrize(("file", "line"), COMMANDS)
def test_a_command_exists_with_its_options(file: str, line: str) -> None:
    command, rest = _command(shlex.split(line.replace("…", "")))
    options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("cells", _rows(_section("Commands")), ids=lambda cells: cells[0])
def test_a_row_of_commands_names_options_and_their_choices(cells: list[str]) -> None:
    words = shlex.split(_code(cells[0])[0])[1:3]
    options = {option for one in _command(words)[0].params for option in one.opts}
    told = CliRunner().invoke(betrace, [*words, "--help"], env={"COLUMNS": "200"}).stdout
    for option, *values in [text.split() for text in _code(cells[1]) if text.startswith("--")]:
        assert option in options
        assert [value for value in values if "|" in value and f"<{value}>" not in told] == []


def test_the_settings_of_editors_start_the_language_server() -> None:
    [settings] = _blocks("toml")
    [script] = _blocks("lua")
    server = tomllib.loads(settings)["language-server"]["betrace"]
    listed = re.search(r"cmd = \{([^}]*)\}", script)
    assert listed is not None
    for words in ([server["command"], *server["args"]], json.loads(f"[{listed[1]}]")):
        assert words[0] == "betrace"
        assert _command(words[1:])[0].name == "lsp"


# -- the tables are complete -----------------------------------------------------------------------


def test_every_verdict_and_reason_is_told_with_its_advice() -> None:
    rows = _rows(_section("Promises and verdicts", 3))
    told = {_code(cells[0])[0]: cells[1].replace("`", "") for cells in rows}
    advice = {reason.value: text.replace("`", "") for reason, text in ADVICE.items()}
    assert set(told) == {verdict.value for verdict in Verdict} | set(advice)
    assert {reason: told[reason] for reason in advice} == advice


def test_operators_properties_units_and_reserved_words_are_those_of_the_language() -> None:
    operators = " ".join(text for row in _rows(_section("Filters", 3)) for text in _code(row[0]))
    words = {*vocabulary.COMPARISONS, *vocabulary.EXISTS, *vocabulary.INTRINSIC_WORDS}
    assert {word for word in words if word not in operators.split()} == set()
    [units] = re.findall(r"units `([^`]+)`", _section("Values", 3))
    assert set(units.split()) == set(NS_PER_UNIT)
    [reserved] = re.findall(r"\*\*Words\.\*\* `([^`]+)`", MANUAL)
    assert set(reserved.split()) == RESERVED


def test_limits_are_those_of_the_code() -> None:
    told = " ".join(cells[1] for cells in _rows(_section("Limits", 3)))
    limits = [
        source.MAX_TEXT_BYTES // 1024,
        *(MAX_TOKENS, MAX_NESTING, MAX_STRING_CHARACTERS, MAX_LIST_ITEMS, MAX_TERMS),
        *(MAX_PATTERN_CHARACTERS, filter_checker.MAX_PATTERNS, filter_checker.MAX_UNICODE_CLASSES),
        *(bindings.MAX_BINDINGS, scene.MAX_COMBINATIONS, scene.MAX_STEPS),
        *(documents.MAX_NESTING, documents.MAX_JSON_NESTING, measures.MAX_NUMBER_BITS),
        documents.MAX_DOCUMENT_BYTES // 1024**2,
    ]
    numbers = set(re.findall(r"[0-9][0-9,]*", told))
    assert [limit for limit in limits if f"{limit:,}" not in numbers] == []


# -- the grammar -----------------------------------------------------------------------------------


def _grammar() -> tuple[set[str], set[str], set[str]]:
    """Return the terminals, the names defined, and the names used."""
    [grammar] = _blocks("ebnf")
    grammar = re.sub(r"\(\*.*?\*\)", "", grammar)
    terminals = set(re.findall(r'"([^"]+)"', grammar))
    bare = re.sub(r'"[^"]+"', "", grammar)
    defined = set(re.findall(r"^(\w+) *=", bare, re.M))
    return terminals, defined, set(re.findall(r"[A-Za-z_]\w*", bare))


def test_terminals_of_the_grammar_are_the_words_of_the_language() -> None:
    tables = [
        *(vocabulary.CLAUSE_WORDS, vocabulary.RULE_WORDS, vocabulary.TAIL_WORDS),
        *(vocabulary.JOINERS, vocabulary.NOT, vocabulary.COMPARISONS, vocabulary.EXISTS),
        *(vocabulary.RELATIONS, vocabulary.TERM_WORDS, vocabulary.WHERE, vocabulary.FUNCTIONS),
        *(vocabulary.ATTRIBUTE_FUNCTION, vocabulary.SOURCES, vocabulary.ANY),
        *(vocabulary.CONSTANTS, vocabulary.SCOPE_WORDS),
    ]
    terminals, _, _ = _grammar()
    assert terminals == {word for table in tables for word in table} | PUNCTUATION


def test_every_terminal_is_one_token_and_every_name_is_defined() -> None:
    terminals, defined, used = _grammar()
    for terminal in terminals:
        tokens = tokenize(source.Source(terminal))
        assert tokens is not None
        assert [token.value for token in tokens[:-1]] == [terminal]
    assert used - defined == {"NAME", "TEXT", "NUMBER", "DURATION"}
    assert defined - used == set()


@pytest.mark.parametrize("kind", ["promise", "correlate", "expect"])
def test_the_parser_takes_every_sentence_of_the_grammar(kind: str) -> None:
    [text] = _blocks("ebnf")
    grammar = read_grammar(text, SAMPLES)
    for seed in range(200):
        random = Random(seed)
        sentence = grammar.sentence(kind, random, depth=random.randint(3, 30))
        found = {problem.code for problem in _parsed(kind, sentence)}
        assert found <= AFTER_PARSING, sentence


def _parsed(kind: str, text: str) -> Iterable[dsl.Problem]:
    if kind != "promise":
        return dsl.check(text).problems
    read = source.Source(text)
    tokens = tokenize(read)
    assert tokens is not None
    parse(read, tokens)
    return read.problems


def test_the_starter_rules_pass_their_tests() -> None:
    file = ROOT / "deploy" / "demo" / "rules.yaml"
    document = parse_rules(file.read_text(), filename=str(file))
    assert document.problems == ()
    assert [test.name for test in run(document).tests if not test.passed] == []
