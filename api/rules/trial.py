"""Trying rules on traces that come with the request: nothing is stored, no server is asked.

The body is a suite as `betrace rules test` reads it, or rules with `traces:`. What one request may
ask for is bounded by spans, by the span tests of a judgement and by time; inside of a judgement the
language has its own budget of steps.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import thread_time
from typing import Any, Final, TypeVar

from api.problems import ApiError, unavailable
from api.rules.definitions import Form
from dsl.documents import Document, read_document
from dsl.many.rule_set import check_together
from dsl.objects import RuleDocument, RuleObject, rules_in
from dsl.problems import Problem
from dsl.rule import Checked
from dsl.suites import TestResult, results, tried_rules
from dsl.traces import TraceError
from dsl.trial import Told, try_rules

MAX_RULES: Final = 100
MAX_TRACES: Final = 100
MAX_TESTS: Final = 500
MAX_SPAN_TESTS: Final = 5_000_000
"""Of one judgement: a few seconds of a core if all of them were asked, which is rare."""
MAX_SECONDS: Final = 5.0
"""Of a core, for all judgements of a request; looked at between them."""
_AT_A_TIME: Final = 2
T = TypeVar("T")
_ON_TRACES: Final = ("rule", "rules", "traces", "external_roots")


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial came to. problems, warnings: those of rules hold the id of the rule."""

    problems: tuple[dict[str, Any], ...]
    warnings: tuple[dict[str, Any], ...] = ()
    verdicts: tuple[Told, ...] = ()
    tests: tuple[TestResult, ...] = ()


class Trials:
    """Tries rules beside the event loop, and only few at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def run(self, text: str, *, form: Form) -> Tried:
        """Do what `try_text` does. Raises ApiError 503 where others try for too long."""
        return await self.turn(lambda: try_text(text, form=form))

    async def turn(self, work: Callable[[], T]) -> T:
        """Do work in a thread when it is our turn. Raises ApiError 503 as `run`."""
        try:
            await asyncio.wait_for(self._turns.acquire(), MAX_SECONDS)
        except TimeoutError as error:
            raise unavailable("trial.busy", "Others are trying rules: send it again.") from error
        try:
            return await asyncio.to_thread(work)
        finally:
            self._turns.release()


def try_text(text: str, *, form: Form, clock: Callable[[], float] = thread_time) -> Tried:
    """Try what a body asks for. Rules that do not check are an answer, and are not judged.

    Raises ApiError: 400 for what is no JSON, no trace or no rule, 422 over a limit.
    """
    document = _read(text, form=form)
    before = bounds(clock)
    top = document.values[0] if len(document.values) == 1 else None
    try:
        if isinstance(top, dict) and "traces" in top and "id" not in top:
            return _on_traces(document, top, before)
        return _suite(document, before)
    except TraceError as error:
        raise ApiError(400, "trial.trace", f"{error}.".replace("..", ".")) from error


def _read(text: str, *, form: Form) -> Document:
    if form is Form.JSON:
        try:
            # Halves of UTF-16 pairs, which JSON can spell, are no text that could be answered.
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "request.malformed", f"The body is not JSON: {error}") from error
    return read_document(text, filename=f"trial.{form}")


def bounds(clock: Callable[[], float] = thread_time) -> Callable[[int], None]:
    """Return what is asked before every judgement. It raises ApiError 422 over a bound."""
    until = clock() + MAX_SECONDS

    def before(span_tests: int) -> None:
        if span_tests > MAX_SPAN_TESTS:
            raise ApiError(
                422,
                "trial.too_large",
                f"One judgement would make {span_tests:,} span tests, {MAX_SPAN_TESTS:,} at most: "
                "send fewer spans or conditions, or start a backtest.",
            )
        if clock() > until:
            raise ApiError(
                422,
                "trial.too_long",
                f"The trial took {MAX_SECONDS:.0f} s of a core: send fewer rules, traces or tests, "
                "or start a backtest.",
            )

    return before


def _refuse_over(limit: int, count: int, what: str) -> None:
    if count > limit:
        raise ApiError(
            422, "trial.too_many", f"These are {count:,} {what}; a trial takes {limit:,}."
        )


# -- suites ----------------------------------------------------------------------------------------


def _suite(document: Document, before: Callable[[int], None]) -> Tried:
    suite = rules_in(document)
    if suite.problems:
        return Tried(_dicts(suite.problems))
    _refuse_over(MAX_RULES, len(suite.rules), "rules")
    _refuse_over(MAX_TESTS, len(suite.tests), "tests")
    return _tried(check_together(suite.rules), tests=results(suite, before=before))


# -- traces ----------------------------------------------------------------------------------------


def _on_traces(document: Document, top: dict[str, Any], before: Callable[[int], None]) -> Tried:
    for field in top.keys() - set(_ON_TRACES):
        raise _misshapen(f"`{field}` does not go with `traces`: {', '.join(_ON_TRACES)} do")
    if ("rule" in top) == ("rules" in top):
        raise _misshapen("give `rule`, one text, or `rules`, a list of rule objects")
    traces, external_roots = top.pop("traces"), top.pop("external_roots", False)
    if not isinstance(traces, list) or not isinstance(external_roots, bool):
        raise _misshapen("`traces` is a list, `external_roots` true or false")
    _refuse_over(MAX_TRACES, len(traces), "traces")
    rules = _rules_on_traces(document, top)
    if isinstance(rules, Tried):
        return rules
    _refuse_over(MAX_RULES, len(rules.rules), "rules")
    checked = check_together(rules.rules)
    of_text = {rule.rule: one for rule, one in checked}
    tried = tried_rules(rules, of_text.__getitem__, external_roots=external_roots)
    entries = list(map(_entry, traces))
    return _tried(checked, verdicts=try_rules(list(tried.values()), entries, before=before))


def _misshapen(what: str) -> ApiError:
    return ApiError(400, "trial.body", f"{what[0].upper()}{what[1:]}.")


def _rules_on_traces(document: Document, top: dict[str, Any]) -> RuleDocument | Tried:
    """Return the rules of a body, or what is wrong with how they are written."""
    text = top.get("rule")
    if text is not None:
        if not isinstance(text, str):
            raise _misshapen("`rule` is a text")
        return RuleDocument((RuleObject(id="", rule=text),), (), ())
    found = rules_in(document)
    return Tried(_dicts(found.problems)) if found.problems else replace(found, tests=())


def _entry(value: Any) -> Mapping[str, Any]:
    """Return an entry of `traces:` as a suite writes it: a trace alone is one that comes first."""
    if isinstance(value, dict) and "trace" in value:
        return value
    return {"trace": value}


# -- rules -----------------------------------------------------------------------------------------


def _tried(
    rules: Sequence[tuple[RuleObject, Checked]],
    *,
    verdicts: Iterable[Told] = (),
    tests: Iterable[TestResult] = (),
) -> Tried:
    """Return what a trial came to. Places of problems are those of the text of the rule."""
    return Tried(
        tuple(one for rule, checked in rules for one in _dicts(checked.problems, rule.id)),
        tuple(one for rule, checked in rules for one in _dicts(checked.warnings, rule.id)),
        tuple(verdicts),
        tuple(tests),
    )


def _dicts(problems: Iterable[Problem], rule: str = "") -> tuple[dict[str, Any], ...]:
    named = {"rule": rule} if rule else {}
    return tuple({**named, **problem.to_dict()} for problem in problems)
