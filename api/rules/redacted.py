"""Rules on attributes that redaction changes: what their texts become, and what they cannot ask.

    user.email == "ada@example.com"   is judged as   user.email == "hash:<key id>:<digest>"

since that is what stands in spans. The author's text stays as it was written; the other one, with
the same tests in the same places, goes into the rules log and explains signals.

Where a strategy does not keep equal values equal (masks, generalisations) a comparison is left as
it is and warned about; what was removed makes a condition unknown, which the language says by
itself. An operator that looks into a value that is a token is refused: it would look at the token.

Exceptions are read likewise: they are asked of spans that were redacted, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import dsl
from api.auth.principal import TenantScope
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import redaction_unavailable
from api.rules.definitions import Definition, Validation, refusal
from dsl.lexer import tokenize
from dsl.many.nodes import Correlate, Expect, HavingAll, HavingAny, HavingNot, HavingTest
from dsl.nodes import (
    Aggregate,
    AttributeOf,
    Compare,
    Key,
    ListLiteral,
    Literal,
    SpanTerm,
    Test,
    parts_of,
    trace_word,
)
from dsl.parser import parse_filter
from dsl.problems import Problem
from dsl.rule import check_filter
from dsl.source import Source
from dsl.trees import bodies_of, tree_of
from dsl.values import Duration
from udfs.redaction.redactor import Redactor
from udfs.redaction.strategies import Strategy

_EQUALITY: Final = frozenset({"==", "!=", "in"})
_LOOK_INSIDE: Final = frozenset(
    {"matches", "contains", "starts_with", "ends_with", "<", "<=", ">", ">="}
)
_TOKENS: Final = frozenset({Strategy.HASH, Strategy.TOKENIZE, Strategy.ENCRYPT})
_TEXTS: Final = frozenset({"name", "status_message"})
_OTHER_INTRINSICS: Final = frozenset({"duration", "start", "status", "kind", "is_root"})
_NO_CALCULATION: Final = frozenset({"distinct", "count"})
_DONE: Final = {
    Strategy.HASH: "hashed",
    Strategy.TOKENIZE: "tokenised",
    Strategy.ENCRYPT: "encrypted",
    Strategy.MASK: "masked",
    Strategy.GENERALIZE: "generalised",
    Strategy.REMOVE: "removed",
}


@dataclass(frozen=True, slots=True)
class Redacted:
    """What redaction makes of a text. text: as it is judged, None: as it was written."""

    text: str | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def and_of(self, exceptions: RedactedExceptions) -> Redacted:
        """Return what is to be said of a text and of the exceptions beside it."""
        return replace(
            self,
            problems=(*self.problems, *exceptions.problems),
            warnings=(*self.warnings, *exceptions.warnings),
        )


@dataclass(frozen=True, slots=True)
class RedactedExceptions:
    """What redaction makes of exceptions. stored: as they are asked, None: as they were written."""

    stored: tuple[Mapping[str, Any], ...] | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def redacted_rule(text: str, redactor: Redactor) -> Redacted:
    """Return how a text that checks is judged on redacted spans."""
    source = Source(text)
    tokens = tokenize(source)
    tree = tree_of(source, tokens) if tokens is not None else None
    if tree is None:
        return Redacted(None)
    return _Reading(source, redactor).of(tree)


def redacted_filter(text: str, redactor: Redactor) -> Redacted:
    """Return how a filter that checks, `where` of an exception, is asked of redacted spans."""
    source = Source(text)
    tokens = tokenize(source)
    node = parse_filter(source, tokens) if tokens is not None else None
    if node is None or source.problems:
        return Redacted(None)
    found = _Reading(source, redactor).of_filter(node)
    if found.text is not None and check_filter(found.text).filter is None:
        return replace(found, text=None)  # a token may be longer than what the language takes
    return found


def redacted_exceptions(
    exceptions: Sequence[Mapping[str, Any]], redactor: Redactor
) -> RedactedExceptions:
    """Return how the exceptions of a rule object are asked of redacted spans."""
    found = [redacted_filter(str(one.get("where", "")), redactor) for one in exceptions]
    stored = tuple(
        {**one, "judged": each.text} if each.text is not None else one
        for one, each in zip(exceptions, found, strict=True)
    )
    return RedactedExceptions(
        stored if any(each.text is not None for each in found) else None,
        tuple(_of_exception(n, p) for n, each in enumerate(found, 1) for p in each.problems),
        tuple(_of_exception(n, p) for n, each in enumerate(found, 1) for p in each.warnings),
    )


def _of_exception(number: int, problem: Problem) -> Problem:
    """Return a problem that says whose it is: its place is one of the exception's `where`."""
    return replace(problem, message=f"exception {number}: {problem.message}")


async def fit(
    redactors: Redactors, scope: TenantScope, definitions: Sequence[Definition]
) -> list[Definition]:
    """Return definitions as they are judged on the tenant's redacted spans.

    Raises ApiError 422 with every problem, 503 where the policy or the key cannot be had.
    """
    try:
        tenant = await redactors.of(scope.tenant_id)
        fitted = await asyncio.to_thread(_fitted, definitions, tenant.redactor)
        await tenant.settle()
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    return fitted


