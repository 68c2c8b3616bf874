"""The form that writes a rule: its fields, what is wrong, its tests, the playground beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from api.rules.model import Rule
from api.rules.trial import Tried
from api.web.views.links import NEW_RULE_HREF, rule_href
from api.web.views.playground import PlayDraft, Playground, playground
from api.web.views.problems import ProblemView, problem_view
from api.web.views.words import SEVERITIES, STATES, VERDICTS, Choice, Message, as_word, choices
from dsl.problems import Problem
from dsl.suites import TestResult
from dsl.writing import written_tests

WINDOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "Every time",
        "5m": "Once in 5 minutes for each group",
        "15m": "Once in 15 minutes for each group",
        "1h": "Once in an hour for each group",
        "1d": "Once a day for each group",
    }
)
NEW_TEXT: Final = "when   { payment.charge.where(amount > 1000) }\nalways { fraud.check }\n"
TEST_EXAMPLE: Final = """\
- name: a large charge that nobody checks
  trace:
    - {name: payment.charge, attributes: {amount: 2400}}
  expect: violated
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """The fields of the form as typed. tests: YAML."""

    id: str = ""
    name: str = ""
    description: str = ""
    text: str = NEW_TEXT
    tests: str = ""
    severity: str = "medium"
    state: str = "active"
    suppress: str = ""


@dataclass(frozen=True, slots=True)
class TestRow:
    """What became of one test. why: where it did not pass."""

    __test__ = False  # not a test class of pytest

    name: str
    passed: bool
    why: str


@dataclass(frozen=True, slots=True)
class TestPanel:
    """What became of the tests. problem: why they could not be run."""

    __test__ = False

    summary: str
    problem: str
    rows: tuple[TestRow, ...]
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleForm:
    """The page of the form."""

    title: str
    action: str
    back_href: str
    back_label: str
    id: str
    id_fixed: bool
    name: str
    description: str
    text: str
    tests: str
    test_example: str
    test_panel: TestPanel | None
    version: int | None
    severities: tuple[Choice, ...]
    states: tuple[Choice, ...]
    windows: tuple[Choice, ...]
    problems: tuple[ProblemView, ...]
    refused: bool
    checked_well: str
    backtest_action: str
    playground: Playground
    message: Message | None


def draft_of(rule: Rule) -> RuleDraft:
    """Return the fields of the form for changing a rule."""
    return RuleDraft(
        id=rule.id,
        name=str(rule.object.get("name") or ""),
        description=str(rule.object.get("description") or ""),
        text=rule.text,
        tests=written_tests(rule.object.get("tests") or ()),
        severity=as_word(SEVERITIES, str(rule.object.get("severity")), otherwise="medium"),
        state=as_word(STATES, str(rule.object.get("state")), otherwise="active"),
        suppress=str(rule.object.get("suppress") or ""),
    )


def rule_form(
    draft: RuleDraft,
    *,
    version: int | None = None,
    problems: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    checked: bool = False,
    tests: TestPanel | None = None,
    play: Playground | None = None,
    message: Message | None = None,
) -> RuleForm:
    """Return the form. version: the one being edited, sent back to notice changes by others.

    checked: the person asked for a check, so that no problem is worth saying too. play: what was
    tried, None: nothing yet.
    """
    return RuleForm(
        title="New rule" if version is None else f"Edit {draft.id}",
        action=rule_href(draft.id) if version is not None else "/rules",
        back_href=rule_href(draft.id) if version is not None else "/rules",
        back_label="Rules" if version is None else draft.id,
        id=draft.id,
        id_fixed=version is not None,
        name=draft.name,
        description=draft.description,
        text=draft.text,
        tests=draft.tests,
        test_example=TEST_EXAMPLE,
        test_panel=tests,
        version=version,
        severities=choices(SEVERITIES, draft.severity),
        states=choices(STATES, draft.state),
        windows=_windows(draft.suppress),
        problems=(
            *(problem_view(problem, draft.text) for problem in problems),
            *(problem_view(warning, draft.text, warning=True) for warning in warnings),
        ),
        refused=bool(problems),
        checked_well="This rule can be saved." if checked and not problems else "",
        backtest_action=f"{NEW_RULE_HREF if version is None else rule_href(draft.id)}"
        "/backtest/draft",
        playground=play or playground(PlayDraft()),
        message=message,
    )


def _windows(suppress: str) -> tuple[Choice, ...]:
    """Return the suppression windows to choose from; one of a file of rules stays as it is."""
    own = {} if suppress in WINDOWS else {suppress: f"Once in {suppress} for each group"}
    return choices({**WINDOWS, **own}, suppress)


def test_panel(tried: Tried) -> TestPanel:
    """Return what became of the tests of a draft."""
    failed = sum(not one.passed for one in tried.tests)
    count = len(tried.tests)
    return TestPanel(
        summary=f"{count - failed} of {count} tests passed"
        if failed
        else ("The test passed" if count == 1 else f"All {count} tests passed"),
        problem="; ".join(str(problem["message"]) for problem in tried.problems),
        rows=tuple(map(_test_row, tried.tests)),
        failed=bool(failed or tried.problems),
    )


def unreadable_tests(problem: str) -> TestPanel:
    """Return what is said of tests that cannot be read."""
    return TestPanel("", problem, (), failed=True)


def _test_row(result: TestResult) -> TestRow:
    why = ""
    if not result.passed:
        error = result.explain.get("error")
        why = str(error or f"Expected {_words(result.expect)}, and it is {_words(result.verdict)}.")
    return TestRow(result.name or "A test without a name", result.passed, why)


def _words(verdict: object) -> str:
    match verdict:
        case list():
            return ", ".join(map(_words, verdict))
        case dict():
            return " at ".join(map(str, (_words(verdict.get("verdict")), verdict.get("at"))))
    return VERDICTS.get(str(verdict), str(verdict)).lower()
