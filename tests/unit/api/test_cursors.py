"""Cursors and entity tags: what goes out comes back, and nothing else is taken."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import decode_cursor, encode_cursor
from api.etags import version_of
from api.problems import ApiError


@given(st.integers(min_value=-(2**62), max_value=2**62), st.text())
def test_a_cursor_comes_back_as_it_went_out(number: int, text: str) -> None:
    assert decode_cursor(encode_cursor(number, text), int, str) == [number, text]


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="cursor"):
        decode_cursor(text, int, str)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(ApiError, match="cursor"):
        decode_cursor(encode_cursor("rule"), int, str)


@pytest.mark.parametrize(
    ("header", "version"), [(None, None), ("*", None), ('"3"', 3), (' W/"12" ', 12)]
)
def test_if_match_names_a_version(header: str | None, version: int | None) -> None:
    assert version_of(header) == version


@pytest.mark.parametrize("header", ["3", '"0"', '"x"', '"1", "2"', ""])
def test_if_match_takes_nothing_else(header: str) -> None:
    with pytest.raises(ApiError, match="If-Match"):
        version_of(header)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back_to_the_microsecond(at: datetime) -> None:
    assert decode_cursor(encode_cursor(at, "id"), datetime, str) == [at, "id"]


@pytest.mark.parametrize("microseconds", [2**63, -(10**30)])
def test_times_that_no_calendar_has_are_refused(microseconds: int) -> None:
    with pytest.raises(ApiError, match="cursor"):
        decode_cursor(encode_cursor(microseconds, "id"), datetime, str)
