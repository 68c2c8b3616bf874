"""How IP addresses look that are somebody's, and no version, time or private network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from udfs.redaction import kinds
from udfs.redaction.detectors import WORD, Detector, goes_on, number_goes_on


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


MACHINES = (
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
