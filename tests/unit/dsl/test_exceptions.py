"""What exceptions silence, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.command.rules import app
from dsl import Span
from dsl.exceptions import RuleException, end_of, silencing, span_of_key, warnings_about
from dsl.objects import parse_rules

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
STAGING = Span(
    b"12345678",
    name="db.query",
    attributes={"rows": 7, "user.id": "u1"},
    resource={"service.name": "staging-crm"},
    redacted=frozenset({"card"}),
)


def silenced(where: str, span: Span | None = STAGING) -> bool:
    return silencing([RuleException(where, "load tests")], span, at=NOON) is not None


@pytest.mark.parametrize(
    ("where", "is_silenced"),
    [
        ("service == staging-crm", True),
        ("service == crm", False),
        ('service starts_with "staging" and rows > 5', True),
        ('user.id in [u1, u2] and name == "db.query"', True),
        ("rows == 7.0", True),
        ("missing == 1", False),
        ("not missing == 1", True),
        ("card == 4111", False),
        ("not card == 4111", False),
    ],
)
def test_where_is_asked_of_the_span_that_stands_for_the_signal(
    where: str, is_silenced: bool
) -> None:
    assert silenced(where) is is_silenced


def test_without_such_a_span_nothing_is_silenced() -> None:
    assert not silenced("not missing exists", None)


def test_the_first_exception_that_fits_is_named() -> None:
    told = [
        RuleException("service == crm", "one"),
        RuleException("rows > 1", "two"),
        RuleException("rows > 2", "three"),
    ]
    assert silencing(told, STAGING, at=NOON) == told[1]


def test_rules_over_many_traces_are_asked_for_their_key() -> None:
    one = RuleException("service == crm and user.id == u1", "known")
    assert silencing([one], span_of_key({"service": "crm", "user.id": "u1"}), at=NOON) == one
    assert silencing([one], span_of_key({"user.id": "u1"}), at=NOON) is None


@pytest.mark.parametrize(
    ("until", "ends_at"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2027-01-31T13:00:00+01:00", NOON),
        ("2027-01-31T12:00Z", NOON),
    ],
)
def test_a_day_is_the_last_one_and_a_moment_is_that_moment(until: str, ends_at: datetime) -> None:
    one = RuleException("rows > 5", "load tests", until=until)
    assert end_of(until) == ends_at
    before = ends_at - timedelta(microseconds=1)
    assert [silencing([one], STAGING, at=at) for at in (before, ends_at)] == [one, None]


@pytest.mark.parametrize("until", ["soon", "2027-13-01", "2027-01-31T10:00", "9999-12-31"])
def test_another_end_is_refused_with_what_was_expected(until: str) -> None:
    with pytest.raises(ValueError, match=r"2027-01-31|UTC"):
        end_of(until)


@pytest.mark.parametrize(("days", "soon"), [(-1, False), (1, True), (7, True), (8, False)])
def test_an_end_within_a_week_is_told(days: int, soon: bool) -> None:
    until = (NOON + timedelta(days=days)).isoformat()
    assert RuleException("a", "x", until=until).ends_soon(NOON) is soon


FILE = """\
id: r1
rule: when { a } always { b }
exceptions:
  - {where: rows > 5, reason: over, until: 2020-01-01}
  - where: rows > 6
    reason: for ever
"""


def test_one_that_is_over_is_warned_about_at_its_place() -> None:
    [rule] = parse_rules(FILE, filename="r.yaml").rules
    [warning] = warnings_about(rule.exceptions, at=NOON)
    assert (warning.code, warning.line, warning.column) == ("object.exception_over", 4, 44)


def test_checking_a_file_shows_it_and_does_not_fail(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(FILE)
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 0
    assert "r.yaml:4:44: warning: this exception ended with 2020-01-01" in result.output


def test_a_test_of_a_rule_expects_the_verdict_that_is_silenced(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        FILE
        + "tests:\n  - {name: t, trace: [{name: a, attributes: {rows: 9}}], expect: violated}\n"
    )
    assert CliRunner().invoke(app, ["test", str(file)]).exit_code == 0


def test_what_is_stored_reads_back() -> None:
    one = RuleException("a == 1", "x", until="2027-01-31")
    assert RuleException.from_dict(one.to_dict()) == one
    assert one.to_dict() == {"where": "a == 1", "reason": "x", "until": "2027-01-31"}


def test_what_redaction_made_of_it_is_asked_and_the_other_is_told() -> None:
    stored = {"where": "user.email == ada", "reason": "x", "judged": "user.email == token"}
    one = RuleException.from_dict(stored)
    assert one.holds_for(Span(b"", "a", attributes={"user.email": "token"}))
    assert not one.holds_for(Span(b"", "a", attributes={"user.email": "ada"}))
    assert one.to_dict() == {"where": "user.email == ada", "reason": "x"}
