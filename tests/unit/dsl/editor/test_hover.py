"""What is said about the word under the cursor."""

from __future__ import annotations

import pytest

from dsl import KnownNames
from dsl.editor import hover
from tests.unit.dsl.editor.seen import SEEN, at_cursor

AMOUNT = (
    "The attribute `amount`: the span's, else the resource's. Seen as number.\n\nValues: `5`, `7`"
)


@pytest.mark.parametrize(
    ("text", "about", "said"),
    [
        ("wh|en { a } never { b }", "when", "**`when`** · The rule applies to traces"),
        ("when { payment.ch|arge } never { b }", "payment.charge",
         "The span `payment.charge` was seen 1,200 times.\n\nAttributes: `amount`, `region`"),
        ('when { "GET /us|ers/{id}" } never { b }', '"GET /users/{id}"',
         "The span `GET /users/{id}` was seen 8 times."),
        ("when { a.where(amo|unt > 5) } never { b }", "amount", AMOUNT),
        ("when { payment.charge.amo|unt > 5 } never { b }", "payment.charge.amount", AMOUNT),
        ("when { payment.cha|rge.amount > 5 } never { b }", "payment.charge.amount",
         "The span `payment.charge` was seen 1,200 times."),
        ("when { a.where(sta|tus == error) } never { b }", "status", "**`status`** · ok, error or"),
        ("when { a.where(sta|tus >= 500) } never { b }", "status",
         "Seen as number or text.\n\nNot the span's own `status`: ok, error or unset"),
        ("when { a.where(duration > 5s and sta|tus == ok) } never { b }", "status",
         "**`status`** · ok, error or unset"),
        ("when { a.where(resource.reg|ion == us) } never { b }", "resource.region",
         "**`resource.region`** · An attribute of the resource.\n\nValues: `eu-west-1`, `us`"),
        ("when { a.where(attr(na|me) == x) } never { b }", "name", "The attribute `name`"),
        ("when { a.where(x |>= 5) } never { b }", ">=", "**`>=`** · At least."),
        ("when { cou|nt(b) > 5 } never { b }", "count", "**`count`** · How many such spans"),
        ("when { trace.dur|ation > 5s } never { b }", "trace.duration",
         "**`trace.duration`** · From its first start to its last end."),
        ("when { a.whe|re(x) } never { b }", "where", "**`where`** · Filters"),
        ("when { a n|ot", "not", "**`not`** · The opposite"),
        ("when { a.where(x contai|ns y", "contains", "**`contains`** · The text holds"),
        ("when { db.query as q } always { b aft|er q }", "after", "**`after`** · It starts after"),
        ("when { db.query as q } always { b.where(u == q.user.i|d) }", "q.user.id",
         "`q` is the span `db.query` of this combination.\n\nThe attribute `user.id`"),
        ("when { db.query as q| } always { b }", "q", "`q` is a name for this span: `db.query`."),
        ("when { a.where(x =| 1) } never { b }", "=", "**`=` does not compare** (write `==`)"),
    ],
)  # fmt: skip
def test_a_word_is_explained(text: str, about: str, said: str) -> None:
    plain, offset = at_cursor(text)
    found = hover(plain, offset, SEEN)
    assert found is not None
    assert said in found.markdown
    assert plain[found.start : found.end] == about


@pytest.mark.parametrize(
    "text", ["when |{ a } never { b }", "when { a.where(x > 5|) }", "|", "// a|"]
)
def test_of_some_places_there_is_nothing_to_say(text: str) -> None:
    plain, offset = at_cursor(text)
    assert hover(plain, offset, SEEN) is None


def test_a_name_that_was_never_seen_is_said_to_be() -> None:
    found = hover("when { payment.chrge } never { b }", 9, SEEN)
    assert found is not None
    assert "did you mean `payment.charge`?" in found.markdown
    assert "No span named `payment.chrge` was seen so far." in found.markdown


def test_names_from_traffic_cannot_write_markdown() -> None:
    evil = "x` [click](command:evil) `\n# y"
    known = KnownNames(span_names=frozenset({"a"}), attributes_of={"a": frozenset({evil})})
    found = hover("when { a } never { b }", 7, known)
    assert found is not None
    assert "`x' [click](command:evil) ' # y`" in found.markdown
