"""Check digits of card, account and identity numbers. All take digits (or letters) only."""

from __future__ import annotations

from datetime import date

_VERHOEFF_STEP = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
"""Multiplication in the dihedral group D5."""
_VERHOEFF_TURN = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
_FISCAL_TENS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_FISCAL_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (*_FISCAL_TENS, *_FISCAL_TENS, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)
"""Values of characters at odd places of the Italian tax code (decree of 23 December 1976)."""


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: cards, and several national numbers."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_mod97(account: str) -> bool:
    """ISO 13616: the account moved before country and check digits leaves 1 modulo 97."""
    turned = account[4:] + account[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def verhoeff(digits: str) -> bool:
    """Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_STEP[check][_VERHOEFF_TURN[place % 8][int(digit)]]
    return check == 0


def mod11_10(digits: str) -> bool:
    """ISO 7064, MOD 11,10: the German tax identification number."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[-1])


def mod11_2(identity: str) -> bool:
    """ISO 7064, MOD 11-2: the Chinese resident number; the last may be X."""
    total = 0
    for digit in identity[:-1]:
        total = (total + int(digit)) * 2 % 11
    return "0123456789X"[(12 - total) % 11] == identity[-1].upper()


def cpf(digits: str) -> bool:
    """The Brazilian taxpayer number; one digit repeated passes the sums and is none."""
    if len(set(digits)) == 1:
        return False
    for size in (9, 10):
        total = sum(int(digit) * (size + 1 - at) for at, digit in enumerate(digits[:size]))
        if total * 10 % 11 % 10 != int(digits[size]):
            return False
    return True


def ean13(digits: str) -> bool:
    """GS1: the Swiss AHV number."""
    return sum(int(digit) * (3 if at & 1 else 1) for at, digit in enumerate(digits)) % 10 == 0


def fiscal_code(code: str) -> bool:
    """The check letter of the Italian tax code."""
    total = 0
    for at, character in enumerate(code[:15]):
        total += int(character, 36) % 10 if at & 1 and character.isdigit() else 0
        if at & 1 and not character.isdigit():
            total += ord(character) - ord("A")
        if not at & 1:
            total += _FISCAL_ODD[character]
    return chr(ord("A") + total % 26) == code[15]


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has that day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