async def fit_all(
    redactors: Redactors, scope: TenantScope, definitions: Sequence[Definition]
) -> list[Definition]:
    """Return the same of definitions that are tried, whatever is to be said of them.

    Raises ApiError 503.
    """
    try:
        tenant = await redactors.of(scope.tenant_id)
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    return await asyncio.to_thread(
        lambda: [fitted_to(definition, tenant.redactor)[0] for definition in definitions]
    )


async def redaction_says(
    redactors: Redactors, scope: TenantScope, checked: dsl.Checked
) -> Redacted:
    """Return what is to be said of a text on redacted spans; nothing of one that does not check.

    Raises ApiError 503.
    """
    if checked.rule is None:
        return Redacted(None)
    return await _of_text(redactors, scope, checked.rule.text)


async def with_redaction(redactors: Redactors, scope: TenantScope, found: Validation) -> Validation:
    """Return what checking found, and what is to be said of a rule on redacted spans.

    Raises ApiError 503.
    """
    if not found.text:
        return found
    redacted = await _of_text(redactors, scope, found.text, found.exceptions)
    return Validation(
        (*found.problems, *(problem.to_dict() for problem in redacted.problems)),
        (*found.warnings, *(warning.to_dict() for warning in redacted.warnings)),
    )


async def _of_text(
    redactors: Redactors,
    scope: TenantScope,
    text: str,
    exceptions: Sequence[Mapping[str, Any]] = (),
) -> Redacted:
    try:
        tenant = await redactors.of(scope.tenant_id)
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    redacted = await asyncio.to_thread(redacted_rule, text, tenant.redactor)
    return redacted.and_of(redacted_exceptions(exceptions, tenant.redactor))


def fitted_to(definition: Definition, redactor: Redactor) -> tuple[Definition, Redacted]:
    """Return a definition as it is judged, and what is to be said of it."""
    found = redacted_rule(definition.compiled.text, redactor)
    judged = None
    if found.text is not None:
        checked = dsl.check(found.text)
        # A token may be longer than what a text of the language holds: then it stays as written.
        judged = checked.rule
    shown = {**definition.object}
    if "tests" in shown:
        shown["tests"] = _without(shown["tests"], redactor)
    excepted = redacted_exceptions(definition.object.get("exceptions") or (), redactor)
    said = found.and_of(excepted)
    fitted = replace(
        definition,
        object=shown,
        judged=judged,
        judged_exceptions=excepted.stored,
        warnings=(*definition.warnings, *said.warnings),
    )
    return fitted, said


def _fitted(definitions: Sequence[Definition], redactor: Redactor) -> list[Definition]:
    both = [fitted_to(definition, redactor) for definition in definitions]
    problems = [
        {**({"rule": one.id} if len(both) > 1 else {}), **problem.to_dict()}
        for one, found in both
        for problem in found.problems
    ]
    if problems:
        raise refusal(problems)
    return [one for one, _ in both]


def _without(value: Any, redactor: Redactor) -> Any:
    """Return the traces of tests without what is found in their texts."""
    match value:
        case str():
            return redactor.text(value)
        case list():
            return [_without(item, redactor) for item in value]
        case dict():
            return {redactor.text(str(k)): _without(item, redactor) for k, item in value.items()}
    return value


