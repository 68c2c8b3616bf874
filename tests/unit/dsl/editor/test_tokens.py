"""What each word of a text is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.editor.tokens import KINDS, editor_tokens


def told(text: str) -> str:
    """Return the pieces of a text with what they are, as `word:kind`."""
    return " ".join(f"{text[one.start : one.end]}:{one.kind}" for one in editor_tokens(text))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "when { status.where(status == error) as q }",
            "when:clause status:span where:keyword status:intrinsic ==:operator error:value "
            "as:keyword q:binding",
        ),
        (
            "when { a as q } always { b.where(user.id == q.user.id) after q within 5s }",
            "when:clause a:span as:keyword q:binding always:clause b:span where:keyword "
            "user.id:attribute ==:operator q:binding user.id:attribute after:operator q:binding "
            "within:keyword 5s:number",
        ),
        (
            "never { payment.charge.amount > 5 or not trace.duration < 2s }",
            "never:clause payment.charge:span amount:attribute >:operator 5:number or:keyword "
            "not:keyword trace.duration:trace <:operator 2s:number",
        ),
        (
            'when { "GET /".where("user id" == "x" and resource.k8s.pod == y) }',
            'when:clause "GET /":span where:keyword "user id":attribute ==:operator "x":string '
            "and:keyword resource:scope k8s.pod:attribute ==:operator y:value",
        ),
        (
            "when { any.where(event.where(name == e)).where(is_root) } // any",
            "when:clause any:keyword where:keyword event:scope where:keyword name:intrinsic "
            "==:operator e:value where:keyword is_root:intrinsic // any:comment",
        ),
        (
            "when { sum(amount of pay) / 2 > 3 and any exists }",
            "when:clause sum:function amount:attribute of:keyword pay:span /:operator 2:number "
            ">:operator 3:number and:keyword any:keyword exists:operator",
        ),
        (
            'correlate { violated("r") or login } by user.id within 10m having count >= 5',
            'correlate:clause violated:function "r":span or:keyword login:span by:keyword '
            "user.id:attribute within:keyword 10m:number having:keyword count:function "
            ">=:operator 5:number",
        ),
        ('when { "// no comment" }', 'when:clause "// no comment":span'),
        ("when { a.", "when:clause a:span"),
        ("", ""),
    ],
)
def test_words_are_what_their_places_make_them(text: str, pieces: str) -> None:
    assert told(text) == pieces


@given(st.text(alphabet='when{}()[].,"/ abq=<>15s\n', max_size=200))
def test_any_text_has_pieces_in_order_that_do_not_overlap(text: str) -> None:
    tokens = editor_tokens(text)
    edges = [edge for one in tokens for edge in (one.start, one.end)]
    assert edges == sorted(edges)
    assert all(0 <= one.start < one.end <= len(text) and one.kind in KINDS for one in tokens)
