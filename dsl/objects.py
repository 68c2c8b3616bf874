"""A rule as an object: the rule text with its name, owner, severity and tests, in YAML or JSON.

Fields are checked here; the text of the rule is left to `dsl.check`, whose places
`RuleObject.in_file` turns into places of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dsl.controls import misnamed
from dsl.documents import Document, Place, read_document
from dsl.exceptions import FIELDS as _EXCEPTION_FIELDS
from dsl.exceptions import RuleException, end_of
from dsl.problems import Problem
from dsl.rule import check_filter
from dsl.traces import TraceError, duration_ns
from dsl.verdict import Verdict
from dsl.words import did_you_mean

SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
STATES: Final = ("active", "shadow", "off")
ON_INCOMPLETE: Final = ("signal", "hold")
EXPECTATIONS: Final = (*(verdict.value for verdict in Verdict), "rejected")
MAX_ID_CHARACTERS: Final = 200
MAX_NAME_CHARACTERS: Final = 255

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RULE_FIELDS: Final = (
    *("id", "name", "description", "severity", "state", "controls", "tags", "owner", "runbook"),
    *("rule", "settle", "on_incomplete", "group_by", "suppress", "exceptions", "tests"),
)
_TEST_FIELDS: Final = ("name", "rule", "trace", "traces", "external_roots", "expect")
_TRACES_FIELDS: Final = ("at", "trace")

_SHORTEST_WINDOW_NS: Final = 1_000_000_000
_LONGEST_WINDOW_NS: Final = 7 * 86_400_000_000_000

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test expects at a moment: any of these. at_ns: None is when all is over."""

    verdicts: tuple[str, ...]
    at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RuleTest:
    """A trace, or several, and what a rule must say about it.

    rule: the text judged; rule_id: the rule it belongs to, or nothing. trace: entries of spans, or
    the path of an OTLP/JSON file, or an OTLP/JSON document itself. traces: maps of such a `trace`
    and `at`, when it comes; None where there is one trace. on_incomplete: what the rule does about
    missing spans, if it says so. external_roots: the tenant's traces begin outside of what it
    exports.
    """

    name: str
    rule_id: str
    rule: str
    trace: Any
    expect: tuple[Expected, ...]
    settle_ns: int | None = None
    on_incomplete: str | None = None
    place: Place = field(default=Place(), compare=False)
    traces: tuple[Mapping[str, Any], ...] | None = None
    external_roots: bool = False


