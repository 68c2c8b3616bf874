"""Dry runs and suggestions: what would happen, shown without showing anything."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.redaction import a_span, redactor, request, string
from udfs.payload import compress
from udfs.redaction import kinds
from udfs.redaction.policy import CustomDetector, Policy
from udfs.redaction.preview import Found, preview
from udfs.redaction.strategies import Strategy
from udfs.redaction.suggestions import Because, Suggestion, suggest

MAILS = [f"ada{number}@example.com" for number in range(8)]
RECORDS = [
    compress(
        request(
            a_span(
                name="GET /x",
                attributes=[
                    KeyValue(key="app.to", value=string(mail)),
                    KeyValue(key="user.password", value=string("hunter2")),
                    KeyValue(key="order.tier", value=string("gold")),
                    KeyValue(key="customerId", value=string(f"C-{number}")),
                    KeyValue(key="applicant.age", value=AnyValue(int_value=40 + number)),
                    KeyValue(key="messaging.destination.name", value=string("orders")),
                ],
            )
        ).SerializeToString()
    )
    for number, mail in enumerate(MAILS)
]


def test_a_preview_counts_what_would_go_and_shows_it_masked() -> None:
    shown = preview(Policy(version=3, keys={"order.tier": Strategy.HASH}), RECORDS)
    assert shown.counts.policy_version == 3
    assert shown.by_kind == {kinds.EMAIL: 8, kinds.PASSWORD: 8, kinds.CHOSEN: 8}
    assert set(shown.rows) == {
        Found(kinds.EMAIL, "app.to", 8, Strategy.HASH, ("a***@e***.com",)),
        Found(kinds.PASSWORD, "user.password", 8, Strategy.REMOVE, ("****",)),
        Found(kinds.CHOSEN, "order.tier", 8, Strategy.HASH, ("****",)),
    }


def test_a_preview_counts_what_the_redactor_does() -> None:
    policy = Policy(custom=(CustomDetector("tier", "gold", Strategy.REMOVE),))
    total = redactor(policy).record(b"")[1]
    for record in RECORDS:
        total += redactor(policy).record(record)[1]
    assert preview(policy, RECORDS).counts == total


def test_a_key_that_holds_something_is_not_shown() -> None:
    sent = request(a_span(attributes=[KeyValue(key="of eve@example.com", value=string(MAILS[0]))]))
    (row, key_row) = preview(Policy(), [sent.SerializeToString()]).rows
    assert row.path.startswith("of hash:")
    assert key_row.path == "span.key"


def test_keys_are_suggested_for_their_names_and_for_their_values() -> None:
    mail = "a***@e***.com"
    assert suggest(Policy(), RECORDS) == (
        Suggestion("app.to", Because.OF_ITS_VALUES, Strategy.HASH, 8, 8, kinds.EMAIL, mail),
        Suggestion("applicant.age", Because.OF_ITS_NAME, Strategy.GENERALIZE, 8, 0, "", "**"),
        Suggestion("customerId", Because.OF_ITS_NAME, Strategy.HASH, 8, 0, "", "*-*"),
    )


def test_what_the_policy_names_is_not_suggested() -> None:
    policy = Policy(keys=dict.fromkeys(("app.to", "applicant.age", "customerId"), Strategy.ALLOW))
    assert suggest(policy, RECORDS) == ()
    assert suggest(Policy(), [b"no record", compress(b"x" * 600)]) == ()
