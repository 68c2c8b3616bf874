"""Keys within texts tell what they would tell as keys of attributes."""

from __future__ import annotations

import pytest

from tests.support.redaction import PLACES, redacted, redactor, strings_of
from udfs.redaction import kinds
from udfs.redaction.policy import Policy
from udfs.redaction.strategies import Strategy

REDACTOR = redactor()


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{"first_name":"Ada","n":1}', '{"first_name":"A**","n":1}'),
        ('{"a": {"billingStreet" : "12 Elm"}}', '{"a": {"billingStreet" : "[REDACTED]"}}'),
        ('body {\\"lastName\\":\\"King\\"}', 'body {\\"lastName\\":\\"K***\\"}'),
        ("{'address': '12 Elm St'}", "{'address': '[REDACTED]'}"),
        ('{"ssn": 123456789}', '{"ssn": [REDACTED]}'),
        ('{"lat": 48.85, "latitude": 48.85}', '{"lat": 48.85, "latitude": 48}'),
        ("GET /x?lastName=King&page=2", "GET /x?lastName=K***&page=2"),
        ('a=1 dob=1985-04-12 city="New York" n=3', 'a=1 dob=1985 city="[REDACTED]" n=3'),
        ("x=https://h/?access_token=abc&y", "x=https://h/?access_token=[REDACTED]&y"),
        ("user[phone]=030&user[tier]=gold", "user[phone]=***&user[tier]=gold"),
        ('{"email.sent": true, "phone": null}', '{"email.sent": true, "phone": null}'),
        ("GET /x?api_key=REDACTED&sig=***", "GET /x?api_key=REDACTED&sig=***"),
        ('{"first_name": "Redacted", "ssn": "****"}', '{"first_name": "Redacted", "ssn": "****"}'),
        ('{"queue.name":"orders","capacity":"7"}', '{"queue.name":"orders","capacity":"7"}'),
    ],
)
def test_a_member_goes_by_what_its_key_tells(text: str, after: str) -> None:
    assert REDACTOR.text(text) == after
    assert REDACTOR.text(after) == after


@pytest.mark.parametrize("place", PLACES)
def test_members_are_found_in_every_place(place: str) -> None:
    for text in ('{"first_name":"Adalina"}', "x?surname=Adalina", "{'address' : 'Adalina'}"):
        assert not any(b"Adalina" in t for t in strings_of(redacted(PLACES[place](text), REDACTOR)))


def test_kinds_that_are_allowed_stay_in_texts_too() -> None:
    ours = redactor(Policy(strategies={kinds.PERSON_NAME: Strategy.ALLOW}))
    assert ours.text('{"first_name":"Ada"}') == '{"first_name":"Ada"}'
