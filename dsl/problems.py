"""Every problem and warning the language knows: one row each. `dsl.rendering` shows them.

A code is stable and dotted; messages may be reworded. A row holds the message (what is wrong) and
the hint (the next step); `{words}` are filled in by the pass that found it, never longer than 50
characters each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

MAX_ECHO_CHARACTERS = 50
_OUR_OWN = frozenset({"next", "words"})
"""Words that this package wrote; all others may hold a piece of the user's text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a text that a person should change. Lines and columns from 1, end exclusive."""

    code: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, the same in the API and on the command line."""
        return asdict(self)


class Row(NamedTuple):
    """One line of the catalogue."""

    message: str
    hint: str = ""


CATALOGUE: Final[Mapping[str, Row]] = {
    # -- limits ------------------------------------------------------------------------------------
    "rule.too_long": Row(
        "the text is {size} bytes long; the limit is {limit}", "split it into several rules"
    ),
    "rule.too_deep": Row(
        "nested more than {limit} deep", "take parentheses and `not` away, or split the rule"
    ),
    "rule.string_too_long": Row("this text has more than {limit} characters", "shorten it"),
    "rule.name_too_long": Row("this name has more than {limit} characters", "shorten it"),
    "rule.list_too_long": Row(
        "this list has more than {limit} items", "use `matches` or an attribute that sums it up"
    ),
    "rule.calculation_too_long": Row(
        "this calculation has more than {limit} terms", "calculate what is constant beforehand"
    ),
    "rule.too_many_words": Row(
        "the text has more than {limit} words and signs", "split it into several rules"
    ),
    "rule.pattern_too_long": Row("this pattern has more than {limit} characters", "shorten it"),
    "rule.too_many_patterns": Row(
        "a rule may hold at most {limit} {what}", "put alternatives into one pattern: `a|b`"
    ),
    "rule.number_range": Row(
        "{number} is out of range", "numbers reach to about 1.8e308, with at most 309 digits"
    ),
    # -- characters and words ------------------------------------------------------------------
    "rule.bad_character": Row(
        "{character} has no meaning here", 'put names and texts with such characters in "quotes"'
    ),
    "rule.unclosed_string": Row("this text is never closed", 'end it with a `"`'),
    "rule.single_quotes": Row("texts stand in double quotes, not in single ones", "write {text}"),
    "rule.ampersands": Row("`{op}` is not an operator here", "write `and`"),
    "rule.bars": Row("`{op}` is not an operator here", "write `or`"),
    "rule.exclamation": Row("`!` is not an operator here", "write `not`"),
    "rule.single_equals": Row("`=` does not compare", "write `==`"),
    "rule.triple_equals": Row("`{op}` is not an operator here", "write `{instead}`"),
    "rule.unlike": Row("`{op}` is not an operator here", "write `{instead}`"),
    "rule.not_matches": Row(
        "`!~` is not an operator here", "write `matches`, and `not` in front of the attribute"
    ),
    "rule.comment_style": Row("comments start with `//`", "write `//` and the comment"),
    "rule.semicolon": Row("`;` is not needed", "leave it out"),
    "rule.unknown_unit": Row(
        "`{text}` has a unit the language does not know",
        "write a size or an amount as a plain number; durations end in ns, us, ms, s, m, h or d",
    ),
    "rule.compound_duration": Row("`{text}` has two units", "write one, such as `90m` for 1h30m"),
    "rule.duration_too_fine": Row(
        "`{text}` is not a whole number of nanoseconds", "round it to nanoseconds"
    ),
    "rule.capital_word": Row("`{word}` is written in small letters", "write `{instead}`"),
    # -- the shape of a rule -------------------------------------------------------------------
    "rule.empty": Row(
        "there is no rule in this text",
        "write `when { … } always { … }` or `when { … } never { … }`",
    ),
    "rule.bare_condition": Row(
        "a condition alone promises nothing",
        "write `when { {text} }` and then what must `always { … }` or `never { … }` happen",
    ),
    "rule.text_after": Row(
        "{found} stands outside every clause",
        "a rule is `when { … }` with `always { … }`, `never { … }` or both, and nothing else",
    ),
    "rule.unknown_clause": Row(
        "`{word}` is not a clause", "the clauses are `when`, `always` and `never`"
    ),
    "rule.no_when": Row(
        "the rule does not say when it applies", "add `when { … }` with the span that calls for it"
    ),
    "rule.no_promise": Row(
        "the rule promises nothing",
        "add `always { … }` (what must also happen) or `never { … }` (what must not)",
    ),
    "rule.clause_twice": Row(
        "`{clause}` stands here a second time", "join the conditions of both with `and`"
    ),
    "rule.expected_brace": Row(
        "`{` was expected after `{clause}`, and {found} stands here",
        "put its condition in braces: `{clause} { … }`",
    ),
    "rule.unclosed_brace": Row("this `{` is never closed", "end the clause with `}`"),
    "rule.unclosed_parenthesis": Row("this `(` is never closed", "close it with `)`"),
    "rule.empty_clause": Row("`{clause}` holds no condition", "write a span name in it"),
    "rule.empty_where": Row("`where()` holds no filter", "write one, or leave `.where()` out"),
    # -- conditions ----------------------------------------------------------------------------
    "rule.expected_condition": Row(
        "a condition was expected, and {found} stands here",
        "write the name of a span, such as `order.placed`",
    ),
    "rule.expected_value": Row(
        "a value was expected after `{op}`, and {found} stands here",
        'write a word, a "text", a number, true or false',
    ),
    "rule.expected_key": Row(
        "the name of an attribute was expected, and {found} stands here",
        "write an attribute, such as `user.id`",
    ),
    "rule.expected_name": Row(
        "the name of a span was expected, and {found} stands here",
        "write a name, such as `order.placed`",
    ),
    "rule.expected_segment": Row(
        "a name was expected after the dot, and {found} stands here",
        "names whose parts do not begin with a letter or `_` stand in quotes",
    ),
    "rule.expected_parenthesis": Row(
        "`(` was expected after `{word}`, not {found}", "write `.where(…)`"
    ),
    "rule.unexpected": Row("{found} was not expected here", "join conditions with `and` or `or`"),
    "rule.missing_and": Row(
        "{found} follows a complete condition", "join the two with `and` or `or`"
    ),
    "rule.unknown_operator": Row(
        "`{word}` is not an operator",
        "operators are == != < <= > >= in matches contains starts_with ends_with exists",
    ),
    "rule.reserved_word": Row(
        "`{word}` cannot begin the name of a span", 'put the name in quotes: "{word}"'
    ),
    "rule.quote_name": Row(
        "a name with `{character}` in it stands in quotes", 'write the whole name in "quotes"'
    ),
    "rule.missing_where": Row("filters are written `.where(…)`", "write `{name}.where(…)`"),
    "rule.unknown_function": Row("`{word}(…)` is not a function", ""),
    "rule.literal_left": Row("the attribute stands on the left", "write `{instead}`"),
    "rule.chained_comparison": Row(
        "a comparison has two sides", "write `a > 1 and a < 3` instead of `1 < a < 3`"
    ),
    "rule.list_expected": Row("`in` takes a list", "write it in square brackets: `in [a, b]`"),
    "rule.list_with_operator": Row("a list belongs to `in`, not to `{op}`", "write `in [ … ]`"),
    "rule.list_item": Row(
        "{found} cannot stand in a list", "lists hold texts, numbers, true and false"
    ),
    "rule.empty_list": Row("an empty list matches nothing", "write its items: `in [a, b]`"),
    "rule.unclosed_list": Row("this `[` is never closed", "close it with `]`"),
    "rule.arithmetic_in_where": Row(
        "filters do not calculate", "compare the attribute itself with a number"
    ),
    "rule.dotted_word": Row(
        "`{word}` could be a text or an attribute",
        '`"{word}"` for the text, `attr({word})` for the attribute',
    ),
    "rule.number_as_condition": Row("{found} is not a condition", "{next}"),
    "rule.condition_as_number": Row(
        "a number was expected, and a condition stands here",
        "count spans with `count(…)`, or take the comparison away",
    ),
    "rule.no_span": Row(
        "`{word}` alone names no span to read it from",
        "write `some.span.{word}` or `some.span.where({word} …)`",
    ),
    "rule.quoted_comparison": Row(
        "a quoted name alone cannot be compared", 'write `"name".where(attribute …)`'
    ),
    "rule.filtered_comparison": Row(
        "a filtered span cannot be compared", "put the comparison into its `where(…)`"
    ),
    "rule.count_where": Row("`where` belongs inside `count(…)`", "write `count({name}.where(…))`"),
    "rule.count_plain": Row("`count` needs parentheses", "write `count(some.span)`"),
    "rule.no_unit": Row(
        "an attribute has no unit of time", "write the number in the attribute's own unit"
    ),
    "rule.mixed_units": Row("{left} `{op}` {right} has no meaning", "{next}"),
    "rule.operator_type": Row("`{op}` does not work on {what}", "{next}"),
    "rule.pattern": Row(
        "this pattern is not valid: {reason}",
        "patterns are RE2: no look-around, no back-references",
    ),
    "rule.pattern_not_text": Row("`matches` takes a pattern in quotes", 'write `matches "^GET "`'),
    "rule.attr_argument": Row("`attr(…)` takes the name of one attribute", "write `attr(user.id)`"),
    "rule.scope_inside": Row(
        "inside `{scope}.where(…)` every name is one of the {scope}",
        "write `{key}`, or put the filter outside `{scope}.where(…)`",
    ),
    "rule.scope_on_right": Row(
        "`{scope}.` cannot be read on the right of an operator",
        "use `{scope}.where(…)` to compare two attributes of one {scope}",
    ),
    "rule.nested_where": Row("`{scope}.where(…)` cannot stand in another", "take it out"),
    "rule.sequence_brackets": Row(
        "a step of a sequence is a span test with filters, nothing else",
        "a sequence is written `a then b.where(…) then c`",
    ),
    # -- rules over many traces ------------------------------------------------------------------
    "rule.own_text": Row("`{word} { … }` is a rule of its own", "write it as another rule"),
    "rule.part_missing": Row("`{kind}` has no `{word}`", "{next}"),
    "rule.part_twice": Row("a second `{word}`", "keep one"),
    "rule.part_order": Row("`{word}` stands in the wrong place", "{next}"),
    "rule.part_unexpected": Row("{found} is no part of this rule", "{next}"),
    "rule.unknown_part": Row("`{word}` is not a part of `{kind}`", ""),
    "rule.source_joined": Row(
        "{found} does not join sources", "write `or`: a member may come from any of them"
    ),
    "rule.source_plain": Row(
        "{found} cannot stand here: a source is a span test with filters, or `violated(…)`",
        'say the rest in a promise, and look at its signals: `violated("its-id")`',
    ),
    "rule.violated_argument": Row(
        "`violated(…)` takes the id of a rule in quotes", 'write `violated("pii-needs-audit")`'
    ),
    "rule.expect_plain": Row(
        "{found} cannot stand here: what is expected is a span test with filters",
        "write it so: `nightly.backup.where(status == ok)`",
    ),
    "rule.expect_one": Row(
        "`expect` holds one span test, and nothing else",
        "write a rule for each, or one test with filters: `any.where(name in [a, b])`",
    ),
    "rule.expected_duration": Row(
        "a length of time was expected after `{word}`, and {found} stands here",
        "write it with a unit: `{word} 10m`",
    ),
    "rule.expected_number": Row(
        "a number was expected after `{op}`, and {found} stands here",
        "write a number: `count >= 5`",
    ),
    "rule.length_range": Row(
        "`{word}` must be more than nothing and at most {limit}", "write a length such as `10m`"
    ),
    "rule.one_key": Row("`expect` takes one key", "write a rule for each key"),
    "rule.key_scope": Row(
        "a key cannot be read off an {scope}", "write an attribute of the span or its resource"
    ),
    "rule.key_twice": Row("`{key}` is named twice", "keep one"),
    "rule.key_limit": Row("a rule has at most {limit} keys", "leave some out"),
    "rule.signal_key": Row("signals of `{rule}` have no `{key}`", "{next}"),
    "rule.having_test": Row(
        "{found} cannot stand here: `having` compares `count` or a function of a key with a number",
        "write `count >= 5` or `distinct(user.id) > 3`",
    ),
    "rule.having_count": Row("`count` stands alone here: it counts members", "write `count >= 5`"),
    "rule.having_key": Row("`{function}(…)` takes one key", "write `{function}(amount) > 100`"),
    "rule.having_of": Row(
        "`{function}(…)` is about the members here, not about spans of a name",
        "leave `of …` out",
    ),
    "rule.having_trace": Row(
        "`{function}(trace)` has no meaning", "`distinct(trace)` counts the traces"
    ),
    "rule.cycle": Row("`{rule}` would wait for its own signals: {path}", "take one of them out"),
    "rule.levels": Row(
        "rules stand at most {limit} deep on each other's signals: {path}", "take one of them out"
    ),
    # -- bindings, relations, aggregates -------------------------------------------------------
    "rule.binding_name": Row("a binding cannot be named `{word}`", "{next}"),
    "rule.binding_twice": Row("`{word}` is bound twice", "give one of the two another name"),
    "rule.too_many_bindings": Row(
        "a rule may bind at most {limit} spans", "split it into several rules"
    ),
    "rule.binding_place": Row(
        "`as {word}` cannot stand here",
        "name a span in the outermost `and` of a clause, not under `or`, `not` or `count`",
    ),
    "rule.binding_not_here": Row(
        "`{text}` begins with the binding `{word}`, which does not hold here",
        "a name holds from its `as` on, one of `always` or `never` to the end of that clause; "
        "take another name if something else is meant",
    ),
    "rule.bare_binding": Row("`{text}` asks nothing of the span bound to `{word}`", "{next}"),
    "rule.bound_item": Row(
        "`{scope}.` of the binding `{word}` cannot be read here",
        "ask it by itself: `{word}.where({scope}.where(…))`",
    ),
    "rule.unknown_binding": Row("no span is bound to `{word}`", ""),
    "rule.own_relation": Row(
        "a span is not related to itself", "name another binding than `{word}`"
    ),
    "rule.window_too_long": Row(
        "a trace stays open for {limit} at most, and this window is longer",
        "shorten it, or use `expect` or `correlate` for what takes so long",
    ),
    "rule.aggregate_key": Row(
        "`{function}` cannot read `{key}`", "it reads an attribute of every span that it looks at"
    ),
    # -- old dialects --------------------------------------------------------------------------
    "rule.old_has": Row("`trace.has(…)` is from an old dialect", "write `{instead}`"),
    "rule.old_count": Row("`trace.count(…)` is from an old dialect", "write `count({name})`"),
    "rule.old_attributes": Row(
        "`{scope}.attributes[…]` is from an old dialect", "write `{instead}`"
    ),
    # -- warnings ------------------------------------------------------------------------------
    "rule.reads_attribute": Row(
        "`{word}` here is the attribute of that name, not the span's own {word}", "{next}"
    ),
    "rule.never_fires": Row("no trace can break this promise", "{next}"),
    "rule.always_fires": Row("every trace that meets `when` breaks this promise", "{next}"),
    "rule.costly": Row(
        "this test looks at every span of every trace",
        "name the span, or ask for an attribute with `==`",
    ),
    "rule.nothing_to_measure": Row(
        "where no such span has a number, this is false and the promise is broken", "{next}"
    ),
    "rule.float_equality": Row(
        "few measured numbers are exactly {number}", "use `<` and `>` for a small range"
    ),
    "rule.null_word": Row(
        '`{word}` is the text "{word}"', "ask `not {key} exists` for an attribute that is missing"
    ),
    "rule.intrinsic_word": Row(
        "`{word}` is none of the words of `{key}`, so the attribute of that name is read",
        "the words are {words}",
    ),
    "rule.unseen_name": Row("no span named `{word}` was seen so far", "{next}"),
    "rule.unseen_attribute": Row("no attribute `{word}` was seen so far", "{next}"),
    "rule.having_never": Row("no window fulfils `having`", "`count` is 1 for a single member"),
    "rule.having_always": Row(
        "a single member fulfils `having` already", "raise the number, or alert on the members"
    ),
    "rule.unseen_rule": Row("there is no rule `{rule}` here", "{next}"),
    "rule.boolean_attribute": Row(
        "`{word}` looks for a span of that name, and `{key}` is a boolean attribute",
        "write `{name}.where({key})`",
    ),
    # -- places that the first BeTrace understood otherwise ------------------------------------
    "first.missing": Row(
        "a missing attribute met this, and does not any more",
        "add `or {absent}` if it should",
    ),
    "first.order": Row(
        "a text that is no number was ordered against this one, and is not any more",
        "ask with `matches` about texts",
    ),
    "first.word": Row(
        "`{word}` was a text to the right of `<` and `>`, and is an attribute now",
        'write `"{word}"` for the text',
    ),
    "first.escape": Row(
        'a backslash before `"` or `\\` stood for itself, and is an escape now',
        "write `\\\\` for each backslash",
    ),
    "first.own": Row(
        "`{word}` was an attribute, and is the span's own {word} now",
        "write `attr({word})` for the attribute",
    ),
    # -- rules as objects, suites --------------------------------------------------------------
    "object.syntax": Row("not valid {format}: {reason}", ""),
    "object.too_large": Row("the file is larger than {limit} bytes", "split it"),
    "object.shape": Row("{where} must be {expected}, not {found}", ""),
    "object.unknown_field": Row("`{field}` is not a field of {where}", "{next}"),
    "object.missing_field": Row("{where} has no `{field}`", "add it"),
    "object.value": Row("`{field}` is {found}", "{next}"),
    "object.unknown_control": Row("`{control}` names no control", "{next}"),
    "object.duplicate_id": Row("the id `{id}` is used twice", "ids are unique in a tenant"),
    "object.duplicate_key": Row("`{field}` is given twice", "keep one"),
    "object.trace_and_traces": Row(
        "a test has `trace` or `traces`, not both", "put the trace into `traces`"
    ),
    "object.too_deep": Row("nested more than {limit} deep", ""),
    "object.exception_over": Row(
        "this exception ended with {until}: it silences nothing any more",
        "take it out, or give it a later `until`",
    ),
    "object.aliases": Row("YAML aliases are not read here", "write the value out"),
}


def phrase(code: str, words: Mapping[str, object]) -> tuple[str, str]:
    """Return message and hint of a code with its words filled in."""
    row = CATALOGUE[code]
    short = {
        name: str(word) if name in _OUR_OWN else _echo(str(word)) for name, word in words.items()
    }
    return _fill(row.message, short), _fill(row.hint, short)


def _fill(sentence: str, words: Mapping[str, str]) -> str:
    # Not str.format: sentences hold braces of the language itself, and words come from users.
    pieces = sentence.split("{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, closed, rest = piece.partition("}")
        filled.append(words[name] + rest if closed and name in words else "{" + piece)
    return "".join(filled)


def _echo(word: str) -> str:
    plain = " ".join(word.split()) if "\n" in word else word
    return plain if len(plain) <= MAX_ECHO_CHARACTERS else plain[: MAX_ECHO_CHARACTERS - 1] + "…"
