"""How personal data look: mail and IP addresses, phone, card and account numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from udfs.redaction import kinds
from udfs.redaction.checksums import iban_mod97, luhn
from udfs.redaction.detectors import WORD, Detector, digits_of, goes_on, number_goes_on

# -- mail ------------------------------------------------------------------------------------------

_LABEL = rb"[0-9A-Za-z\x80-\xff](?:[0-9A-Za-z\x80-\xff-]{0,62})"
_EMAIL = (
    rb"[0-9A-Za-z\x80-\xff_](?:[0-9A-Za-z\x80-\xff._%+'-]{0,63})@"
    rb"(?:" + _LABEL + rb"\.)+[A-Za-z\x80-\xff]{2,24}"
)


def _email(text: bytes, start: int, end: int) -> int:
    """Leave `user:password@host` of a URL to the detector of passwords."""
    scheme = text.rfind(b"://", max(0, start - 300), start)
    if scheme >= 0:
        before = text[scheme + 3 : text.index(b"@", start)]
        if b":" in before and not any(stop in before for stop in b"/?# \t\"'"):
            return 0
    return end


# -- phone -----------------------------------------------------------------------------------------

_ASSIGNED_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 "
    "64 65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 "
    "228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 248 249 250 251 "
    "252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 "
    "351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 "
    "386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 "
    "597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 "
    "692 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 "
    "976 977 992 993 994 995 996 998"
)
"""ITU-T E.164, assigned to countries."""
_COUNTRY_CODES = frozenset(_ASSIGNED_CODES.split())
_MAX_PHONE_DIGITS = 15
_MIN_PHONE_DIGITS = 8


def _international(text: bytes, start: int, end: int) -> int:
    digits = digits_of(text[start:end])
    if text[start : start + 1] != b"+":
        if _is_continued(text, start):
            return 0
        digits = digits.removeprefix("00")
    known = any(digits[:size] in _COUNTRY_CODES for size in (1, 2, 3))
    whole = _MIN_PHONE_DIGITS <= len(digits) <= _MAX_PHONE_DIGITS
    return end if known and whole and not goes_on(text, end) else 0


def _national(text: bytes, start: int, end: int) -> int:
    return 0 if number_goes_on(text, end) or _is_continued(text, start) else end


def _is_continued(text: bytes, start: int) -> bool:
    """Whether digits and a space stand before, as within an account number."""
    return text[start - 1 : start] == b" " and text[max(0, start - 2) : start - 1].isdigit()


# -- cards -----------------------------------------------------------------------------------------

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


# -- accounts --------------------------------------------------------------------------------------

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


# -- addresses of machines -------------------------------------------------------------------------


def _numbers(numbers: Iterable[int]) -> bytes:
    return b"|".join(b"%d" % number for number in numbers)


def _others(*numbers: int) -> bytes:
    return rb"(?:" + _numbers(n for n in range(256) if n not in numbers) + rb")"


_WITHOUT_OWNER = (0, 10, 100, 127, 169, 172, 192, 198, 203, *range(224, 256))
"""First numbers of IPv4 addresses of which some or all are nobody's own."""
_PUBLIC_V4_GATE = rb"|".join(
    head + rb"\.\d{1,3}\.\d"
    for head in (
        _others(*_WITHOUT_OWNER) + rb"\.\d{1,3}",
        rb"100\." + _others(*range(64, 128)),
        rb"169\." + _others(254),
        rb"172\." + _others(*range(16, 32)),
        rb"192\." + _others(0, 168),
        rb"192\.0\." + _others(0, 2),
        rb"198\." + _others(18, 19, 51),
        rb"198\.51\." + _others(100),
        rb"203\." + _others(0),
        rb"203\.0\." + _others(113),
    )
)
_V4 = rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?:/\d{1,3})?"
_V6 = rb"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,40}(?:/\d{1,3})?"
_VERSION_WORDS = (b"version", b"version:", b"version=", b"ver", b"ver.", b"v", b"release", b"build")
_GROUP_BEFORE = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{1,4}|:):\Z")
"""What makes this the middle of a longer address."""
_WIDE_V4 = 24
_WIDE_V6 = 48