class _Reading:
    """One reading of a text; gathers what is to be said and put into other words."""

    def __init__(self, source: Source, redactor: Redactor) -> None:
        self._source = source
        self._redactor = redactor
        self._aliases: set[str] = set()
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._instead: dict[tuple[int, int], str] = {}

    def of(self, tree: Any) -> Redacted:
        parts = [part for body in bodies_of(tree) for part in parts_of(body)]
        self._aliases = {p.alias for p in parts if isinstance(p, SpanTerm) and p.alias}
        for part in parts:
            self._part(part)
        match tree:
            case Expect(key=Key() as key, listed=ListLiteral() as listed):
                self._compared(key.name, "in", listed, at=key.at, end=listed.end)
            case Correlate(having=having):
                for measure in _measures(having):
                    if measure.key is not None:
                        self._calculated(measure.key.name, measure)
        return Redacted(self._rewritten(), tuple(self._problems), tuple(self._warnings))

    def of_filter(self, node: Any) -> Redacted:
        for part in parts_of(node):
            self._part(part)
        return Redacted(self._rewritten(), tuple(self._problems), tuple(self._warnings))

    def _part(self, part: Any) -> None:
        match part:
            case Test(left=left, op=op, right=right):
                self._test(left, op, right, part)
            case Compare(left=SpanTerm() as term, op=op, right=right):
                key = self._key_of_term(term)
                if key is not None:
                    self._compared(key, op, right, at=part.at, end=part.end)
            case Compare(left=AttributeOf() as left, op=op, right=right):
                self._test(left, op, right, part)
            case Aggregate(function=function) if function not in _NO_CALCULATION:
                self._calculated(part.key.name, part)

    def _test(self, left: Key | AttributeOf, op: str, right: Any, part: Any) -> None:
        if isinstance(left, AttributeOf):
            self._compared(left.key.name, op, right, at=part.at, end=part.end)
            return
        plain = not left.scope and not left.quoted
        if plain and left.name in _OTHER_INTRINSICS:
            return
        if plain and left.name in _TEXTS:
            self._text(right)
            return
        name = "service.name" if plain and left.name == "service" else self._without_alias(left)
        self._compared(name, op, right, at=part.at, end=part.end)

    def _without_alias(self, key: Key) -> str:
        first, dot, rest = key.name.partition(".")
        if dot and not key.scope and not key.quoted and first in self._aliases:
            return rest
        return key.name

    def _key_of_term(self, term: SpanTerm) -> str | None:
        """Return the attribute that a span test at trace level compares: its last segment."""
        if len(term.parts) < 2 or trace_word(term) is not None:
            return None
        if not term.quoted and term.parts[0] in self._aliases:
            return ".".join(term.parts[1:])
        return term.parts[-1]

    def _compared(self, key: str, op: str, right: Any, *, at: int, end: int) -> None:
        whole = self._redactor.strategy_for(key)
        if op in _LOOK_INSIDE and whole not in (None, Strategy.ALLOW):
            assert whole is not None
            self._look_inside(key, op, whole, at, end)
        elif op in _EQUALITY:
            for literal in _literals(right):
                self._equal(key, literal, whole, at, end)

    def _look_inside(self, key: str, op: str, whole: Strategy, at: int, end: int) -> None:
        if whole in _TOKENS:
            self._say(
                self._problems,
                "rule.redacted_operator",
                f"`{key}` is {_DONE[whole]} before it is stored: `{op}` would look at the token",
                "compare it with `==`, `!=` or `in`, or ask whether it `exists`; an admin may give "
                "it another strategy under Settings, Redaction",
                at,
                end,
            )
        else:
            self._warn_of_loss(key, whole, at, end)

    def _equal(self, key: str, literal: Literal, whole: Strategy | None, at: int, end: int) -> None:
        value = literal.value
        if isinstance(value, Duration):
            return
        after = self._redactor.comparand(key, value)
        if after == value and type(after) is type(value) and whole in (None, Strategy.ALLOW):
            return
        if self._redactor.keeps_equality(key, value):
            self._put(literal, after)
        else:
            self._warn_of_loss(key, whole, at, end)

    def _text(self, right: Any) -> None:
        for literal in _literals(right):
            if isinstance(literal.value, str):
                after = self._redactor.text(literal.value)
                if after != literal.value:
                    self._put(literal, after)

    def _calculated(self, key: str, part: Any) -> None:
        whole = self._redactor.strategy_for(key)
        if part.function in _NO_CALCULATION or whole in (None, Strategy.ALLOW):
            return
        assert whole is not None
        if whole in _TOKENS:
            self._say(
                self._problems,
                "rule.redacted_operator",
                f"`{key}` is {_DONE[whole]} before it is stored: there is nothing to calculate",
                "take `distinct`, or another attribute",
                part.at,
                part.end,
            )
        else:
            self._warn_of_loss(key, whole, part.at, part.end)

    def _warn_of_loss(self, key: str, whole: Strategy | None, at: int, end: int) -> None:
        done = "changed" if whole is None else _DONE[whole]
        told = (
            "what asks for it is in doubt"
            if whole is Strategy.REMOVE
            else "it is not told what it was"
        )
        self._say(
            self._warnings,
            "rule.redacted_value",
            f"`{key}` is {done} before it is stored: {told}",
            "ask whether it `exists`; an admin may have it hashed under Settings, Redaction, which "
            "keeps equal values equal",
            at,
            end,
        )

    def _say(
        self, found: list[Problem], code: str, message: str, hint: str, at: int, end: int
    ) -> None:
        line, column = self._source.place(at)
        end_line, end_column = self._source.place(max(at, end))
        problem = Problem(code, message, line, column, end_line, end_column, hint)
        if problem not in found:
            found.append(problem)

    def _put(self, literal: Literal, after: object) -> None:
        self._instead[literal.at, literal.end] = _written(after)

    def _rewritten(self) -> str | None:
        if not self._instead:
            return None
        text, at = self._source.text, 0
        pieces: list[str] = []
        for (start, end), instead in sorted(self._instead.items()):
            pieces += (text[at:start], instead)
            at = end
        return "".join((*pieces, text[at:]))


def _literals(right: Any) -> Iterator[Literal]:
    match right:
        case Literal():
            yield right
        case ListLiteral(items=items):
            yield from items
        case Key(scope="", quoted=False, name=word) if "." not in word:
            yield Literal(word, word=True, at=right.at, end=right.end)  # a bare word is a text


def _measures(having: Any) -> Iterator[Any]:
    match having:
        case HavingTest(measure=measure):
            yield measure
        case HavingAll(items=items) | HavingAny(items=items):
            for item in items:
                yield from _measures(item)
        case HavingNot(item=item):
            yield from _measures(item)


def _written(value: object) -> str:
    """Return a value as the language spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
