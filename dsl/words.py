"""The words of the language, and the nearest of them to a word that is not one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CLAUSES: Final = ("when", "always", "never")
RESERVED: Final = frozenset(
    {"when", "always", "never", "where", "and", "or", "not"}
    | {"in", "matches", "contains", "true", "false"}
)
"""Words that cannot begin the name of a span unless it is quoted."""

SYMBOL_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
WORD_OPERATORS: Final = frozenset({"in", "matches", "contains", "starts_with", "ends_with"})
ORDER_OPERATORS: Final = frozenset({"<", "<=", ">", ">="})
OPERATOR_WORDS: Final = WORD_OPERATORS | {"exists"}
AGGREGATES: Final = frozenset({"sum", "avg", "min", "max", "p50", "p95", "p99", "distinct"})
KINSHIP: Final = frozenset({"child", "parent", "descendant", "ancestor", "sibling"})
SCOPES: Final = frozenset({"span", "resource", "scope", "event", "link"})
TRACE_WORDS: Final = frozenset({"spans", "duration", "root.name", "root.service"})
"""What can follow `trace.`"""

KIND_WORDS: Final = frozenset({"server", "client", "internal", "producer", "consumer"})
STATUS_WORDS: Final = frozenset({"ok", "error", "unset"})
"""The words that the span's own `kind` and `status` are compared with."""

FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_OTHER_LANGUAGES: Final = {
    "like": "matches",
    "regex": "matches",
    "match": "matches",
    "is": "==",
    "equals": "==",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "lte": "<=",
    "gte": ">=",
    "includes": "contains",
    "has": "contains",
    "startswith": "starts_with",
    "endswith": "ends_with",
    "exist": "exists",
    "AND": "and",
    "OR": "or",
    "NOT": "not",
}

MAX_GUESSED_CHARACTERS: Final = 60
MAX_CANDIDATES: Final = 20_000


def nearest_operator(word: str) -> str | None:
    """Return the operator that was probably meant."""
    known = _OTHER_LANGUAGES.get(word) or _OTHER_LANGUAGES.get(word.lower())
    return known or nearest(word, sorted(OPERATOR_WORDS | {"and", "or", "not"}))


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate at most two typing mistakes away (one for short words), or None."""
    if not word or len(word) > MAX_GUESSED_CHARACTERS:
        return None
    allowed = 1 if len(word) < 5 else 2
    best: tuple[int, str] | None = None
    lowered = word.lower()
    for count, candidate in enumerate(candidates):
        if count >= MAX_CANDIDATES:
            break
        if abs(len(candidate) - len(word)) > allowed or not candidate:
            continue
        if candidate[0].lower() != lowered[0] and candidate[-1].lower() != lowered[-1]:
            continue
        distance = _distance(lowered, candidate.lower(), allowed)
        if distance <= allowed and (best is None or (distance, candidate) < best):
            best = (distance, candidate)
    return best[1] if best else None


def _distance(a: str, b: str, limit: int) -> int:
    """Return the edit distance with swaps of neighbours as one step, or limit + 1 if larger."""
    before_last: list[int] = []
    last = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before_last, last = last, row
    return last[-1]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return "did you mean `x`?" or nothing."""
    found = nearest(word, candidates)
    return f"did you mean `{found}`?" if found else ""
