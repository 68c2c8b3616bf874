"""Every word of the language with its kind and what it means, for people who point at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal[
    "clause",
    "keyword",
    "operator",
    "relation",
    "function",
    "scope",
    "intrinsic",
    "trace",
    "span",
    "attribute",
    "binding",
    "value",
]
"""What a word is. The last four come from the tenant's traffic and the rule itself."""


class Word(NamedTuple):
    """One word of the language: what it means in a sentence, and an example."""

    kind: Kind
    meaning: str
    example: str = ""


CLAUSE_WORDS: Final[Mapping[str, Word]] = {
    "when": Word("clause", "The rule applies to traces in which this is true.", "when { order }"),
    "always": Word("clause", "This must be true in them too.", "always { payment }"),
    "never": Word("clause", "This must not be true in them.", "never { refund }"),
}
RULE_WORDS: Final[Mapping[str, Word]] = {
    "correlate": Word(
        "clause",
        "A rule over many traces: so many spans or signals with one key within some time.",
        "correlate { login.failed } by user.id within 10m having count >= 5",
    ),
    "expect": Word(
        "clause",
        "A rule on what happens regularly: such spans are never further apart than this.",
        "expect { nightly.backup } every 24h",
    ),
}
TAIL_WORDS: Final[Mapping[str, Word]] = {
    "by": Word("keyword", "The attributes whose values are told apart.", "by user.id, region"),
    "having": Word("keyword", "What must hold of the gathered members.", "having count >= 5"),
    "every": Word("keyword", "The longest time between two of them.", "every 24h"),
}
JOINERS: Final[Mapping[str, Word]] = {
    "and": Word("keyword", "Both sides are true. Binds closer than `or`.", "a and b"),
    "or": Word("keyword", "At least one side is true.", "a or b"),
}
NOT: Final[Mapping[str, Word]] = {
    "not": Word(
        "keyword",
        "The opposite of the whole term after it. Before a span: there is no such span in the "
        "trace. Inside `where`: about that span.",
        "not order.cancel",
    ),
}
COMPARISONS: Final[Mapping[str, Word]] = {
    "==": Word(
        "operator", "Equal. Numbers and texts that spell them are the same.", "tier == gold"
    ),
    "!=": Word("operator", "Both are there and are not equal.", "tier != gold"),
    "<": Word("operator", "Less. A word on the right is an attribute of the span.", "amount < 5"),
    "<=": Word("operator", "At most. A word on the right is an attribute.", "depth <= max_depth"),
    ">": Word("operator", "Greater. A word on the right is an attribute.", "amount > 1000"),
    ">=": Word("operator", "At least. A word on the right is an attribute.", "status >= 500"),
    "in": Word("operator", "Equal to one of a list.", "region in [eu, us]"),
    "matches": Word("operator", "RE2 finds the pattern anywhere.", 'name matches "^GET "'),
    "contains": Word(
        "operator", "The text holds this one, or the array has it.", 'path contains "/admin"'
    ),
    "starts_with": Word("operator", "The text begins so.", 'path starts_with "/admin"'),
    "ends_with": Word("operator", "The text ends so.", 'path ends_with ".php"'),
}
EXISTS: Final[Mapping[str, Word]] = {
    "exists": Word("operator", "The attribute is there.", "user.id exists"),
}
RELATIONS: Final[Mapping[str, Word]] = {
    "child": Word("relation", "Its parent is that span.", "db.query child of q"),
    "parent": Word("relation", "It is the parent of that span.", "auth parent of q"),
    "descendant": Word("relation", "It hangs below that span, at any depth.", "b descendant of q"),
    "ancestor": Word("relation", "It stands above that span, at any height.", "a ancestor of q"),
    "sibling": Word("relation", "Both have the same parent.", "b sibling of q"),
    "before": Word("relation", "It starts before that span does.", "auth before q"),
    "after": Word("relation", "It starts after that span did.", "audit.log after q within 5s"),
    "during": Word("relation", "It starts and ends within that span.", "retry during q"),
}
TERM_WORDS: Final[Mapping[str, Word]] = {
    "as": Word("keyword", "Gives the span a name for the rest of the rule.", "db.query as q"),
    "then": Word("keyword", "Another span that starts later.", "login then transfer within 5m"),
    "within": Word(
        "keyword", "At most this much time between the two.", "audit.log after q within 5s"
    ),
    "of": Word("keyword", "Joins a relation or calculation to its span.", "sum(amount of payment)"),
}
WHERE: Final[Mapping[str, Word]] = {
    "where": Word(
        "keyword", "Filters: one single span meets them all.", "payment.where(amount > 1000)"
    ),
}
FUNCTIONS: Final[Mapping[str, Word]] = {
    "count": Word("function", "How many such spans there are.", "count(http.retry) > 3"),
    "sum": Word("function", "The sum of an attribute over spans.", "sum(amount of payment) > 100"),
    "avg": Word(
        "function", "The mean of an attribute over spans.", "avg(duration of db.query) > 1s"
    ),
    "min": Word("function", "The least value of an attribute.", "min(amount of payment) > 0"),
    "max": Word("function", "The greatest value of an attribute.", "max(duration of call) < 2s"),
    "p50": Word("function", "The median of an attribute.", "p50(duration of db.query) < 10ms"),
    "p95": Word("function", "What 95 % are at most (nearest rank).", "p95(duration of call) < 1s"),
    "p99": Word("function", "What 99 % are at most (nearest rank).", "p99(duration of call) < 1s"),
    "distinct": Word(
        "function", "How many different values there are.", "distinct(user.id of login) > 1"
    ),
}
ATTRIBUTE_FUNCTION: Final[Mapping[str, Word]] = {
    "attr": Word(
        "function", "The attribute of that name, whatever else it could be.", "a < attr(b)"
    ),
}
SOURCES: Final[Mapping[str, Word]] = {
    "violated": Word("function", "A signal of that rule.", 'violated("pii-needs-audit")'),
}
ANY: Final[Mapping[str, Word]] = {
    "any": Word("keyword", "A span of any name.", "any.where(status == error)"),
}
CONSTANTS: Final[Mapping[str, Word]] = {
    "true": Word("value", "Equals the boolean true and the text `true`.", "settled == true"),
    "false": Word("value", "Equals the boolean false and the text `false`.", "settled == false"),
}
SCOPE_WORDS: Final[Mapping[str, Word]] = {
    "span": Word("scope", "An attribute of the span itself.", "span.status"),
    "resource": Word("scope", "An attribute of the resource.", "resource.k8s.pod.name"),
    "scope": Word("scope", "The instrumentation scope.", "scope.name"),
    "event": Word("scope", "Some event of the span.", "event.where(name == exception)"),
    "link": Word("scope", "Some link of the span.", "link.kind == follows"),
}
INTRINSIC_WORDS: Final[Mapping[str, Word]] = {
    "name": Word("intrinsic", "The name of the span.", 'name matches "^GET "'),
    "service": Word("intrinsic", "The `service.name` of its resource.", "service == checkout"),
    "duration": Word(
        "intrinsic", "How long the span took, when compared with a duration.", "duration > 1.5s"
    ),
    "start": Word("intrinsic", "When the span began, when compared with a duration.", "start < 5s"),
    "status": Word(
        "intrinsic",
        "ok, error or unset; compared with anything else, the attribute.",
        "status == error",
    ),
    "status_message": Word(
        "intrinsic", "The text of its status.", 'status_message contains "time"'
    ),
    "kind": Word(
        "intrinsic",
        "server, client, internal, producer or consumer; compared with anything else, the "
        "attribute.",
        "kind == client",
    ),
    "is_root": Word("intrinsic", "The span has no parent.", "any.where(is_root)"),
}
TRACE_VALUES: Final[Mapping[str, Word]] = {
    "trace.spans": Word("trace", "How many spans the trace has.", "trace.spans < 1000"),
    "trace.duration": Word("trace", "From its first start to its last end.", "trace.duration < 2s"),
    "trace.root.name": Word("trace", "The name of its root.", 'trace.root.name == "GET /"'),
    "trace.root.service": Word("trace", "The service of its root.", "trace.root.service == web"),
}

VOCABULARY: Final[Mapping[str, Word]] = {
    **CLAUSE_WORDS,
    **RULE_WORDS,
    **TAIL_WORDS,
    **JOINERS,
    **NOT,
    **COMPARISONS,
    **EXISTS,
    **RELATIONS,
    **TERM_WORDS,
    **WHERE,
    **FUNCTIONS,
    **ATTRIBUTE_FUNCTION,
    **SOURCES,
    **ANY,
    **CONSTANTS,
    **SCOPE_WORDS,
    **INTRINSIC_WORDS,
    **TRACE_VALUES,
}
