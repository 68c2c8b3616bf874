"""How national identity, insurance and tax numbers look, each with what its country checks.

Numbers that are bare digits with a weak check (nine digits of a BSN, eleven of a PESEL) cannot be
told from order numbers and are taken by the key alone (`keys`).
"""

from __future__ import annotations

from collections.abc import Callable

from udfs.redaction import kinds
from udfs.redaction.checksums import (
    cpf,
    ean13,
    fiscal_code,
    is_date,
    luhn,
    mod11_2,
    mod11_10,
    verhoeff,
)
from udfs.redaction.detectors import WORD, Detector, Fit, digits_of, number_goes_on

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_NINO_NEVER = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})


def _checked(check: Callable[[str], bool]) -> Fit:
    """Make a fit of a check of the letters and digits."""

    def fit(text: bytes, start: int, end: int) -> int:
        compact = "".join(chr(byte) for byte in text[start:end] if chr(byte).isalnum())
        return end if check(compact) and not number_goes_on(text, end) else 0

    return fit


def _us_ssn(number: str) -> bool:
    """Social Security Administration: areas 000, 666 and 900 up, group 00, serial 0000 are none."""
    area, group, serial = int(number[:3]), int(number[3:5]), int(number[5:])
    return 0 < area < 900 and area != 666 and group > 0 and serial > 0


def _nino(number: str) -> bool:
    return number[:2] not in _NINO_NEVER


def _french(number: str) -> bool:
    """INSEE: departments 2A and 2B of Corsica count as 19 and 18."""
    department = {"2A": "19", "2B": "18"}.get(number[5:7], number[5:7])
    body = int(number[:5] + department + number[7:13])
    return 97 - body % 97 == int(number[13:])


def _spanish(number: str) -> bool:
    body = number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI_LETTERS[int(body) % 23] == number[-1]


def _swedish(number: str) -> bool:
    body = number[-10:]
    day = int(body[4:6])
    return is_date(2000, int(body[2:4]), day - 60 if day > 60 else day) and luhn(body)


def _finnish(number: str) -> bool:
    """Day, month, year, [sign of the century,] serial, check; a sign that is a letter is kept."""
    digits, serial = number[:6], number[-4:]
    remainder = int(digits + serial[:3]) % 31
    known = is_date(2000, int(digits[2:4]), int(digits[:2]))
    return known and _HETU_LETTERS[remainder] == serial[3]


def _belgian(number: str) -> bool:
    body, check = int(number[:9]), int(number[9:])
    return check in (97 - body % 97, 97 - (2_000_000_000 + body) % 97)


def _korean(number: str) -> bool:
    return is_date(2000, int(number[2:4]), int(number[4:6]))


def _german_tax(number: str) -> bool:
    return mod11_10(number) and len(set(number[:10])) < 10


def _chinese(number: str) -> bool:
    return is_date(int(number[6:10]), int(number[10:12]), int(number[12:14])) and mod11_2(number)


def _row(core: bytes, check: Callable[[str], bool]) -> Detector:
    return Detector(kinds.NATIONAL_ID, core, before=WORD + rb".\-", fit=_checked(check))


def _by_luhn(number: str) -> bool:
    return luhn(digits_of(number.encode()))


NATIONAL_IDS = (
    _row(rb"\d{3}(?:-\d{2}-| \d{2} )\d{4}", _us_ssn),
    _row(rb"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]", _nino),  # UK
    _row(rb"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", _french),
    _row(rb"(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", _spanish),
    _row(rb"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", fiscal_code),  # Italy
    _row(rb"(?:19|20)?\d{6}[-+]\d{4}", _swedish),
    _row(rb"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _finnish),
    _row(rb"\d{3}\.\d{3}\.\d{3}-\d\d", cpf),  # Brazil
    _row(rb"\d{3}(?: \d{3} |-\d{3}-)\d{3}", _by_luhn),  # Canada, SIN
    _row(rb"[2-9]\d{3}(?: \d{4} |-\d{4}-)\d{4}", verhoeff),  # India, Aadhaar
    _row(rb"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", lambda _number: True),  # India, PAN
    _row(rb"[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[0-9Xx]", _chinese),
    _row(rb"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", _belgian),
    _row(rb"756\.\d{4}\.\d{4}\.\d\d", ean13),  # Switzerland, AHV
    _row(rb"\d{6}-[1-8]\d{6}", _korean),
    _row(rb"[1-9]\d \d{3} \d{3} \d{3}", _german_tax),
)
