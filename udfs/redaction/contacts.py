"""How mail addresses and phone numbers look."""

from __future__ import annotations

from udfs.redaction import kinds
from udfs.redaction.detectors import WORD, Detector, digits_of, goes_on, number_goes_on

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


CONTACTS = (
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
)