@dataclass(frozen=True, slots=True)
class RuleObject:
    """One rule with everything people say about it. Times are texts as written (`10s`)."""

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
    settle: str | None = None
    on_incomplete: str | None = None
    group_by: tuple[str, ...] = ()
    suppress: str | None = None
    exceptions: tuple[RuleException, ...] = ()
    tests: tuple[Mapping[str, Any], ...] = ()
    place: Place = field(default=Place(), compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: every field, optional ones only where they were given."""
        shown: dict[str, Any] = {
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
            "exceptions": [one.to_dict() for one in self.exceptions],
            "tests": [dict(one) for one in self.tests],
        }
        if self.settle is not None:
            shown["settle"] = self.settle
        if self.on_incomplete is not None:
            shown["on_incomplete"] = self.on_incomplete
        if self.suppress is not None:
            shown["suppress"] = self.suppress
        return shown

    def in_file(self, problem: Problem) -> Problem:
        """Return a problem of the rule's text at its place in the file."""
        return in_file(problem, self.place)


def in_file(problem: Problem, place: Place) -> Problem:
    """Move a problem of a text to where that text stands in a file."""
    if not place.block:
        return replace(
            problem,
            line=place.line,
            column=place.column,
            end_line=place.line,
            end_column=place.column + 1,
        )
    return replace(
        problem,
        line=problem.line + place.line,
        column=problem.column + place.indent,
        end_line=problem.end_line + place.line,
        end_column=problem.end_column + place.indent,
    )


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """The rules and tests of a file. problems: of the objects; rule texts are not checked here."""

    rules: tuple[RuleObject, ...]
    tests: tuple[RuleTest, ...]
    problems: tuple[Problem, ...]


def parse_rules(text: str, *, filename: str) -> RuleDocument:
    """Return the rules of a YAML or JSON file. Never raises on any text.

    A file holds one rule, a list of rules, several after `---`, or a map with `rules:` and
    `tests:`. filename: JSON if it ends in .json, else YAML.
    """
    return rules_in(read_document(text, filename=filename))


def rules_in(document: Document) -> RuleDocument:
    """Return the rules of a file that was read, with all problems of both."""
    reader = _Reader(document)
    for number, value in enumerate(document.values):
        reader.top(value, (number,))
    reader.finish()
    return RuleDocument(tuple(reader.rules), tuple(reader.tests), tuple(document.problems))


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.rules: list[RuleObject] = []
        self.tests: list[RuleTest] = []
        self.alone: list[tuple[Any, Path]] = []

    # -- the file ------------------------------------------------------------------------------

    def top(self, value: Any, path: Path) -> None:
        if value is None:
            return
        if isinstance(value, list):
            for number, entry in enumerate(value):
                self.rule(entry, (*path, number))
        elif (
            isinstance(value, dict)
            and ("rules" in value or "tests" in value)
            and ("id" not in value)
        ):
            self.suite(value, path)
        else:
            self.rule(value, path)

    def suite(self, value: dict[str, Any], path: Path) -> None:
        self.only(value, ("rules", "tests"), path, "a suite")
        for number, entry in enumerate(self.entries(value, "rules", path)):
            self.rule(entry, (*path, "rules", number))
        for number, entry in enumerate(self.entries(value, "tests", path)):
            self.alone.append((entry, (*path, "tests", number)))

    def finish(self) -> None:
        """Read the tests that stand apart from rules, now that all rules are known."""
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                place = rule.place
                self.document.places[("duplicate",)] = place
                self.document.refuse("object.duplicate_id", ("duplicate",), id=rule.id)
            seen.add(rule.id)
        for entry, path in self.alone:
            owner = self.rules[0] if len(self.rules) == 1 else None
            self.test(entry, path, owner)

    # -- one rule ------------------------------------------------------------------------------

    def rule(self, value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            self.shape(path, "a rule", "a map of fields", value)
            return
        before = len(self.document.problems)
        self.only(value, _RULE_FIELDS, path, "a rule")
        for needed in ("id", "rule"):
            if needed not in value:
                self.document.refuse("object.missing_field", path, where="a rule", field=needed)
        rule = RuleObject(
            id=self.id(value, path),
            rule=self.text(value, "rule", path),
            name=self.text(value, "name", path, limit=MAX_NAME_CHARACTERS),
            description=self.text(value, "description", path),
            severity=self.one_of(value, "severity", SEVERITIES, path) or "medium",
            state=self.one_of(value, "state", STATES, path) or "active",
            controls=self.controls(value, path),
            tags=self.texts(value, "tags", path),
            owner=self.text(value, "owner", path),
            runbook=self.text(value, "runbook", path),
            settle=self.duration(value, "settle", path),
            on_incomplete=self.one_of(value, "on_incomplete", ON_INCOMPLETE, path),
            group_by=self.texts(value, "group_by", path),
            suppress=self.window(value, path),
            exceptions=self.exceptions(value, path),
            tests=tuple(
                entry for entry in self.entries(value, "tests", path) if isinstance(entry, dict)
            ),
            place=self.document.place((*path, "rule")),
        )
        for number, entry in enumerate(self.entries(value, "tests", path)):
            self.test(entry, (*path, "tests", number), rule)
        if len(self.document.problems) == before:
            self.rules.append(rule)

    def id(self, value: dict[str, Any], path: Path) -> str:
        found = self.text(value, "id", path, limit=MAX_ID_CHARACTERS)
        if "id" in value and found is not None and not _ID.fullmatch(found):
            self.document.refuse(
                "object.value",
                (*path, "id"),
                field="id",
                found=repr(found),
                next="ids are letters, digits, `.`, `_` and `-`, and begin with a letter or digit",
            )
        return found

    def controls(self, value: dict[str, Any], path: Path) -> tuple[str, ...]:
        found = self.texts(value, "controls", path)
        for number, text in enumerate(found):
            wrong = misnamed(text)
            if wrong is not None:
                self.document.refuse(
                    "object.unknown_control",
                    (*path, "controls", number),
                    control=text,
                    next=wrong.hint,
                )
        return found

    def window(self, value: dict[str, Any], path: Path) -> str | None:
        """Read for how long repeats are silent: a second to a week."""
        found = self.duration(value, "suppress", path)
        if found is None:
            return None
        if not _SHORTEST_WINDOW_NS <= duration_ns(found, field="suppress") <= _LONGEST_WINDOW_NS:
            self.document.refuse(
                "object.value",
                (*path, "suppress"),
                field="suppress",
                found=repr(found),
                next="a rule alerts once in `1s` to `7d` for each group, as `suppress: 15m`",
            )
            return None
        return found

    def exceptions(self, value: dict[str, Any], path: Path) -> tuple[RuleException, ...]:
        found: list[RuleException] = []
        for number, entry in enumerate(self.entries(value, "exceptions", path)):
            at = (*path, "exceptions", number)
            if not isinstance(entry, dict):
                self.shape(at, "an exception", "a map of fields", entry)
                continue
            self.only(entry, _EXCEPTION_FIELDS, at, "an exception")
            for needed in ("where", "reason"):
                if not entry.get(needed):
                    self.document.refuse(
                        "object.missing_field", at, where="an exception", field=needed
                    )
            where = self.text(entry, "where", at)
            if where:
                place = self.document.place((*at, "where"))
                self.document.problems.extend(
                    in_file(problem, place) for problem in check_filter(where).problems
                )
            found.append(
                RuleException(
                    where=where,
                    reason=self.text(entry, "reason", at),
                    owner=self.text(entry, "owner", at),
                    until=self.until(entry, at),
                    place=self.document.place((*at, "until")),
                )
            )
        return tuple(found)

    def until(self, entry: dict[str, Any], path: Path) -> str:
        found = self.text(entry, "until", path)
        if found:
            try:
                end_of(found)
            except ValueError as error:
                self.document.refuse(
                    "object.value",
                    (*path, "until"),
                    field="until",
                    found=repr(found),
                    next=str(error),
                )
        return found

    # -- one test ------------------------------------------------------------------------------

    def test(self, value: Any, path: Path, owner: RuleObject | None) -> None:
        if not isinstance(value, dict):
            self.shape(path, "a test", "a map of fields", value)
            return
        self.only(value, _TEST_FIELDS, path, "a test")
        own: str | None = self.text(value, "rule", path) if "rule" in value else None
        named = {rule.id: rule for rule in self.rules}
        if own is not None and own in named:
            owner, own = named[own], None
        if owner is None and own is None:
            self.document.refuse("object.missing_field", path, where="a test", field="rule")
            return
        expect = self.expected(value, path)
        rejected = any("rejected" in one.verdicts for one in expect)
        trace = value.get("trace")
        traces = self.traces(value, path)
        if trace is None and traces is None and not rejected:
            self.document.refuse("object.missing_field", path, where="a test", field="trace")
            return
        settle = owner.settle if owner is not None else None
        if own is None:
            assert owner is not None
            rule, rule_id, place = owner.rule, owner.id, owner.place
        else:
            rule, rule_id, place = own, "", self.document.place((*path, "rule"))
        self.tests.append(
            RuleTest(
                name=self.text(value, "name", path) or f"test {len(self.tests) + 1}",
                rule_id=rule_id,
                rule=rule,
                trace=[] if trace is None else trace,
                expect=expect,
                settle_ns=duration_ns(settle, field="settle") if settle else None,
                on_incomplete=owner.on_incomplete if owner is not None else None,
                place=place,
                traces=traces,
                external_roots=self.truth(value, "external_roots", path),
            )
        )

    def traces(self, value: dict[str, Any], path: Path) -> tuple[Mapping[str, Any], ...] | None:
        """Return the entries of `traces:`, None if there is none. Their times are read here."""
        if "traces" not in value:
            return None
        if "trace" in value:
            self.document.refuse("object.trace_and_traces", (*path, "traces"))
        found: list[Mapping[str, Any]] = []
        for number, entry in enumerate(self.entries(value, "traces", path)):
            at = (*path, "traces", number)
            if not isinstance(entry, dict):
                self.shape(at, "every entry of `traces`", "a map with `at` and `trace`", entry)
                continue
            self.only(entry, _TRACES_FIELDS, at, "an entry of `traces`")
            if "trace" not in entry:
                self.document.refuse(
                    "object.missing_field", at, where="an entry of `traces`", field="trace"
                )
            try:
                duration_ns(entry.get("at", 0), field="at")
            except TraceError as error:
                self.document.refuse(
                    "object.value",
                    (*at, "at"),
                    field="at",
                    found=repr(entry.get("at")),
                    next=str(error),
                )
            found.append(entry)
        return tuple(found)

    def expected(self, value: dict[str, Any], path: Path) -> tuple[Expected, ...]:
        if "expect" not in value:
            self.document.refuse("object.missing_field", path, where="a test", field="expect")
            return ()
        found, at = value["expect"], (*path, "expect")
        if isinstance(found, list) and any(isinstance(one, dict) for one in found):
            moments = [self.moment(one, (*at, i)) for i, one in enumerate(found)]
            return tuple(one for one in moments if one is not None)
        listed = found if isinstance(found, list) else [found]
        return (Expected(self.verdicts(listed, at)),)

    def moment(self, value: Any, path: Path) -> Expected | None:
        if not isinstance(value, dict):
            self.shape(path, "an expectation over time", "a map with `at` and `verdict`", value)
            return None
        self.only(value, ("at", "verdict"), path, "an expectation")
        verdict = value.get("verdict")
        listed = verdict if isinstance(verdict, list) else [verdict]
        try:
            at_ns = duration_ns(value.get("at"), field="at")
        except TraceError as error:
            self.document.refuse(
                "object.value", path, field="at", found=repr(value.get("at")), next=str(error)
            )
            return None
        return Expected(self.verdicts(listed, path), at_ns)

    def verdicts(self, listed: list[Any], path: Path) -> tuple[str, ...]:
        for one in listed:
            if one not in EXPECTATIONS:
                meant = did_you_mean(str(one), EXPECTATIONS)
                self.document.refuse(
                    "object.value",
                    path,
                    field="expect",
                    found=repr(one),
                    next=meant or f"it is one of {', '.join(EXPECTATIONS)}",
                )
        return tuple(str(one) for one in listed)

    # -- fields --------------------------------------------------------------------------------

    def only(self, value: dict[str, Any], known: tuple[str, ...], path: Path, where: str) -> None:
        for name in value:
            if name not in known:
                meant = did_you_mean(name, known)
                self.document.refuse(
                    "object.unknown_field",
                    (*path, name),
                    field=name,
                    where=where,
                    next=meant or f"fields are {' '.join(known)}",
                )

    def shape(self, path: Path, where: str, expected: str, found: object) -> None:
        self.document.refuse(
            "object.shape", path, where=where, expected=expected, found=_kind_of(found)
        )

    def text(
        self, value: dict[str, Any], name: str, path: Path, *, limit: int | None = None
    ) -> str:
        found = value.get(name)
        if found is None:
            return ""
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            self.shape((*path, name), f"`{name}`", "a text", found)
            return ""
        if limit is not None and len(str(found)) > limit:
            self.document.refuse(
                "object.value",
                (*path, name),
                field=name,
                found="too long",
                next=f"at most {limit} characters",
            )
        return str(found)

    def truth(self, value: dict[str, Any], name: str, path: Path) -> bool:
        found = value.get(name)
        if found is None or isinstance(found, bool):
            return bool(found)
        self.shape((*path, name), f"`{name}`", "true or false", found)
        return False

    def texts(self, value: dict[str, Any], name: str, path: Path) -> tuple[str, ...]:
        found = self.entries(value, name, path)
        for number, entry in enumerate(found):
            if isinstance(entry, dict | list) or entry is None:
                self.shape((*path, name, number), f"every entry of `{name}`", "a text", entry)
        return tuple(str(entry) for entry in found)

    def entries(self, value: dict[str, Any], name: str, path: Path) -> list[Any]:
        found = value.get(name)
        if found is None:
            return []
        if not isinstance(found, list):
            self.shape((*path, name), f"`{name}`", "a list", found)
            return []
        return found

    def one_of(
        self, value: dict[str, Any], name: str, words: tuple[str, ...], path: Path
    ) -> str | None:
        found = value.get(name)
        if found is None:
            return None
        if found not in words:
            meant = did_you_mean(str(found), words)
            self.document.refuse(
                "object.value",
                (*path, name),
                field=name,
                found=repr(found),
                next=meant or f"it is one of {', '.join(words)}",
            )
            return None
        return str(found)

    def duration(self, value: dict[str, Any], name: str, path: Path) -> str | None:
        found = value.get(name)
        if found is None:
            return None
        try:
            if not isinstance(found, str) or duration_ns(found, field=name) < 0:
                raise TraceError(f"`{name}` must be a duration such as `10s`")
        except TraceError as error:
            self.document.refuse(
                "object.value", (*path, name), field=name, found=repr(found), next=str(error)
            )
            return None
        return found


def _kind_of(value: object) -> str:
    names = {dict: "a map", list: "a list", str: "a text", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")
