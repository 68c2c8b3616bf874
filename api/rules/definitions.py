"""From the text of a rule, or of a whole rule object, to something that may be saved.

The language decides what is right; here its problems become one refusal with all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import dsl
from api.problems import ApiError
from api.rules.model import RuleState
from dsl.exceptions import warnings_about
from dsl.objects import RuleObject, parse_rules
from dsl.traces import duration_ns

SETTLE_MAX_MS: Final = 24 * 60 * 60 * 1000


class Form(StrEnum):
    """How a rule object is written."""

    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Definition:
    """A rule object whose text checks: what a version stores.

    judged: the rule with its literals as redaction leaves them in spans; None: as it was written.
    judged_exceptions: its exceptions, each that is asked otherwise with `judged`, its `where` as
    redaction leaves the literals; None: as they were written.
    """

    object: dict[str, Any]
    compiled: dsl.AnyRule
    warnings: tuple[dsl.Problem, ...]
    judged: dsl.AnyRule | None = None
    judged_exceptions: tuple[Mapping[str, Any], ...] | None = None

    @property
    def judging(self) -> dsl.AnyRule:
        """The rule that spans are judged by."""
        return self.judged or self.compiled

    @property
    def id(self) -> str:
        """The rule's id, unique in the tenant."""
        return str(self.object["id"])

    @property
    def settle_ms(self) -> int:
        """How long the rule waits after a trace's last span, 0: as long as its tenant."""
        settle = self.object.get("settle")
        return duration_ns(settle, field="settle") // 1_000_000 if settle else 0

    @property
    def state(self) -> RuleState:
        """Whether the rule is to be judged."""
        return RuleState(self.object["state"])


@dataclass(frozen=True, slots=True)
class Validation:
    """What checking found. text: of the rule, where it checks; exceptions: of a rule object."""

    problems: tuple[dict[str, Any], ...]
    warnings: tuple[dict[str, Any], ...]
    text: str = ""
    exceptions: tuple[Mapping[str, Any], ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it may be saved."""
        return not self.problems


def read_definition(text: str, *, form: Form, expected_id: str | None = None) -> Definition:
    """Read one rule object.

    expected_id: the id from the address; a body without one takes it.
    Raises ApiError 422 with every problem, 400 if it is not exactly one rule or has another id.
    """
    objects = _objects(text, form=form, default_id=expected_id)
    if len(objects) != 1:
        raise ApiError(400, "rule.not_one", f"Send one rule; these are {len(objects)}.")
    definition = define(objects[0])
    if expected_id not in (None, definition.id):
        raise ApiError(
            400, "rule.other_id", f"The body has the id {definition.id!r}, the address another."
        )
    return definition


def read_definitions(text: str, *, filename: str) -> list[Definition]:
    """Read a file of rules. Raises ApiError 422 with all problems, at their places in the file."""
    document = parse_rules(text, filename=filename)
    problems = _dicts(document.problems)
    definitions = []
    for rule in document.rules:
        checked = dsl.check(rule.rule)
        problems += [{"rule": rule.id, **rule.in_file(p).to_dict()} for p in checked.problems]
        if checked.rule is not None:
            definitions.append(_definition(rule, checked))
    if problems:
        raise refusal(problems)
    return definitions


def define(rule: RuleObject) -> Definition:
    """Check the text of a rule object. Raises ApiError 422 with every problem, as in the text."""
    checked = dsl.check(rule.rule)
    if checked.rule is None:
        raise refusal(_dicts(checked.problems))
    return _definition(rule, checked)


def validate_text(text: str) -> Validation:
    """Check the text of a rule alone."""
    checked = dsl.check(text)
    return Validation(
        tuple(_dicts(checked.problems)),
        tuple(_dicts(checked.warnings)),
        checked.rule.text if checked.rule else "",
    )


def validate_object(text: str, *, form: Form) -> Validation:
    """Check a rule object; JSON may hold the member `rule` alone."""
    if form is Form.JSON and (alone := _rule_alone(text)) is not None:
        return validate_text(alone)
    try:
        definition = read_definition(text, form=form)
    except ApiError as refusal:
        if "problems" not in refusal.members:
            raise
        return Validation(tuple(refusal.members["problems"]), ())
    return Validation(
        (),
        tuple(_dicts(definition.warnings)),
        definition.compiled.text,
        tuple(definition.object["exceptions"]),
    )


def _definition(rule: RuleObject, checked: dsl.Checked) -> Definition:
    assert checked.rule is not None
    over = warnings_about(rule.exceptions, at=datetime.now(UTC))
    definition = Definition(rule.to_dict(), checked.rule, (*checked.warnings, *over))
    if definition.settle_ms > SETTLE_MAX_MS:
        raise ApiError(400, "rule.settle", f"A rule may settle for {SETTLE_MAX_MS} ms at most.")
    return definition


def _objects(text: str, *, form: Form, default_id: str | None) -> Sequence[RuleObject]:
    if form is Form.JSON:
        text = _json_as_yaml(text, default_id=default_id)
    document = parse_rules(text, filename=f"rule.{form}")
    if document.problems:
        raise refusal(_dicts(document.problems))
    return document.rules


def _json_as_yaml(text: str, *, default_id: str | None) -> str:
    """Return JSON so that a YAML reader reads the same: no escapes of surrogate pairs."""
    value = _json(text)
    if isinstance(value, dict) and default_id is not None:
        value = {"id": default_id, **value}
    return json.dumps(value, ensure_ascii=False)


def _rule_alone(text: str) -> str | None:
    value = _json(text)
    if isinstance(value, dict) and value.keys() == {"rule"} and isinstance(value["rule"], str):
        return value["rule"]
    return None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "request.malformed", f"The body is not JSON: {error}") from error


def refusal(problems: list[dict[str, Any]]) -> ApiError:
    """Return what refuses rules with these problems."""
    count = len(problems)
    return ApiError(
        422,
        "rule.invalid",
        f"The rule has {'a problem' if count == 1 else f'{count} problems'}.",
        problems=problems,
    )


def _dicts(problems: Iterable[dsl.Problem]) -> list[dict[str, Any]]:
    return [problem.to_dict() for problem in problems]
