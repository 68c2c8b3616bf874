"""Trials of rules as JSON: what may be asked, and what is answered."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.rules.schemas import RULE_TEXT, ProblemBody
from api.rules.trial import Tried

_ON_TRACES_EXAMPLE: Final[JsonDict] = {
    "rule": RULE_TEXT,
    "traces": [
        [
            {"name": "POST /pay", "id": "r", "service": "shop"},
            {"name": "payment.charge", "parent": "r", "attributes": {"amount": 1800.5}},
        ]
    ],
}
_SUITE_EXAMPLE: Final = """\
id: large-payments-are-checked
rule: |
  when   { payment.charge.where(amount > 1000) }
  always { fraud.check }
tests:
  - name: a large payment that nobody checks
    trace:
      - {name: payment.charge, attributes: {amount: 1800.5}}
    expect: violated
"""
_SCHEMA: Final[dict[str, Any]] = {
    "title": "Trial",
    "type": "object",
    "description": "Rules with `traces`, or a suite: rules and tests as in a file of rules.",
    "properties": {
        "rule": {"type": "string", "description": "The text of one rule, to be judged."},
        "rules": {"type": "array", "items": {"type": "object"}, "description": "Rule objects."},
        "traces": {
            "type": "array",
            "items": {"type": ["array", "object"]},
            "description": "Each a list of spans as in the tests of rules, an OTLP/JSON document, "
            "or an object with `trace` and `at`, when it comes.",
        },
        "external_roots": {"type": "boolean"},
        "tests": {"type": "array", "items": {"type": "object"}},
    },
    "examples": [_ON_TRACES_EXAMPLE],
}
TRIAL_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA},
            "application/yaml": {"schema": {"type": "string"}, "example": _SUITE_EXAMPLE},
        },
    }
}
"""What the route that tries rules says of its body in OpenAPI."""


class TriedVerdictBody(BaseModel):
    """What a rule says of a trace.

    rule: its id, empty for a text alone. trace: the number of the entry of `traces`, from 1; null
    for a rule over many traces, which looks at all of them. trace_id: in hex, empty where none was
    given. explanation: every clause and condition, the spans that made it so with the values that
    were read, the nearest miss.
    """

    rule: str
    trace: int | None
    trace_id: str
    verdict: str = Field(examples=["violated"])
    explanation: dict[str, Any]


class TriedTestBody(BaseModel):
    """What became of a test, as `betrace rules test --format json` says it.

    verdict: `rejected` where the text of its rule does not check, `error` where its trace cannot be
    read; a list where it expects something at several moments.
    """

    name: str
    rule: str
    expect: Any
    verdict: Any
    passed: bool
    explanation: dict[str, Any]


class TrialBody(BaseModel):
    """What a trial came to.

    problems: of how the body is written, at its places there, and of rules, with the id of the rule
    and places in its text. A rule with problems is not judged.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "problems": [],
                    "warnings": [],
                    "verdicts": [
                        {
                            "rule": "",
                            "trace": 1,
                            "trace_id": "",
                            "verdict": "violated",
                            "explanation": {"verdict": "violated", "broken": "always"},
                        }
                    ],
                    "tests": [],
                    "passed": 0,
                    "failed": 0,
                }
            ]
        }
    )
    problems: list[ProblemBody]
    warnings: list[ProblemBody]
    verdicts: list[TriedVerdictBody]
    tests: list[TriedTestBody]
    passed: int
    failed: int

    @classmethod
    def of(cls, tried: Tried) -> Self:
        """Lay out what a trial came to."""
        passed = sum(test.passed for test in tried.tests)
        return cls(
            problems=[ProblemBody.model_validate(one) for one in tried.problems],
            warnings=[ProblemBody.model_validate(one) for one in tried.warnings],
            verdicts=[
                TriedVerdictBody(
                    rule=told.rule,
                    trace=told.trace,
                    trace_id=told.trace_id,
                    verdict=told.verdict,
                    explanation=dict(told.explanation),
                )
                for told in tried.verdicts
            ],
            tests=[
                TriedTestBody(
                    name=test.name,
                    rule=test.rule,
                    expect=test.expect,
                    verdict=test.verdict,
                    passed=test.passed,
                    explanation=dict(test.explain),
                )
                for test in tried.tests
            ],
            passed=passed,
            failed=len(tried.tests) - passed,
        )
