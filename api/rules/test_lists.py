"""The tests of a rule as people write them in a form: a YAML list."""

from __future__ import annotations

import json
from typing import Any

from api.rules.definitions import Form
from api.rules.trial import Trials, Tried
from dsl.documents import read_document


def read_tests(text: str) -> list[Any]:
    """Return the entries of a `tests:` list. Raises ValueError, for people, for what is none."""
    document = read_document(text, filename="tests.yaml")
    if document.problems:
        problem = document.problems[0]
        raise ValueError(f"the tests cannot be read: line {problem.line}, {problem.message}")
    tests = document.values[0] if document.values else None
    if len(document.values) > 1 or not isinstance(tests, list | None):
        raise ValueError("the tests are a list: every test begins with `- name: …`")
    return tests or []


async def run_tests(trials: Trials, rule_text: str, tests: list[Any]) -> Tried:
    """Run tests on the text of a rule. Raises ApiError 400 and 422 as trials do."""
    suite = {"id": "draft", "rule": rule_text, "tests": tests}
    return await trials.run(json.dumps(suite, ensure_ascii=False), form=Form.JSON)
