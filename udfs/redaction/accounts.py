"""How card and account numbers look, and what tells them from other numbers."""

from __future__ import annotations

from udfs.redaction import kinds
from udfs.redaction.checksums import iban_mod97, luhn
from udfs.redaction.detectors import WORD, Detector, digits_of, goes_on

_SEPARATOR = rb"(?:[-+. ]|\xc2\xa0)"
_FOURS = rb"[2-6]\d{3}(?:" + _SEPARATOR + rb"\d{4}){2,3}(?:" + _SEPARATOR + rb"\d{1,4})?"
_CARD = (
    rb"[2-6]\d{11,18}|" + _FOURS + rb"|3\d{3}" + _SEPARATOR + rb"\d{6}" + _SEPARATOR + rb"\d{4,5}"
)
_CARD_GATE = rb"[2-6]\d{3}" + _SEPARATOR + rb"?\d{4}" + rb"(?:" + _SEPARATOR + rb"?\d){4}"
_ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4000, 4999, (16, 19, 13)),
    (5100, 5599, (16,)),
    (2221, 2720, (16,)),
    (3400, 3499, (15,)),
    (3700, 3799, (15,)),
    (6011, 6011, (16, 19)),
    (6440, 6599, (16, 19)),
    (6200, 6299, (16, 17, 18, 19)),
    (3528, 3589, (16, 19)),
    (3000, 3059, (14, 16, 19)),
    (3600, 3699, (14, 16, 19)),
    (3800, 3999, (14, 16, 19)),
    (5000, 5099, (16, 12, 13, 14, 15, 17, 18, 19)),
    (5600, 5899, (16, 12, 13, 14, 15, 17, 18, 19)),
    (6000, 6999, (16, 13, 14, 15, 17, 18, 19)),
)
"""First four digits from, to; lengths. Of ISO/IEC 7812 issuers: Visa, Mastercard, American Express,
Discover, UnionPay, JCB, Diners Club, Maestro."""


def _card(text: bytes, start: int, end: int) -> int:
    """Return the end of the longest beginning that is a card number; what follows may be digits."""
    if _is_fraction(text, start):
        return 0
    places = [at for at in range(start, end) if chr(text[at]) in "0123456789"]
    digits = digits_of(text[start:end])
    head = int(digits[:4])
    for low, high, lengths in _ISSUERS:
        if not low <= head <= high:
            continue
        for length in lengths:
            if length <= len(digits) and luhn(digits[:length]):
                at = places[length - 1] + 1
                if not goes_on(text, at):
                    return at
    return 0


def _is_fraction(text: bytes, start: int) -> bool:
    """Whether these are the decimals of a number."""
    return start >= 2 and text[start - 1 : start] == b"." and text[start - 2 : start - 1].isdigit()


_REGISTRY = (
    "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 "
    "CZ:24 DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 "
    "GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 "
    "LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 "
    "NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 SD:18 SE:24 SI:19 "
    "SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20"
)
"""ISO 13616: characters of an account number by country."""
_IBAN_LENGTHS = dict(pair.split(":") for pair in _REGISTRY.split())
_COUNTRIES = b"|".join(country.encode() for country in _IBAN_LENGTHS)
_IBAN = rb"(?:" + _COUNTRIES + rb")\d\d(?:" + _SEPARATOR + rb"?[0-9A-Za-z]){11,30}"
_IBAN_GATE = rb"(?:" + _COUNTRIES + rb")\d\d(?:" + _SEPARATOR + rb"?[0-9A-Za-z]){11}"


def _iban(text: bytes, start: int, end: int) -> int:
    length = int(_IBAN_LENGTHS[text[start : start + 2].decode()])
    places = [at for at in range(start, end) if chr(text[at]).isascii() and chr(text[at]).isalnum()]
    if len(places) < length:
        return 0
    at = places[length - 1] + 1
    account = bytes(text[place] for place in places[:length]).decode().upper()
    return at if iban_mod97(account) and not goes_on(text, at) else 0


ACCOUNTS = (
    Detector(kinds.PAYMENT_CARD, _CARD, gate=_CARD_GATE, before=WORD, fit=_card),
    Detector(kinds.IBAN, _IBAN, gate=_IBAN_GATE, before=WORD, fit=_iban),
)
