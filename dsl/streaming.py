"""What the stream cannot judge yet: rules that look at spans one by one.

The only place that knows. Such rules check, are tested and explained like all others; they are
refused where they would be saved for the stream (`check_streamed`). When the stream keeps what
`CompiledRule.needs` asks for, this file goes.
"""

from __future__ import annotations

from dsl.plan import (
    Found,
    Held,
    Leaf,
    Measured,
    Ordered,
    is_plain,
    leaves_of,
    numbers_of,
)
from dsl.problems import Problem
from dsl.rule import Checked, CompiledRule, check
from dsl.source import Source


def check_streamed(text: str) -> Checked:
    """Return the rule that a text holds if the stream can judge it, or what is wrong with it."""
    checked = check(text)
    problems = not_streamed(checked.rule) if checked.rule is not None else ()
    return Checked(None, problems, checked.warnings) if problems else checked


def not_streamed(rule: CompiledRule) -> tuple[Problem, ...]:
    """Return a problem for everything in a rule that the stream cannot judge yet."""
    source = Source(rule.text)
    leaves = [leaf for _, clause in rule.plan.clauses for leaf in leaves_of(clause)]
    for leaf in sorted(leaves, key=lambda leaf: leaf.at):
        if not is_plain(leaf):
            source.refuse(
                "rule.not_yet",
                leaf.at,
                leaf.end,
                construct=_construct(leaf),
                next="`betrace rules test` judges it; the stream will in a later version",
            )
    return tuple(source.problems)


def _construct(leaf: Leaf) -> str:
    match leaf:
        case Found(term) if term.name:
            return f"`as {term.name}` (a binding) in the stream"
        case Found(term) if term.relations:
            return f"`{term.relations[0].word}` (a relation between spans) in the stream"
        case Found():
            return "a value of the trace inside `where(…)` in the stream"
        case Ordered():
            return "`then` (a sequence) in the stream"
        case Held(binding=binding):
            return f"`{binding}` (a binding) in the stream"
        case _:
            functions = [part.function for part in numbers_of(leaf) if isinstance(part, Measured)]
            return f"`{functions[0]}(…)` in the stream" if functions else "a binding in the stream"
