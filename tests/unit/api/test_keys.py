"""API keys: form, checksum, hash."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from api.auth.keys import KeyKind, hash_key, is_well_formed, kind_of, new_key, shown_part

PEPPER = b"p" * 32


def test_a_new_key_is_well_formed() -> None:
    key = new_key()
    assert (key.startswith("betrace_live_"), len(key), is_well_formed(key)) == (True, 62, True)


def test_a_key_says_its_kind_and_shows_six_characters_of_its_secret() -> None:
    for kind in KeyKind:
        key = new_key(kind)
        assert (kind_of(key), shown_part(key)) == (kind, key[:19])


def test_a_test_key_is_not_kept_as_the_live_key_of_the_same_secret() -> None:
    key = new_key(KeyKind.TEST)
    live = key.replace("_test_", "_live_")
    assert is_well_formed(live)
    assert hash_key(key, pepper=PEPPER) != hash_key(live, pepper=PEPPER)


def test_two_keys_differ() -> None:
    assert new_key() != new_key()


@given(st.integers(min_value=0, max_value=48), st.sampled_from("0aZ"))
def test_a_mistyped_key_is_not_well_formed(place: int, typed: str) -> None:
    key = "betrace_live_" + "7" * 43 + "0" * 6
    valid = next(
        candidate for candidate in (new_key() for _ in range(5)) if candidate[13 + place] != typed
    )
    mistyped = valid[: 13 + place] + typed + valid[14 + place :]
    assert not is_well_formed(mistyped)
    assert not is_well_formed(key)


@given(st.text())
def test_any_text_is_taken_without_error(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed(KeyKind.LIVE.prefix + text)


def test_a_key_is_kept_as_hmac_under_the_pepper() -> None:
    key = new_key()
    expected = hmac.new(PEPPER, b"api-key\0" + key.encode(), hashlib.sha256).digest()
    assert hash_key(key, pepper=PEPPER) == expected
    assert hash_key(key, pepper=b"q" * 32) != expected
