"""Secrets of all kinds, in every place of a span and in many encodings: none is left."""

from __future__ import annotations

from random import Random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support import personal_data
from tests.support.redaction import PLACES, redacted, redactor, strings_of
from udfs.payload import compress, expand

PLANTED = 220
REDACTOR = redactor()


def planted(number: int) -> tuple[str, str, str]:
    """Return (kind, secret, text that holds it) of one secret, by its number."""
    rng = Random(number)
    kinds = (*personal_data.MAKERS, *personal_data.IN_CONTEXT)
    kind = kinds[number % len(kinds)]
    if kind in personal_data.IN_CONTEXT:
        secret = personal_data.password(rng)
        contexts = personal_data.IN_CONTEXT[kind]
        return kind, secret, contexts[number // len(kinds) % len(contexts)].format(secret)
    secret = personal_data.MAKERS[kind](rng)
    return kind, secret, rng.choice(personal_data.AROUND).format(secret)


def remains(secret: str, message: ExportTraceServiceRequest) -> list[str]:
    """Return the forms of a secret that are still in some string of a message."""
    texts = list(strings_of(message))
    forms = personal_data.encodings(secret)
    return [name for name, form in forms.items() if any(form.encode() in text for text in texts)]


@pytest.mark.parametrize("place", PLACES)
def test_no_planted_secret_is_left_in(place: str) -> None:
    for number in range(PLANTED):
        kind, secret, text = planted(number)
        sent = PLACES[place](text)
        assert remains(secret, sent), "it was planted"
        assert not remains(secret, redacted(sent, REDACTOR)), (kind, text)


@pytest.mark.parametrize("encoding", personal_data.encodings("x"))
def test_no_planted_secret_is_left_when_written_as(encoding: str) -> None:
    for number in range(PLANTED):
        kind, secret, text = planted(number)
        hidden = personal_data.encodings(text)[encoding]
        place = list(PLACES)[number % len(PLACES)]
        after = redacted(PLACES[place](f"({hidden})"), REDACTOR)
        texts = list(strings_of(after))
        assert not any(hidden.encode() in found for found in texts), (kind, place, hidden)
        assert not remains(secret, after), (kind, place, hidden)


def test_secrets_under_names_that_tell_are_taken_whatever_they_look_like() -> None:
    telling = (
        "password",
        "db.password",
        "userPassword",
        "http.request.header.authorization",
        "http.request.header.cookie",
        "http.response.header.set-cookie",
        "aws_secret_access_key",
        "X-Api-Key",
        "refreshToken",
        "customer.ssn",
        "employeeSSN",
        "patient.first_name",
        "billing.street",
        "shipping-address",
        "card.number",
        "user.email",
        "enduser.id",
        "db.query.parameter.0",
    )
    for key in telling:
        assert "plain words" not in REDACTOR.attribute(key, "plain words"), key


def test_a_record_as_a_frame_is_opened_redacted_and_closed() -> None:
    sent = PLACES["attribute"]("ada@example.com " + "x" * 600).SerializeToString()
    value, counts = REDACTOR.record(compress(sent))
    assert b"ada@example.com" not in expand(value)
    assert value != expand(value)
    assert counts.by_kind == {"email": 1}


def test_what_does_not_decode_is_not_kept() -> None:
    broken = PLACES["attribute"]("ada@example.com").SerializeToString() + b"\x0a\xff"
    assert REDACTOR.record(broken)[0] == b""
    assert REDACTOR.record(b"\x28\xb5\x2f\xfd broken frame")[0] == b""
    assert REDACTOR.opaque(broken) == b"[REDACTED]"
    assert REDACTOR.opaque(b"\x0a\x00nothing personal") == b"\x0a\x00nothing personal"
