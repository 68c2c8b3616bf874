"""Rules and tests as files: YAML or JSON in, rule objects and every problem out.

A document is one rule object, a list of them, or a map with `rules:` and `tests:`. YAML aliases
are refused (they multiply), duplicate keys too. Places are those of the field in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import yaml

from dsl.problems import Problem, phrase
from dsl.rule import check
from dsl.traces import duration_ns

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_ID_CHARACTERS: Final = 255
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
STATES: Final = ("active", "shadow", "off")
ON_INCOMPLETE: Final = ("signal", "hold")
VERDICTS: Final = ("violated", "satisfied", "not_applicable", "inconclusive", "rejected")
_RULE_FIELDS: Final = [
    "id",
    "name",
    "description",
    "severity",
    "state",
    "controls",
    "tags",
    "owner",
    "runbook",
    "rule",
    "settle",
    "on_incomplete",
    "group_by",
    "exceptions",
    "tests",
]
_TEST_FIELDS: Final = ["name", "trace", "expect", "rule", "id"]


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test of a rule.

    trace: span entries as written, or the path of an OTLP/JSON file. expect: the verdicts that
    are right. rule: a text of its own, or the id of a rule of the file; empty: the rule it
    stands in.
    """

    name: str
    trace: tuple[Mapping[str, Any], ...] | str
    expect: tuple[str, ...]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class RuleObject:
    """A rule with all that people say about it. settle_ms: 0 where the tenant's holds."""

    id: str
    rule: str
    name: str = ""
    description: str = ""
    severity: str = "medium"
    state: str = "active"
    controls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    owner: str = ""
    runbook: str = ""
    settle: str = ""
    on_incomplete: str = ""
    group_by: tuple[str, ...] = ()
    exceptions: tuple[Mapping[str, Any], ...] = ()
    tests: tuple[RuleTest, ...] = ()

    @property
    def settle_ms(self) -> int:
        """The rule's own settle in ms, 0 where the tenant's holds."""
        return duration_ns(self.settle, field="settle") // 1_000_000 if self.settle else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the object as the API shows it; fields left out are not there."""
        fields: dict[str, Any] = {
            "id": self.id,
            "name": self.name or self.id,
            "description": self.description,
            "severity": self.severity,
            "state": self.state,
            "controls": list(self.controls),
            "tags": list(self.tags),
            "owner": self.owner,
            "runbook": self.runbook,
            "rule": self.rule,
            "group_by": list(self.group_by),
            "exceptions": [dict(item) for item in self.exceptions],
            "tests": [
                {
                    "name": test.name,
                    "trace": test.trace
                    if isinstance(test.trace, str)
                    else [dict(span) for span in test.trace],
                    "expect": test.expect[0] if len(test.expect) == 1 else list(test.expect),
                }
                | ({"rule": test.rule} if test.rule else {})
                for test in self.tests
            ],
        }
        if self.settle:
            fields["settle"] = self.settle
        if self.on_incomplete:
            fields["on_incomplete"] = self.on_incomplete
        return fields


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """What a file holds. With problems, rules and tests are those that could be read."""

    filename: str
    rules: tuple[RuleObject, ...] = ()
    tests: tuple[RuleTest, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Reading:
    """The problems of a document, with places from its YAML nodes."""

    problems: list[Problem] = field(default_factory=list)

    def refuse(self, code: str, node: yaml.Node | None, **words: object) -> None:
        message, hint = phrase(code, words)
        start = node.start_mark if node is not None else None
        end = node.end_mark if node is not None else None
        self.problems.append(
            Problem(
                code=code,
                message=message,
                line=start.line + 1 if start else 1,
                column=start.column + 1 if start else 1,
                end_line=end.line + 1 if end else 1,
                end_column=end.column + 1 if end else 1,
                hint=hint,
            )
        )


class _Loader(yaml.SafeLoader):
    """SafeLoader without time stamps: `2027-01-31` stays text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_rules(text: str, *, filename: str = "rules.yaml") -> RuleDocument:
    """Return the rules and tests of a YAML or JSON text, and all problems. Never raises."""
    reading = _Reading()
    root = _compose(text, reading)
    if root is None:
        return RuleDocument(filename, problems=tuple(reading.problems))
    rules_node, tests_node = _lists_of(root, reading)
    rules = [rule for node in rules_node if (rule := _rule(node, reading)) is not None]
    tests = [test for node in tests_node if (test := _test(node, reading)) is not None]
    seen: set[str] = set()
    for rule, node in zip(rules, rules_node, strict=False):
        if rule.id in seen:
            reading.refuse("object.duplicate_id", node, id=rule.id)
        seen.add(rule.id)
    return RuleDocument(filename, tuple(rules), tuple(tests), tuple(reading.problems))


def _compose(text: str, reading: _Reading) -> yaml.Node | None:
    if len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        reading.refuse("object.too_large", None, limit=MAX_FILE_BYTES)
        return None
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                reading.problems.append(_at_mark("object.aliases", event.start_mark))
                return None
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        reason = error.problem or "it cannot be read"
        problem = _at_mark("object.syntax", error.problem_mark, format="YAML", reason=reason)
        reading.problems.append(problem)
        return None
    except yaml.YAMLError as error:
        reading.refuse("object.syntax", None, format="YAML", reason=str(error))
        return None
    except RecursionError:
        reading.refuse("object.too_deep", None, limit=100)
        return None
    if root is None:
        reading.refuse("object.shape", None, where="the file", expected="a rule", found="empty")
    return root


def _at_mark(code: str, mark: Any, **words: object) -> Problem:
    message, hint = phrase(code, words)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Problem(code, message, line, column, line, column + 1, hint)


def _lists_of(root: yaml.Node, reading: _Reading) -> tuple[list[yaml.Node], list[yaml.Node]]:
    if isinstance(root, yaml.SequenceNode):
        return list(root.value), []
    if not isinstance(root, yaml.MappingNode):
        reading.refuse(
            "object.shape", root, where="the file", expected="a rule or a list", found="a text"
        )
        return [], []
    fields = _fields(root, reading, where="the file")
    if ("rules" not in fields and "tests" not in fields) or "id" in fields:
        return [root], []
    for name, node in fields.items():
        if name not in ("rules", "tests"):
            _refuse_unknown(reading, node, name, ("rules", "tests"), "a suite")
    return _sequence(fields.get("rules"), reading), _sequence(fields.get("tests"), reading)


def _sequence(node: yaml.Node | None, reading: _Reading) -> list[yaml.Node]:
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        reading.refuse(
            "object.shape", node, where="this", expected="a list", found="something else"
        )
        return []
    return list(node.value)


def _fields(node: yaml.MappingNode, reading: _Reading, *, where: str) -> dict[str, yaml.Node]:
    fields: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            reading.refuse(
                "object.shape", key, where=f"a field of {where}", expected="a name", found="a list"
            )
        elif key.value in fields:
            reading.refuse("object.duplicate_key", key, field=key.value)
        else:
            fields[key.value] = value
    return fields


def _refuse_unknown(
    reading: _Reading, node: yaml.Node, name: str, known: Sequence[str], where: str
) -> None:
    close = get_close_matches(name, known, n=1)
    following = f"did you mean `{close[0]}`?" if close else f"the fields are {', '.join(known)}"
    reading.refuse("object.unknown_field", node, field=name, where=where, next=following)


def _rule(node: yaml.Node, reading: _Reading) -> RuleObject | None:
    if not isinstance(node, yaml.MappingNode):
        reading.refuse("object.shape", node, where="a rule", expected="a map", found="no map")
        return None
    before = len(reading.problems)
    fields = _fields(node, reading, where="a rule")
    for name in fields:
        if name not in _RULE_FIELDS:
            _refuse_unknown(reading, fields[name], name, _RULE_FIELDS, "a rule")
    for name in ("id", "rule"):
        if name not in fields:
            reading.refuse("object.missing_field", node, where="the rule", field=name)
    values = {name: _plain(fields[name]) for name in fields if name in _RULE_FIELDS}
    _check_texts(values, fields, reading)
    _check_words(values, fields, reading)
    tests = [_test(test, reading) for test in _sequence(fields.get("tests"), reading)]
    if len(reading.problems) > before:
        return None
    _check_rule_text(fields["rule"], reading)
    return RuleObject(
        id=values["id"],
        rule=values["rule"],
        name=values.get("name") or "",
        description=values.get("description") or "",
        severity=values.get("severity", "medium"),
        state=values.get("state", "active"),
        controls=tuple(values.get("controls") or ()),
        tags=tuple(values.get("tags") or ()),
        owner=values.get("owner") or "",
        runbook=values.get("runbook") or "",
        settle=values.get("settle") or "",
        on_incomplete=values.get("on_incomplete") or "",
        group_by=tuple(values.get("group_by") or ()),
        exceptions=tuple(values.get("exceptions") or ()),
        tests=tuple(test for test in tests if test is not None),
    )


def _check_texts(
    values: Mapping[str, Any], fields: Mapping[str, yaml.Node], reading: _Reading
) -> None:
    for name in ("id", "name", "description", "owner", "runbook", "rule", "settle"):
        value = values.get(name)
        if value is not None and not isinstance(value, str):
            reading.refuse(
                "object.shape", fields[name], where=f"`{name}`", expected="a text", found=str(value)
            )
    rule_id = values.get("id")
    if isinstance(rule_id, str) and not 0 < len(rule_id) <= MAX_ID_CHARACTERS:
        following = f"use 1 to {MAX_ID_CHARACTERS} characters"
        reading.refuse(
            "object.value", fields["id"], field="id", found="empty or too long", next=following
        )
    for name in ("controls", "tags", "group_by"):
        value = values.get(name)
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if value is not None and not texts:
            reading.refuse(
                "object.shape",
                fields[name],
                where=f"`{name}`",
                expected="a list of texts",
                found=str(value),
            )
    exceptions = values.get("exceptions")
    maps = isinstance(exceptions, list) and all(isinstance(item, dict) for item in exceptions)
    if exceptions is not None and not maps:
        reading.refuse(
            "object.shape",
            fields["exceptions"],
            where="`exceptions`",
            expected="a list of maps",
            found=str(exceptions),
        )


def _check_words(
    values: Mapping[str, Any], fields: Mapping[str, yaml.Node], reading: _Reading
) -> None:
    for name, words in (
        ("severity", SEVERITIES),
        ("state", STATES),
        ("on_incomplete", ON_INCOMPLETE),
    ):
        if name in values and values[name] not in words:
            close = get_close_matches(str(values[name]), words, n=1)
            following = (
                f"did you mean `{close[0]}`?" if close else f"it is one of {', '.join(words)}"
            )
            reading.refuse(
                "object.value", fields[name], field=name, found=repr(values[name]), next=following
            )
    settle = values.get("settle")
    if isinstance(settle, str):
        try:
            duration_ns(settle, field="settle")
        except ValueError as error:
            reading.refuse(
                "object.value", fields["settle"], field="settle", found=settle, next=str(error)
            )


def _check_rule_text(node: yaml.Node, reading: _Reading) -> None:
    """Check the rule's text; places are moved to where it stands in the file."""
    for problem in check(str(node.value)).problems:
        reading.problems.append(_in_file(problem, node))


def _in_file(problem: Problem, node: yaml.Node) -> Problem:
    """Move a problem of a text to its place in the file, as far as the style of YAML allows."""
    start = node.start_mark
    if getattr(node, "style", None) == "|":
        # A literal block starts on the line after `|`, indented alike in all its lines.
        lines = start.buffer.split("\n") if start.buffer else []
        line = start.line + problem.line
        source = lines[line] if line < len(lines) else ""
        indent = len(source) - len(source.lstrip(" "))
        own = len(str(node.value).split("\n")[problem.line - 1])
        indent = max(0, len(source.rstrip("\r")) - own) if own else indent
        return Problem(
            problem.code,
            problem.message,
            line + 1,
            problem.column + indent,
            start.line + problem.end_line + 1,
            problem.end_column + indent,
            problem.hint,
        )
    quote = 1 if getattr(node, "style", None) in ("'", '"') else 0
    line, column = start.line + 1, start.column + quote
    if problem.line == 1:
        return Problem(
            problem.code,
            problem.message,
            line,
            column + problem.column,
            line + problem.end_line - 1,
            problem.end_column + (column if problem.end_line == 1 else 0),
            problem.hint,
        )
    return Problem(
        problem.code,
        problem.message,
        line + problem.line - 1,
        problem.column,
        line + problem.end_line - 1,
        problem.end_column,
        problem.hint,
    )


def _test(node: yaml.Node, reading: _Reading) -> RuleTest | None:
    if not isinstance(node, yaml.MappingNode):
        reading.refuse("object.shape", node, where="a test", expected="a map", found="no map")
        return None
    before = len(reading.problems)
    fields = _fields(node, reading, where="a test")
    for name in fields:
        if name not in _TEST_FIELDS:
            _refuse_unknown(reading, fields[name], name, _TEST_FIELDS, "a test")
    if "expect" not in fields:
        reading.refuse("object.missing_field", node, where="the test", field="expect")
        return None
    expect = _plain(fields["expect"])
    expected = tuple(expect) if isinstance(expect, list) else (expect,)
    for word in expected:
        if word not in VERDICTS:
            following = f"it is one of {', '.join(VERDICTS)}"
            reading.refuse(
                "object.value",
                fields["expect"],
                field="expect",
                found=repr(word),
                next=following,
            )
    trace = _plain(fields["trace"]) if "trace" in fields else []
    is_list = isinstance(trace, list) and all(isinstance(span, dict) for span in trace)
    if not isinstance(trace, str) and not is_list:
        reading.refuse(
            "object.shape",
            fields["trace"],
            where="`trace`",
            expected="a list of spans or the name of a file",
            found="something else",
        )
    if len(reading.problems) > before:
        return None
    return RuleTest(
        name=str(_plain(fields["name"])) if "name" in fields else "",
        trace=trace if isinstance(trace, str) else tuple(trace),
        expect=expected,
        rule=str(_plain(fields["rule"])) if "rule" in fields else "",
    )


def _plain(node: yaml.Node) -> Any:
    """Return the plain value of a node."""
    loader = _Loader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, TypeError, ValueError):
        return None
    finally:
        loader.dispose()
