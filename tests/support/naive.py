"""A slow evaluator of rules that shares no code with the fast one: it walks the written tree.

It takes the parser's tree, decides readings for itself, and judges by trying: a doubtful span both
is and is not one of those asked for, an open trace has more spans. Knows promises with span tests,
`where`, `count`, `trace.spans`, and comparisons of sums of those with whole numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import dsl.nodes as n
from dsl import GONE, MISSING, Span
from dsl.lexer import tokenize
from dsl.parser import parse
from dsl.source import Source
from dsl.values import Duration

KINDS = {"server", "client", "internal", "producer", "consumer"}
STATUSES = {"ok", "error", "unset"}
_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def verdict_of(text: str, spans: Sequence[Span], *, complete: bool) -> tuple[str, str]:
    """Return verdict and broken clause of a rule that is known to check."""
    source = Source(text)
    tokens = tokenize(source)
    assert tokens is not None
    promise = parse(source, tokens)
    assert promise is not None
    clauses = {word: clause.body for word, clause in promise.clauses.items()}
    when = condition(clauses["when"], spans, complete)
    kept = condition(clauses["always"], spans, complete) if "always" in clauses else True
    happened = condition(clauses["never"], spans, complete) if "never" in clauses else False
    if when is False:
        return "not_applicable", ""
    if when is True and kept is False:
        return "violated", "always"
    if when is True and happened is True:
        return "violated", "never"
    if when is True and kept is True and happened is False:
        return "satisfied", ""
    return "inconclusive", ""


def both(answers: Sequence[bool | None]) -> bool | None:
    """The three-valued `and`."""
    return False if False in answers else None if None in answers else True


def either(answers: Sequence[bool | None]) -> bool | None:
    """The three-valued `or`."""
    return True if True in answers else None if None in answers else False


def opposite(answer: bool | None) -> bool | None:
    """The three-valued `not`."""
    return None if answer is None else not answer


def condition(node: Any, spans: Sequence[Span], complete: bool) -> bool | None:
    """Return how a condition at trace level stands."""
    if isinstance(node, n.And):
        return both([condition(item, spans, complete) for item in node.items])
    if isinstance(node, n.Or):
        return either([condition(item, spans, complete) for item in node.items])
    if isinstance(node, n.Not):
        return opposite(condition(node.item, spans, complete))
    if isinstance(node, n.SpanTerm):
        found = [of_span(node, span) for span in spans]
        return either([*found, False if complete else None])
    assert isinstance(node, n.Compare)
    left = node.left
    if isinstance(left, n.SpanTerm) and not _is_trace_spans(left):
        key = n.Key("", left.parts[-1], False, 0, 0)
        right: Any = node.right
        if isinstance(right, n.SpanTerm):
            right = n.Key("", ".".join(right.parts), False, 0, 0)
        test = n.Test(key, node.op, right, 0, 0)
        term = n.SpanTerm(left.parts[:-1], False, [test], None, [], 0, 0)
        return condition(term, spans, complete)
    return counted(node, spans, complete)


def counted(node: n.Compare, spans: Sequence[Span], complete: bool) -> bool | None:
    """Try the least and greatest count of every term, and much more for an open trace."""
    terms = _terms_of(node.left) + _terms_of(node.right)
    choices = []
    for term in terms:
        answers = [of_span(term, span) for span in spans]
        certain = answers.count(True)
        possible = certain + answers.count(None)
        more = [] if complete else [possible + 1, possible + 7, 10**9]
        choices.append([*range(certain, possible + 1), *more])
    outcomes = set()
    for chosen in itertools.product(*choices):
        counts = list(chosen)
        one = _number(node.left, counts)
        other = [_number(node.right, counts)] if node.op != "in" else []
        outcomes.add(_numbers_agree(node, one, other))
    return outcomes.pop() if len(outcomes) == 1 else None


def _numbers_agree(node: n.Compare, one: Any, other: list[Any]) -> bool:
    if node.op == "in":
        assert isinstance(node.right, n.ListLiteral)
        return one is not None and any(one == item.value for item in node.right.items)
    right = other[0]
    if one is None or right is None:
        return False
    outcomes: dict[str, bool] = {
        "==": one == right,
        "!=": one != right,
        "<": one < right,
        "<=": one <= right,
        ">": one > right,
        ">=": one >= right,
    }
    return outcomes[node.op]


def _is_trace_spans(term: n.SpanTerm) -> bool:
    return term.parts == ["trace", "spans"] and not term.quoted


def _terms_of(node: Any) -> list[n.SpanTerm]:
    if isinstance(node, n.Count):
        return [node.term]
    if isinstance(node, n.SpanTerm):
        return [n.SpanTerm(["any"], False, [], None, [], 0, 0)]
    if isinstance(node, n.Sum | n.Product):
        return [term for item in node.items for term in _terms_of(item)]
    if isinstance(node, n.Negative):
        return _terms_of(node.item)
    return []


def _number(node: Any, counts: list[int]) -> Any:
    if isinstance(node, n.Count | n.SpanTerm):
        return Fraction(counts.pop(0))
    if isinstance(node, n.Literal):
        return Fraction(str(node.value))
    if isinstance(node, n.Negative):
        inner = _number(node.item, counts)
        return None if inner is None else -inner
    values = [_number(item, counts) for item in node.items]
    if None in values:
        return None
    total = values[0]
    for sign, value in zip(node.signs[1:], values[1:], strict=True):
        if sign == "/" and value == 0:
            return None
        total = {
            "+": lambda a, b: a + b,
            "-": lambda a, b: a - b,
            "*": lambda a, b: a * b,
            "/": lambda a, b: a / b,
        }[sign](total, value)
    return total


# -- one span --------------------------------------------------------------------------------------


def of_span(term: n.SpanTerm, span: Span) -> bool | None:
    """Return whether a span is one that a span test asks for."""
    name = ".".join(term.parts)
    if (term.quoted or name != "any") and span.name != name:
        return False
    return both([filtered(one, span) for one in term.filters])


def filtered(node: Any, span: Any) -> bool | None:
    """Return how a filter stands for a span."""
    if isinstance(node, n.And):
        return both([filtered(item, span) for item in node.items])
    if isinstance(node, n.Or):
        return either([filtered(item, span) for item in node.items])
    if isinstance(node, n.Not):
        return opposite(filtered(node.item, span))
    if isinstance(node, n.Some):
        items = span.events if node.scope == "event" else span.links
        dropped = span.events_dropped if node.scope == "event" else span.links_dropped
        answers = [_item_test(node.item, item) for item in items]
        return either([*answers, None if dropped else False])
    assert isinstance(node, n.Test)
    left = _left_value(node, span)
    return _compared(node, left, lambda key, op: _right_value(key, op, node, span))


def _item_test(node: Any, item: Any) -> bool | None:
    if isinstance(node, n.And):
        return both([_item_test(one, item) for one in node.items])
    if isinstance(node, n.Or):
        return either([_item_test(one, item) for one in node.items])
    if isinstance(node, n.Not):
        return opposite(_item_test(node.item, item))
    key = node.left.name
    own = key == "name" and not node.left.quoted
    value = item.name if own else item.attribute(key)
    return _compared(node, value, lambda word, _op: word.name)


def _compared(node: n.Test, left: Any, word_value: Any) -> bool | None:
    if node.op == "exists":
        return None if left is GONE else left is not MISSING
    if node.op == "":
        return None if left is GONE else _equal(left, True)
    right = node.right
    if isinstance(right, n.ListLiteral):
        if left is GONE:
            return None
        return any(_equal(left, item.value) for item in right.items)
    if isinstance(right, n.Literal):
        value: Any = right.value.ns if isinstance(right.value, Duration) else right.value
    else:
        value = word_value(right, node.op)
    if left is MISSING or value is MISSING:
        return False
    if left is GONE or value is GONE:
        return None
    return _holds(left, node.op, value)


def _left_value(node: n.Test, span: Span) -> Any:
    key = node.left
    if isinstance(key, n.AttributeOf):
        return _attribute(key.key.scope, key.key.name, span)
    if not key.quoted and not key.scope and _means_itself(node, key.name):
        return _itself(key.name, span)
    return _attribute(key.scope, key.name, span)


def _means_itself(node: n.Test, name: str) -> bool:
    right = node.right
    if name in ("name", "service", "status_message"):
        return True
    if name in ("status", "kind"):
        words = STATUSES if name == "status" else KINDS
        if node.op == "in" and isinstance(right, n.ListLiteral):
            return all(item.value in words for item in right.items)
        text = right.name if isinstance(right, n.Key) else getattr(right, "value", None)
        return node.op in ("==", "!=") and isinstance(text, str) and text in words
    if name in ("duration", "start"):
        return isinstance(right, n.Literal) and isinstance(right.value, Duration)
    if name == "is_root":
        return node.op == "" or isinstance(getattr(right, "value", None), bool)
    return False


def _itself(name: str, span: Span) -> Any:
    if name == "service":
        return span.resource_attribute("service.name")
    if name == "duration":
        return span.end_ns - span.start_ns
    if name == "start":
        return span.start_ns
    if name == "is_root":
        return span.parent_span_id == b""
    return getattr(span, name)


def _attribute(scope: str, key: str, span: Span) -> Any:
    if scope == "resource":
        return span.resource_attribute(key)
    if scope == "scope":
        return span.scope_attribute(key)
    value = span.span_attribute(key)
    return span.resource_attribute(key) if value is MISSING and scope == "" else value


def _right_value(right: Any, op: str, _node: n.Test, span: Span) -> Any:
    if isinstance(right, n.AttributeOf):
        return _attribute(right.key.scope, right.key.name, span)
    if op in ("<", "<=", ">", ">="):
        return _attribute(right.scope, right.name, span)
    return right.name


# -- values ----------------------------------------------------------------------------------------


def _as_number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(value) if value == value and abs(value) != float("inf") else None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        whole = _DECIMAL.fullmatch(value)
        assert whole is not None
        return Fraction(int(value)) if whole[1] is whole[2] is None else Fraction(float(value))
    return None


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        words = {True: True, False: False, "true": True, "false": False}
        pair = [words.get(one) if isinstance(one, bool | str) else None for one in (left, right)]
        return pair[0] is not None and pair[0] is pair[1]
    numbers = _as_number(left), _as_number(right)
    return numbers[0] is not None and numbers[0] == numbers[1]


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and value == value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value == value:
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return None


def _holds(left: Any, op: str, right: Any) -> bool:
    if op == "==":
        return _equal(left, right)
    if op == "!=":
        return _scalar(left) and _scalar(right) and not _equal(left, right)
    if op in ("<", "<=", ">", ">="):
        pair: Any = (_as_number(left), _as_number(right))
        if None in pair:
            if not (isinstance(left, str) and isinstance(right, str)):
                return False
            pair = (left.encode(), right.encode())
        a, b = pair
        return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])
    if op == "contains" and isinstance(left, list):
        return any(_equal(member, right) for member in left)
    whole, part = _text(left), _text(right)
    if whole is None or part is None:
        return False
    if op == "matches":
        return re.search(part, whole) is not None
    if op == "contains":
        return part in whole
    return whole.startswith(part) if op == "starts_with" else whole.endswith(part)
