"""Cases of a rule, runs of cases, and what came of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from api.cases.model import ERROR, Case, Result, Run
from api.rules.model import Rule
from api.samples.judging import REJECTED
from api.samples.model import Sample
from api.web.views.explanation import Explanation, explanation_view
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.samples import problem_lines
from api.web.views.waterfall import counted
from api.web.views.words import VERDICTS, Choice, Message, choices, doer

BARS: Final = 40
"""So many of the newest runs are drawn."""
_WORDS: Final = {**VERDICTS, REJECTED: "Does not check", ERROR: "Could not be judged"}
_NO_VERDICT: Final = frozenset({REJECTED, ERROR})


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case of a rule."""

    id: str
    name: str
    sample_href: str
    sample_name: str
    expect: str
    outcome: str
    tone: str
    last_href: str
    last_at: Moment | None
    delete_href: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list."""

    href: str
    what: str
    who: str
    result: str
    tone: str
    at: Moment


@dataclass(frozen=True, slots=True)
class RunBar:
    """A run in the drawing of the pass rate, oldest first. All in per cent."""

    x: str
    width: str
    passed_y: str
    passed_height: str
    failed_height: str


@dataclass(frozen=True, slots=True)
class History:
    """Runs, newest first, and how often cases passed in them."""

    rows: tuple[RunRow, ...]
    bars: tuple[RunBar, ...]
    rate: str


@dataclass(frozen=True, slots=True)
class CasesPage:
    """The cases of a rule."""

    rule_href: str
    rule_name: str
    action_href: str
    run_href: str
    rows: tuple[CaseRow, ...]
    samples: tuple[Choice, ...]
    expects: tuple[Choice, ...]
    name: str
    draft: str
    history: History
    may_write: bool
    may_test: bool
    message: Message | None


def cases_page(
    rule: Rule,
    cases: Sequence[Case],
    runs: Sequence[Run],
    samples: Sequence[Sample],
    *,
    may_write: bool,
    may_test: bool,
    chosen: Mapping[str, str],
    draft: str = "",
    message: Message | None = None,
) -> CasesPage:
    """Return the page of a rule's cases.

    samples: those that can be chosen. chosen: what was typed for a new case. draft: a text to run.
    """
    href = rule_href(rule.id)
    return CasesPage(
        rule_href=href,
        rule_name=str(rule.object.get("name") or rule.id),
        action_href=f"{href}/cases",
        run_href=f"{href}/cases/run",
        rows=tuple(_case_row(case, href) for case in cases),
        samples=choices(
            {sample.id: sample.name for sample in samples},
            chosen.get("sample", ""),
            nothing="Choose a sample",
        ),
        expects=choices(VERDICTS, chosen.get("expect", ""), nothing="What it has to say"),
        name=chosen.get("name", ""),
        draft=draft or rule.text,
        history=history(runs),
        may_write=may_write,
        may_test=may_test,
        message=message,
    )


@dataclass(frozen=True, slots=True)
class RunsPage:
    """Runs of all rules."""

    history: History
    may_test: bool
    message: Message | None
    older_href: str
    newest_href: str


def runs_page(
    runs: Sequence[Run],
    *,
    cursor: str,
    next_cursor: str | None,
    may_test: bool,
    message: Message | None = None,
) -> RunsPage:
    """Return the page of all runs."""
    return RunsPage(
        history=history(runs),
        may_test=may_test,
        message=message,
        older_href=f"/test-runs?{urlencode({'cursor': next_cursor})}" if next_cursor else "",
        newest_href="/test-runs" if cursor else "",
    )


def history(runs: Sequence[Run]) -> History:
    """Return runs, newest first, with the share of cases that passed in all of them."""
    total, passed = (
        sum(run.case_count for run in runs),
        sum(run.passed_count for run in runs),
    )
    drawn = list(reversed(runs[:BARS]))
    step = 100 / max(len(drawn), 1)
    return History(
        rows=tuple(map(_run_row, runs)),
        bars=tuple(_bar(run, at * step, step) for at, run in enumerate(drawn)),
        rate=f"{100 * passed / total:.0f} % of {counted(total, 'case')} passed" if total else "",
    )


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What came of a case. problems: lines, where it was not judged."""

    name: str
    rule_href: str
    rule_id: str
    version: str
    sample_href: str
    expect: str
    verdict: str
    passed: bool
    tone: str
    explanation: Explanation | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run."""

    title: str
    at: Moment
    who: str
    result: str
    tone: str
    digest: str
    json_href: str
    failed: tuple[ResultRow, ...]
    passed: tuple[ResultRow, ...]


def run_page(run: Run) -> RunPage:
    """Return the page of a run with its results."""
    rows = tuple(_result_row(result) for result in run.results or ())
    return RunPage(
        title=_what(run),
        at=moment(run.at),
        who=doer(run.actor, run.acting),
        result=_result_words(run),
        tone="good" if run.passed else "bad",
        digest=run.digest,
        json_href=f"/api/v1/test-runs/{run.id}",
        failed=tuple(row for row in rows if not row.passed),
        passed=tuple(row for row in rows if row.passed),
    )


def _case_row(case: Case, href: str) -> CaseRow:
    last = case.last
    return CaseRow(
        id=case.id,
        name=case.name,
        sample_href=f"/samples/{case.sample}",
        sample_name=case.sample_name,
        expect=VERDICTS[case.expect],
        outcome=_outcome(passed=last.passed, verdict=last.verdict) if last else "Not run yet",
        tone="plain" if last is None else "good" if last.passed else "bad",
        last_href=f"/test-runs/{last.run_id}" if last else "",
        last_at=moment(last.at) if last else None,
        delete_href=f"{href}/cases/{case.id}/delete",
    )


def _outcome(*, passed: bool, verdict: str) -> str:
    return "Passed" if passed else f"Failed: {_WORDS[verdict].lower()}"


def _run_row(run: Run) -> RunRow:
    return RunRow(
        href=f"/test-runs/{run.id}",
        what=_what(run),
        who=doer(run.actor, run.acting),
        result=_result_words(run),
        tone="good" if run.passed else "bad",
        at=moment(run.at),
    )


def _what(run: Run) -> str:
    if not run.rule_id:
        return "All rules"
    return f"{run.rule_id}, a draft" if run.draft else run.rule_id


def _result_words(run: Run) -> str:
    if run.passed:
        return f"{counted(run.case_count, 'case')} passed"
    return f"{run.failed_count:,} of {counted(run.case_count, 'case')} failed"


def _bar(run: Run, x: float, step: float) -> RunBar:
    failed = 100 * run.failed_count / max(run.case_count, 1)
    return RunBar(
        x=f"{x + step * 0.1:.2f}",
        width=f"{step * 0.8:.2f}",
        passed_y=f"{failed:.2f}",
        passed_height=f"{100 - failed:.2f}",
        failed_height=f"{failed:.2f}",
    )


def _result_row(result: Result) -> ResultRow:
    told = result.explanation or {}
    explained = result.verdict not in _NO_VERDICT and bool(told)
    problems = problem_lines(told.get("problems") or ())
    if told.get("error"):
        problems.append(str(told["error"]))
    return ResultRow(
        name=result.case_name,
        rule_href=rule_href(result.rule_id),
        rule_id=result.rule_id,
        version=f"v{result.rule_version}" if result.rule_version else "draft",
        sample_href=f"/samples/{result.sample}",
        expect=VERDICTS[result.expect],
        verdict=_WORDS[result.verdict],
        passed=result.passed,
        tone="good" if result.passed else "bad",
        explanation=_explained(result) if explained else None,
        problems=tuple(problems),
    )


def _explained(result: Result) -> Explanation:
    told = result.explanation or {}
    view = explanation_view(
        told,
        verdict=result.verdict,
        broken_clause=str(told.get("broken") or ""),
        reasons=tuple(map(str, told.get("reasons") or ())),
        incomplete=bool(told.get("incomplete")),
        mismatch=False,
        outdated=False,
        rule_text="",
        rule_version=result.rule_version or 0,
        has_trace=False,
    )
    return replace(view, source="")