def _public_v4(text: bytes, start: int, end: int) -> int:
    """Take the address of somebody: of the global internet, and narrower than a /24."""
    address, _, bits = text[start:end].partition(b"/")
    if bits and int(bits) <= _WIDE_V4:
        return 0
    if number_goes_on(text, end) or text[end : end + 1] == b"_" or _is_release(text, end):
        return 0
    if text[max(0, start - 12) : start].rstrip().lower().endswith(_VERSION_WORDS):
        return 0
    try:
        parsed = IPv4Address(address.decode())
    except AddressValueError:
        return 0
    return end if parsed.is_global and not parsed.is_multicast else 0


def _is_release(text: bytes, end: int) -> bool:
    """Whether something like `-rc1` follows, as behind versions."""
    return text[end : end + 1] in (b"-", b"+") and text[end + 1 : end + 2].isalpha()


def _public_v6(text: bytes, start: int, end: int) -> int:
    address, _, bits = text[start:end].partition(b"/")
    if (bits and int(bits) <= _WIDE_V6) or goes_on(text, end):
        return 0
    if text[start - 1 : start] == b":" and _GROUP_BEFORE.search(text, max(0, start - 6), start):
        return 0
    trimmed = address.rstrip(b":") if not address.endswith(b"::") else address
    try:
        parsed = IPv6Address(trimmed.decode())
    except AddressValueError:
        return 0
    return start + len(trimmed) + (len(bits) + 1 if bits else 0) if parsed.is_global else 0


PERSONAL = (
    Detector(
        kinds.EMAIL,
        _EMAIL,
        gate=rb"[0-9A-Za-z\x80-\xff._%+'-]@[0-9A-Za-z\x80-\xff-]+\.[0-9A-Za-z\x80-\xff]",
        fit=_email,
    ),
    Detector(
        kinds.PHONE,
        rb"\+[1-9]\d{0,2}(?:[ ().\-/]{0,2}\d){5,13}",
        gate=rb"\+[1-9](?:[ ().\-/]{0,2}\d){7}",
        before=WORD,
        fit=_international,
    ),
    Detector(
        kinds.PHONE,
        rb"00[1-9]\d{0,2}(?:[ .\-/]\(?\d{1,4}\)?){2,6}",
        gate=rb"00[1-9]\d{0,2}[ .\-/]\(?\d",
        before=WORD + rb".\-",
        fit=_international,
    ),
    Detector(  # North America
        kinds.PHONE,
        rb"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}",
        before=WORD + rb".\-",
        fit=_national,
    ),
    Detector(  # five pairs, as in France
        kinds.PHONE,
        rb"0[1-9](?:[ .]\d\d){4}",
        before=WORD + rb".\-",
        fit=_national,
    ),
    Detector(  # area code with the 0 of long distance
        kinds.PHONE,
        rb"\(?0[1-9]\d{1,3}(?:\)|[ /-]|\) )\d{3,4}[ -]?\d{3,4}",
        before=WORD + rb".\-",
        fit=_national,
    ),
    Detector(kinds.PAYMENT_CARD, _CARD, gate=_CARD_GATE, before=WORD, fit=_card),
    Detector(kinds.IBAN, _IBAN, gate=_IBAN_GATE, before=WORD, fit=_iban),
    Detector(kinds.IP_ADDRESS, _V4, gate=_PUBLIC_V4_GATE, before=WORD + rb"._/\-", fit=_public_v4),
    # Behind one slash, `Chrome/120.0.0.0` is a version and `//203.0.113.9` is an address.
    Detector(
        kinds.IP_ADDRESS,
        rb"/(" + _V4 + rb")",
        gate=rb"/(?:" + _PUBLIC_V4_GATE + rb")",
        before=WORD,
        fit=_public_v4,
    ),
    Detector(
        kinds.IP_ADDRESS,
        rb"/(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}):\d",
        gate=rb"/(?:" + _PUBLIC_V4_GATE + rb"[\d.]*):\d",
        fit=_public_v4,
    ),
    Detector(
        kinds.IP_ADDRESS,
        _V6,
        gate=rb"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        before=WORD + rb".",
        fit=_public_v6,
    ),
)
"""Groups inside of cores are what is taken; `fit` is asked about that."""
