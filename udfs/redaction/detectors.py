"""What a detector is: a pattern to find by, and a cheaper one to rule out by.

The *gate* is tried first, many gates at once (sets of RE2, a pass each), over the bytes of a whole
serialized record. Strings lie whole in protobuf, so a pattern that is found in a string is found in
the record as well, but for what it asks of the neighbourhood: before a string stand a tag and a
length, which may be a letter or a digit to the eye, and behind it stands the next tag. A gate
therefore asks nothing of what follows, and where it asks for a boundary in front it takes the
beginning of a string for one (STRING_START). So

    a record in which no gate is found holds nothing that any detector would find,

provided that fields stand in the order of their numbers, as every writer of protobuf has them.
Patterns are RE2 over bytes, Latin-1: letters outside of ASCII are bytes from 80 to FF.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2

STRING_TAGS = b"\x0a\x12\x1a\x22\x2a\x3a"
"""Tags of all fields of OTLP spans that hold text (or bytes, of AnyValue)."""

STRING_START = (
    rb"(?:"
    rb"(?:[\x00\x2f-\x7f]|[\x80-\xff][\x00-\x7f])\x0a"  # length of the message ‖ tag 0A
    rb"|[\x00\x12\x1a\x22\x2a\x3a\x80-\xff]"  # another tag, or all but the last of a length
    rb")[\x00-\x7f]"
)
"""What stands before a string: the end of its tag, and of its length.

A length reads as a letter, digit or sign from 45 on; the message around it is then longer still.
Without asking for that, all ten-byte strings (0A) would begin at their second byte as well.
"""

KEY_START = rb"[\x0a\x80-\xff][\x00-\x7f]"
"""What stands before the key of an attribute: the tag of the key and its length, whatever it is."""

MAX_STATES_BYTES = 64 * 1024 * 1024
"""What the states of a pattern, or of a set, may take: when they are full RE2 begins anew."""

BEFORE_TEXT = b"\n"
"""Put in front of a text that is searched: a byte that may stand before anything."""

WORD = rb"0-9A-Za-z"
_WORD_BYTES = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGIT_BYTES = frozenset(b"0123456789")

Fit = Callable[[bytes, int, int], int]
"""(text, start, end) of what a core matched → where it really ends; 0 if it is none."""


def as_found(_text: bytes, _start: int, end: int) -> int:
    """Take what the pattern found."""
    return end


@dataclass(frozen=True, slots=True)
class Detector:
    """One way in which something looks.

    kind: what it is, by which a policy chooses the strategy.
    core: what it looks like; where it has groups, the last one that took part is what is taken
        away, else all of it.
    gate: what is in any bytes that hold it; "" for the core itself.
    before: the characters (of a class) that may not stand in front of it.
    fit: looks closer: checksums, what may not follow.
    keys: the only attributes in whose values it is looked for; empty for everywhere.
    """

    kind: str
    core: bytes
    gate: bytes = b""
    before: bytes = b""
    fit: Fit = as_found
    keys: frozenset[str] = frozenset()

    def exact_pattern(self) -> bytes:
        """Return the pattern that finds it in a text.

        Where something may not stand before it, the match begins with the one byte that does, so
        such a text needs BEFORE_TEXT in front. Without groups RE2 is several times as fast.
        """
        if not self.before:
            return self.core
        return b"[^" + self.before + b"](?:" + self.core + b")"

    def gate_pattern(self) -> bytes:
        """Return the pattern that finds it, and more, in serialized bytes."""
        gate = b"(?:" + (self.gate or self.core) + b")"
        if not self.before:
            return gate
        return b"(?:" + STRING_START + b"|[^" + self.before + b"])" + gate


def whole_key_gate(key: str) -> bytes:
    """Return what is in serialized bytes with that very key: its length, the key, a value's tag."""
    size = len(key.encode())
    assert size < 0x80, "a longer one has a length of two bytes"
    return rb"(?:\x%02x|\x%02x\x80*\x00)%b\x12" % (size, size | 0x80, re2.escape(key.encode()))


def latin1() -> Any:
    """Return the options of RE2 for patterns of detectors."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MAX_STATES_BYTES
    options.log_errors = False
    return options


def goes_on(text: bytes, end: int) -> bool:
    """Whether a letter or digit follows."""
    return end < len(text) and text[end] in _WORD_BYTES


def number_goes_on(text: bytes, end: int) -> bool:
    """Whether what ends here is part of a longer number, version, id or word."""
    if end >= len(text):
        return False
    if text[end] in _WORD_BYTES:
        return True
    return text[end] in b"-." and end + 1 < len(text) and text[end + 1] in _DIGIT_BYTES


def digits_of(text: bytes) -> str:
    """Return the digits of a text."""
    return "".join(chr(byte) for byte in text if byte in _DIGIT_BYTES)
