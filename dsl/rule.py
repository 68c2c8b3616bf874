"""From text to a rule that can judge, or to the list of what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from dsl.captures import Capture, Capturing, capturing_of
from dsl.checker import MAX_LIFE_NS, check_promise
from dsl.checker import check_filter as check_filter_node
from dsl.compiler import LinkedRule
from dsl.lexer import refuse_surrogates, tokenize
from dsl.linking import link
from dsl.lint import KnownNames, lint
from dsl.many.check import FieldsOf
from dsl.many.parse import opens_many
from dsl.many.rule import CorrelateRule, ExpectRule, compile_many
from dsl.needs import Needs, needs_of
from dsl.parser import MAX_NESTING, parse, parse_filter
from dsl.plan import Filter, Plan
from dsl.predicates import SpanPredicate, build_predicate
from dsl.printer import plan_text
from dsl.problems import Problem
from dsl.source import LANGUAGE, MAX_TEXT_BYTES, Source
from dsl.triggers import triggers_of


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A checked promise.

    predicates: every span test the rule can ever look at, distinct, in order of first appearance.
    counted: indexes of predicates whose spans are counted by span id. needs_extent: it uses
    trace.duration. needs_root: it uses trace.root. triggers: a sound set of candidates: if none of
    these predicates is true or doubtful, `when` is false on a closed trace; None: always a
    candidate. needs: all that it must know of a trace. captures: what it reads off the spans that
    are kept one by one. plan: what it means, for explanations.
    """

    kind: ClassVar[Literal["promise"]] = "promise"

    text: str
    canonical: str
    predicates: tuple[SpanPredicate, ...]
    counted: frozenset[int]
    needs_extent: bool
    needs_root: bool
    triggers: frozenset[int] | None
    needs: Needs
    captures: tuple[Capture, ...]
    plan: Plan = field(repr=False)
    capturing: Capturing = field(repr=False)
    language: int = LANGUAGE

    @property
    def bits_only(self) -> bool:
        """Whether its verdict depends on nothing but which predicates were seen."""
        return self.plan.bits_only

    def link(
        self, numbers: Sequence[int], capture_numbers: Sequence[int] | None = None
    ) -> LinkedRule:
        """Return the judging function.

        numbers[i] is the dictionary number of predicate i; captured values are found under
        capture_numbers[i] for capture i (None: under its hash).
        """
        if len(numbers) != len(self.predicates):
            raise ValueError(f"{len(self.predicates)} predicates, {len(numbers)} numbers")
        if capture_numbers is None:
            capture_numbers = [capture.hash for capture in self.captures]
        return link(self.plan, self.capturing, numbers, capture_numbers)


AnyRule: TypeAlias = CompiledRule | CorrelateRule | ExpectRule
"""What every text becomes. All have text, canonical, predicates and kind."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer to a text: a rule, or problems; warnings in either case."""

    rule: AnyRule | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def promise(self) -> CompiledRule | None:
        """The rule, for those who judge single traces; None for a rule over many, too."""
        return self.rule if isinstance(self.rule, CompiledRule) else None


@dataclass(frozen=True, slots=True)
class CheckedFilter:
    """The answer to the text of a filter alone."""

    filter: Filter | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(
    text: str,
    *,
    known: KnownNames | None = None,
    max_life_ns: int = MAX_LIFE_NS,
    fields_of: FieldsOf | None = None,
) -> Checked:
    """Return the rule that a text holds, or what is wrong with it. Never raises on any text.

    known: names seen in the tenant's traffic, for warnings about names never seen. max_life_ns:
    how long a trace of the tenant stays open at most: no window is longer. fields_of: rule id ->
    the fields of its signals, to check the keys of a `correlate` against.
    """
    source = Source(text)
    try:
        rule = _compile(source, known, max_life_ns, fields_of)
    except RecursionError:
        # Within MAX_NESTING this needs a caller that is itself near the interpreter's limit.
        source.refuse("rule.too_deep", 0, 0, limit=MAX_NESTING)
        rule = None
    problems = sorted(
        _without_echoes(source.problems), key=lambda problem: (problem.line, problem.column)
    )
    warnings = sorted(source.warnings, key=lambda problem: (problem.line, problem.column))
    return Checked(None if problems else rule, tuple(problems), tuple(warnings))


_ECHOES = frozenset(
    {
        "rule.part_missing",
        "rule.no_promise",
        "rule.no_when",
        "rule.bare_condition",
        "rule.text_after",
    }
    | {"rule.unclosed_brace", "rule.unclosed_parenthesis", "rule.unclosed_list"}
)
"""What a text that is never closed makes of the rest of the rule."""


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    if all(problem.code != "rule.unclosed_string" for problem in problems):
        return problems
    return [problem for problem in problems if problem.code not in _ECHOES]


def check_filter(text: str) -> CheckedFilter:
    """Return the meaning of a filter alone (`service == crm`), or what is wrong with it."""
    source = Source(text)
    found: Filter | None = None
    if not _refuse_unreadable(source):
        tokens = tokenize(source)
        node = parse_filter(source, tokens) if tokens is not None else None
        if node is not None and not source.problems:
            found = check_filter_node(source, node)
    return CheckedFilter(found, tuple(source.problems), tuple(source.warnings))


def _compile(
    source: Source, known: KnownNames | None, max_life_ns: int, fields_of: FieldsOf | None
) -> AnyRule | None:
    if _refuse_unreadable(source):
        return None
    tokens = tokenize(source)
    if tokens is not None and opens_many(tokens):
        return compile_many(source, tokens, known=known, fields_of=fields_of)
    promise = parse(source, tokens) if tokens is not None else None
    if promise is None:
        return None
    plan = check_promise(source, promise, max_life_ns=max_life_ns)
    if plan is None:
        return None
    capturing = capturing_of(plan)
    predicates = tuple(map(build_predicate, plan.tests))
    rule = CompiledRule(
        text=source.text,
        canonical=plan_text(plan, [predicate.canonical for predicate in predicates]),
        predicates=predicates,
        counted=plan.counted,
        needs_extent=plan.needs_extent,
        needs_root=plan.needs_root,
        triggers=triggers_of(plan, capturing),
        needs=needs_of(plan, capturing),
        captures=capturing.captures,
        plan=plan,
        capturing=capturing,
    )
    lint(source, plan, predicates, known)
    return rule


def _refuse_unreadable(source: Source) -> bool:
    if refuse_surrogates(source):
        return True
    size = len(source.text.encode())
    if size > MAX_TEXT_BYTES:
        source.refuse("rule.too_long", 0, 0, size=f"{size:,}", limit=f"{MAX_TEXT_BYTES:,}")
        return True
    return False
