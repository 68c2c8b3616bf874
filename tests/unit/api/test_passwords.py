"""Which passwords are taken, and how a right one is told from a wrong one."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from api.auth.passwords import MAX_LENGTH, MIN_LENGTH, Passwords, refuse_weak, weaknesses
from api.problems import ApiError


def _of_ada(password: str) -> list[str]:
    return weaknesses(password, email="ada@example.com", name="Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "die grüne Kuh im Keller",
        "zażółć gęślą jaźń dziś",
        "vier fünf Käfer und ein Hut",
        "rain over seven bridges",
    ],
)
def test_sentences_need_no_digits_capitals_or_signs(password: str) -> None:
    assert _of_ada(password) == []


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "aaaaaaaaaaaaaaaaaaaa",
        "1234567890123456",
        "qwertyuiopasdfghjkl",
        "Password1234567",
        "betracebetracebetrace",
        "lovelacelovelace",
    ],
)
def test_what_guessers_try_first_is_refused(password: str) -> None:
    (sentence,) = _of_ada(password)
    assert "guessers" in sentence


def test_length_is_counted_in_characters() -> None:
    whole = "ěščřžýáíéúůňťďóqwzx"
    assert _of_ada(whole[:MIN_LENGTH]) == []
    assert "at least 15" in _of_ada(whole[: MIN_LENGTH - 1])[0]
    assert "at most" in _of_ada("x" * (MAX_LENGTH + 1))[0]


def test_the_address_is_no_password_in_any_case() -> None:
    assert _of_ada("my ADA@Example.com rocks") == ["It holds your address."]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ApiError) as refused:
        refuse_weak("password", email="ada@example.com", name="Ada")
    assert (refused.value.status, len(refused.value.members["weaknesses"])) == (400, 2)


async def test_a_password_is_right_however_the_keyboard_writes_it() -> None:
    passwords = Passwords()
    stored = await passwords.hash("fünfzehn Zeichen")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify("fu\u0308nfzehn Zeichen", stored)
    assert not await passwords.verify("funfzehn Zeichen", stored)


async def test_nobodys_password_is_never_right_and_costs_the_same_work() -> None:
    passwords = Passwords()
    assert not await passwords.verify("", None)
    assert not passwords.is_outdated(passwords._nobodys_hash)
    assert not await passwords.verify("anything", "not a hash")


async def test_other_parameters_are_outdated() -> None:
    passwords = Passwords()
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=1024).hash("x"))
    assert not passwords.is_outdated(await passwords.hash("x"))
