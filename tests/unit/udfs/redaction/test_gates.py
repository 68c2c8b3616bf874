"""The scan over serialized bytes: what it takes for the beginning of a string."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.redaction import PLACES, redacted, redactor, strings_of
from udfs.redaction.detectors import STRING_TAGS
from udfs.redaction.tokens import RedactionKey

IDS = {"trace_id", "span_id", "parent_span_id"}
CARD = "4111111111111111"


def text_fields(message: Descriptor, seen: set[str] | None = None) -> Iterator[FieldDescriptor]:
    seen = set() if seen is None else seen
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type is not None:
            yield from text_fields(field.message_type, seen)
        elif field.type in (field.TYPE_STRING, field.TYPE_BYTES) and field.name not in IDS:
            yield field


def test_the_tags_of_all_texts_of_the_schema_are_known() -> None:
    tags = {field.number << 3 | 2 for field in text_fields(ExportTraceServiceRequest.DESCRIPTOR)}
    assert tags == set(STRING_TAGS)


@pytest.mark.parametrize("place", PLACES)
def test_a_length_that_reads_as_a_letter_or_digit_hides_nothing(place: str) -> None:
    ours = redactor()
    for size in (*range(len(CARD), 131), 200, 16_000, 16_500):
        text = CARD.ljust(size)
        after = redacted(PLACES[place](text), ours)
        assert not any(CARD.encode() in found for found in strings_of(after)), size


def test_a_record_with_nothing_in_it_is_passed_on_as_the_same_object() -> None:
    for place in PLACES.values():
        raw = place("nothing of anybody").SerializeToString()
        value, counts = redactor().record(raw)
        assert value is raw
        assert counts.total == counts.spans == 0


def test_equal_records_of_two_tenants_have_nothing_in_common_that_was_taken() -> None:
    raw = PLACES["attribute"]("ada@example.com").SerializeToString()
    ours, _ = redactor().record(raw)
    theirs, _ = redactor(key=RedactionKey("k1", bytes(32))).record(raw)
    assert ours != theirs


def test_fields_that_no_schema_names_go_with_what_was_found_beside_them() -> None:
    sent = PLACES["span name"]("ada@example.com").resource_spans[0].scope_spans[0].spans[0]
    unknown = b"\xfa\x07\x0fada@example.com"  # field 127
    span = sent.SerializeToString() + unknown
    scope = b"\x12" + bytes((len(span),)) + span
    value, counts = redactor().record(
        b"\x0a" + bytes((len(scope) + 2,)) + b"\x12" + bytes((len(scope),)) + scope
    )
    assert b"ada@" not in value
    assert counts.unknown_fields == 1
    assert ExportTraceServiceRequest.FromString(value).resource_spans[0].scope_spans[0].spans
