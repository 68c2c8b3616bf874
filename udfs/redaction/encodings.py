"""Undoes what hides a text from patterns: percent encoding, escapes of JSON and HTML, base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import re2

from udfs.redaction.detectors import BEFORE_TEXT, WORD, Detector, latin1

_FIRST = rb"[CDI-Za-f]"
_SECOND = rb"[ACDEFGHQSTUVWXgi-nwyz0-3]"
_QUAD = _FIRST + _SECOND + rb"[ABEFIJMNQRUVYZcdghklopstwx014589][0-9A-Za-z+/_-]"
"""Three bytes of which the first two are printable ASCII or ends of lines, and the third is ASCII.

First six bits of a byte; its last two and four of the next; the last four of that and two of the
third; whatever is left.
"""
_ANY = rb"[0-9A-Za-z+/_-]"
_PRINTABLE = rb"(?:" + _ANY + rb"{4})*(?:" + _QUAD + rb"){3}" + _FIRST + _SECOND
_RUN = re.compile(_ANY + rb"{14,}={0,2}")
_TO_PLAIN = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Escapes:
    """A way to write bytes as something else, one at a time.

    gate: what is in every text that uses it. found: the whole escape, with its code in a group.
    """

    gate: bytes
    found: re.Pattern[bytes]
    decode: Callable[[re.Match[bytes]], bytes]


def _hex(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _character(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    return bytes((code,)) if code < 0x80 else b"?"


ESCAPES = (
    Escapes(rb"%[0-9A-Fa-f]{2}", re.compile(rb"%([0-9A-Fa-f]{2})"), _hex),
    Escapes(rb"\\u00[0-7][0-9A-Fa-f]", re.compile(rb"\\u00([0-7][0-9A-Fa-f])"), _hex),
    Escapes(
        rb"&#(?:[xX][0-9A-Fa-f]{2}|[0-9]{2,3});",
        re.compile(rb"&#(?:[xX]([0-9A-Fa-f]{2})|([0-9]{2,3}));"),
        _character,
    ),
)
BASE64 = Detector("base64", _PRINTABLE, before=WORD)
"""Base64 with ten bytes or so of ASCII in a row, which few words, ids or hashes look like.

Its groups of four are counted from where it begins, behind whatever is no letter or digit. (Looking
for it from every character on would have RE2 follow all of them at once: a new state for each.)
"""
GATES = (*(escapes.gate for escapes in ESCAPES), BASE64.gate_pattern())
_BASE64 = re2.compile(BASE64.exact_pattern(), options=latin1())


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded text, and where in the encoded one each of its bytes begins, and the end."""

    text: bytes
    places: list[int]


def unescape(text: bytes, escapes: Escapes) -> Decoded | None:
    """Undo the escapes of a text once; None if there are none."""
    pieces: list[bytes] = []
    places: list[int] = []
    at = 0
    for match in escapes.found.finditer(text):
        pieces += (text[at : match.start()], escapes.decode(match))
        places += range(at, match.start() + 1)
        at = match.end()
    if not pieces:
        return None
    pieces.append(text[at:])
    places += range(at, len(text) + 1)
    return Decoded(b"".join(pieces), places)


def base64_runs(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of what may be base64 of a printable text."""
    for match in _RUN.finditer(text):
        start, end = match.span()
        if _BASE64.search(text[start - 1 : end] if start else BEFORE_TEXT + match[0]):
            yield start, end


def open_base64(run: bytes) -> Iterator[bytes]:
    """Yield what a run of base64 holds, read from each of its first four characters.

    What stands in front of it (a path, a prefix) may belong to the same alphabet.
    """
    plain = run.rstrip(b"=").translate(_TO_PLAIN)
    for offset in range(4):
        part = plain[offset:]
        whole = part[: len(part) - 1] if len(part) % 4 == 1 else part
        try:
            yield base64.b64decode(whole + b"=" * (-len(whole) % 4))
        except binascii.Error:
            continue
