"""Members: what is kept of a span for rules that look at spans one by one.

`match` makes them, `correlate` keeps the very same bytes, and takes them apart when it judges.
Everything is little-endian:

    8s  span id, u32 identity, u64 start ns        together: which span it is
    8s  parent id, u64 end ns
    u16 length, service (UTF-8)
    u16 predicates, each: u32 number, u8 certain   that it fulfils, or might
    captured values to the end, each: u64 hash of the capture's text, value (udfs.kept_values)

Captures go by the hash of their text, so that what was matched under one version of a rule is
understood under any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from google.protobuf.message import DecodeError

import dsl
from dsl.captures import Capture
from dsl.structure import Kept, KeptSpan
from udfs.kept_values import pack_value, unpack_value

MAX_VALUES_BYTES = 16_384
"""Of the captured values of one span. Over it the rest counts as gone, the trace as truncated."""
MAX_NAME_BYTES = 1_024

_SPAN = Struct("<8sIQ8sQ")
_KEY_BYTES = 20
_ANSWER = Struct("<IB")
_U16 = Struct("<H")
_U64 = Struct("<Q")


class Packed(NamedTuple):
    """A packed member. whole: no value had to be left out.

    failed: the first error met in reading a value, by number of the predicates that want it.
    """

    content: bytes
    whole: bool
    failed: Mapping[int, str]


class MemberFact(NamedTuple):
    """A member, taken apart. answers: (number of a predicate, whether it certainly holds)."""

    span: KeptSpan
    answers: Sequence[tuple[int, bool]]


def pack_member(
    span: dsl.SpanView, answers: Mapping[int, bool], captures: Mapping[int, Iterable[Capture]]
) -> Packed:
    """Pack what rules may ask of a span.

    answers: by number of the predicates that it fulfils (True) or might (False). captures: by
    number of every predicate, what is read off its spans. A value that cannot be read because of
    an error of ours is unknown. Raises DecodeError if the span itself cannot be read.
    """
    identity = crc32(f"{span.kind} {span.name}".encode(errors="replace"))
    service = span.service.encode()[:MAX_NAME_BYTES]
    head = _SPAN.pack(span.span_id, identity, span.start_ns, span.parent_span_id, span.end_ns)
    parts = [head, _U16.pack(len(service)), service, _U16.pack(len(answers))]
    parts += (_ANSWER.pack(number, certain) for number, certain in answers.items())
    wanted = {capture.hash: capture for number in answers for capture in captures[number]}
    errors: dict[int, str] = {}
    room = MAX_VALUES_BYTES
    for name, capture in wanted.items():
        value = _read(capture, span, errors)
        room -= len(value)
        parts += (_U64.pack(name), value if room >= 0 else pack_value(capture.unknown))
    failed = _asking(errors, answers, captures) if errors else {}
    return Packed(b"".join(parts), room >= 0, failed)


def _read(capture: Capture, span: dsl.SpanView, errors: dict[int, str]) -> bytes:
    """Return a captured value as bytes; what stands for it, and the error noted, if one is met."""
    try:
        return pack_value(capture.read(span))
    except DecodeError:
        raise
    except Exception as error:  # noqa: BLE001
        # The rim of a capture, as of a predicate: a bug in one must not cost others the record.
        errors[capture.hash] = f"{capture.canonical}: {type(error).__name__}: {error}"
        return pack_value(capture.unknown)


def _asking(
    errors: Mapping[int, str], answers: Iterable[int], captures: Mapping[int, Iterable[Capture]]
) -> dict[int, str]:
    """Return the first error of each predicate that wants a value which could not be read."""
    failed: dict[int, str] = {}
    for number in answers:
        for capture in captures[number]:
            if capture.hash in errors:
                failed.setdefault(number, errors[capture.hash])
    return failed


def key_of(member: bytes) -> bytes:
    """Return which span a packed member is: id, identity and start."""
    return member[:_KEY_BYTES]


def unpack_member(member: bytes, *, arrived_ns: int) -> MemberFact:
    """Take a member apart. arrived_ns: when the span was taken in, by event time."""
    span_id, identity, start_ns, parent_id, end_ns = _SPAN.unpack_from(member)
    at = _SPAN.size
    end = at + 2 + _U16.unpack_from(member, at)[0]
    service = member[at + 2 : end].decode(errors="replace")
    (count,) = _U16.unpack_from(member, end)
    at = end + 2 + count * _ANSWER.size
    answers = [
        (number, bool(certain)) for number, certain in _ANSWER.iter_unpack(member[end + 2 : at])
    ]
    span = KeptSpan(
        span_id=span_id,
        identity=identity,
        parent_id=parent_id,
        start_ns=start_ns,
        end_ns=end_ns,
        service=service,
        arrived_ns=arrived_ns,
        values=_unpack_values(member, at),
    )
    return MemberFact(span, answers)


def _unpack_values(member: bytes, at: int) -> dict[int, Kept]:
    values = {}
    while at < len(member):
        (name,) = _U64.unpack_from(member, at)
        values[name], at = unpack_value(member, at + _U64.size)
    return values
