"""Results of tests as JUnit XML, as CI systems read it: a suite for each file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from dsl.problems import Problem
from dsl.suites import TestResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-�\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold at all, not even escaped."""
_MAX_CLASS_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Suite:
    """The results of one file. problems: why it, or a part of it, could not be read."""

    file: str
    tests: tuple[TestResult, ...]
    problems: tuple[Problem, ...]

    @property
    def failed(self) -> list[TestResult]:
        """The tests that ran and came to another verdict."""
        return [one for one in self.tests if not one.passed and one.verdict != "error"]

    @property
    def broken(self) -> list[TestResult]:
        """The tests that could not run."""
        return [one for one in self.tests if one.verdict == "error"]


def junit(suites: Sequence[Suite], *, why: Callable[[TestResult], str]) -> str:
    """Return the XML document. why: explains a failed test, its first line in a sentence."""
    root = ElementTree.Element("testsuites", {"name": "betrace rules", **_counts(suites)})
    for suite in suites:
        _add_suite(root, suite, why)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _add_suite(root: ElementTree.Element, suite: Suite, why: Callable[[TestResult], str]) -> None:
    file = _text(suite.file)
    node = ElementTree.SubElement(root, "testsuite", {"name": file, **_counts([suite])})
    for problem in suite.problems:
        place = f"line {problem.line}"
        case = ElementTree.SubElement(node, "testcase", {"classname": file, "name": place})
        _add(case, "error", f"{problem.message} [{problem.code}]", problem.hint)
    for one in suite.tests:
        named = {"classname": _class(one.rule), "name": _text(one.name), "file": file}
        case = ElementTree.SubElement(node, "testcase", named)
        if not one.passed:
            what = "error" if one.verdict == "error" else "failure"
            first, _, rest = why(one).partition("\n")
            _add(case, what, first, rest)


def _counts(suites: Iterable[Suite]) -> dict[str, str]:
    listed = list(suites)
    errors = sum(len(suite.broken) + len(suite.problems) for suite in listed)
    return {
        "tests": str(sum(len(suite.tests) + len(suite.problems) for suite in listed)),
        "failures": str(sum(len(suite.failed) for suite in listed)),
        "errors": str(errors),
        "skipped": "0",
    }


def _add(case: ElementTree.Element, what: str, message: str, text: str) -> None:
    node = ElementTree.SubElement(case, what, {"message": _text(message), "type": what})
    node.text = _text(text)


def _class(rule: str) -> str:
    """Return the id of a rule, or the beginning of its text, as a class name."""
    return _text(" ".join(rule.split()))[:_MAX_CLASS_CHARACTERS]


def _text(text: str) -> str:
    return _NOT_XML.sub("�", text)
