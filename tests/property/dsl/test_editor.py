"""An editor asks at any place of any text, and is answered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check
from dsl.editor import complete, fix_of, hover
from tests.property.dsl.generate import rules
from tests.property.dsl.test_any_text import WORDS
from tests.unit.dsl.editor.seen import SEEN


def broken() -> st.SearchStrategy[str]:
    """Texts of all kinds: rules cut anywhere, words in any order, any characters."""
    cut = st.tuples(rules(), st.integers(0, 200), st.integers(0, 200)).map(
        lambda parts: parts[0][: parts[1]] + parts[0][parts[2] :]
    )
    return st.one_of(
        cut, st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join), st.text(max_size=60)
    )


@settings(max_examples=200, deadline=None)
@given(broken(), st.floats(0, 1))
def test_every_place_is_answered_and_what_is_replaced_holds_the_cursor(
    text: str, share: float
) -> None:
    offset = int(share * len(text))
    for offer in complete(text, offset, SEEN):
        assert 0 <= offer.start <= offset <= offer.end <= len(text)
        assert offer.insert
    found = hover(text, offset, SEEN)
    if found is not None:
        assert found.start <= offset <= found.end
        assert found.markdown


@settings(max_examples=200, deadline=None)
@given(broken())
def test_a_fix_changes_what_the_problem_marks(text: str) -> None:
    checked = check(text, known=SEEN)
    for problem in (*checked.problems, *checked.warnings):
        fix = fix_of(problem, text)
        if fix is not None:
            assert 0 <= fix.start <= fix.end <= len(text)
            assert text[: fix.start] + fix.replacement + text[fix.end :] != text
