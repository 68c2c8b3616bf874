"""Shapes of JSON bodies that are read, and those that are refused before anything reads them."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from api.bodies import MAX_DEPTH, MAX_VALUES, refuse_misshapen

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1),
        b"[" * 1_000_000,
        b"[" + b"1," * (MAX_VALUES + 1) + b"1]",
        b"[" + b"{}," * (MAX_VALUES + 1) + b"1]",
    ],
    ids=["deep", "deep objects", "a million brackets", "wide", "many objects"],
)
def test_what_is_too_deep_or_has_too_many_values_is_refused(body: bytes) -> None:
    with pytest.raises(HTTPException) as refused:
        refuse_misshapen(body)
    assert refused.value.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        json.dumps({"rule": "[" * 1_000 + "," * 100_000}).encode(),
        json.dumps({'a"[[[': ["\\", '"[', "{" * 500]}).encode(),
        b'"' + b"[" * 100_000,
        b"",
        b"not JSON at all",
    ],
    ids=["at the limit", "in a string", "escapes", "a string without an end", "empty", "no JSON"],
)
def test_what_stands_in_strings_does_not_count(body: bytes) -> None:
    refuse_misshapen(body)


@given(VALUES)
def test_no_ordinary_document_is_refused(value: object) -> None:
    for ensure_ascii in (True, False):
        refuse_misshapen(json.dumps(value, ensure_ascii=ensure_ascii).encode())


@pytest.mark.parametrize("unit", [b'"', b'\\"', b'"\\', b"\\", b'"a\\"b', b'"",'])
def test_hostile_bodies_are_looked_at_once(unit: bytes) -> None:
    """A scan that began anew at each quote would take hours for these; this one, a moment."""
    begun_s = time.process_time()
    with suppress(HTTPException):
        refuse_misshapen(unit * (1_000_000 // len(unit)))
    assert time.process_time() - begun_s < 60
