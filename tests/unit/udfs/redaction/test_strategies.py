"""What stands in place of a value, and what still holds for it."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import dsl
from tests.support.redaction import (
    KEY,
    OTHER_KEY,
    a_span,
    attribute_after,
    redactor,
    request,
    string,
)
from udfs.otlp import decode_spans
from udfs.redaction import kinds
from udfs.redaction.policy import Policy
from udfs.redaction.strategies import Strategy, generalize, mask
from udfs.redaction.tokens import NotOurs, RedactionKey, Tokens

MAIL = "ada@example.com"


def by(strategy: Strategy, kind: str = kinds.EMAIL) -> Policy:
    return Policy(strategies={kind: strategy})


@pytest.mark.parametrize(
    ("strategy", "after"),
    [
        (Strategy.REMOVE, "[REDACTED]"),
        (Strategy.MASK, "a***@e***.com"),
        (Strategy.HASH, "hash:k1:0b755510001d158959876eb1ad9082cd"),
        (Strategy.GENERALIZE, "*@example.com"),
        (Strategy.ALLOW, MAIL),
    ],
)
def test_what_a_strategy_makes_of_a_mail_address(strategy: Strategy, after: str) -> None:
    assert redactor(by(strategy)).text(f"to {MAIL}!") == f"to {after}!"


@pytest.mark.parametrize(
    ("kind", "clear", "after"),
    [
        (kinds.PAYMENT_CARD, "4111 1111 1111 1234", "**** **** **** 1234"),
        (kinds.PHONE, "+1 (415) 555-0123", "+* (***) ***-0123"),
        (kinds.PERSON_NAME, "Ada King", "A** K***"),
        (kinds.PASSWORD, "hunter2", "****"),
        (kinds.POSTAL_ADDRESS, "Elm St", "*** **"),
        (kinds.EMAIL, "ada", "****"),
    ],
)
def test_a_mask_keeps_shape_and_little_else(kind: str, clear: str, after: str) -> None:
    assert mask(kind, clear) == after
    assert mask(kind, after) == after


@pytest.mark.parametrize(
    ("kind", "clear", "after"),
    [
        (kinds.IP_ADDRESS, "8.8.4.4", "8.8.4.0/24"),
        (kinds.IP_ADDRESS, "2001:4860:4860::8888", "2001:4860:4860::/48"),
        (kinds.BIRTH_DATE, "12.05.1985", "1985"),
        (kinds.LOCATION, "48.8583", "48"),
        (kinds.PERSON_NAME, "Ada", "[person_name]"),
        (kinds.CHOSEN, "1234", "1000"),
        ("custom.badge", "EMP-1", "[REDACTED]"),
    ],
)
def test_what_is_general_about_a_value(kind: str, clear: str, after: str) -> None:
    assert generalize(kind, clear) == after
    assert generalize(kind, after) == after


def test_hashes_are_of_the_key_and_the_value_and_of_nothing_else() -> None:
    ours, theirs = redactor(), redactor(key=OTHER_KEY)
    assert ours.text(MAIL) == redactor().text(MAIL) == ours.attribute("user.email", MAIL)
    assert ours.text(MAIL) != theirs.text(MAIL)
    assert ours.text(MAIL) != ours.text("eve@example.com")


class RecordingVault:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def keep(self, token: str, sealed: str) -> None:
        self.kept[token] = sealed


def test_a_vault_knows_what_a_token_stands_for() -> None:
    vault = RecordingVault()
    token = redactor(by(Strategy.TOKENIZE), vault=vault).text(MAIL)
    assert Tokens(KEY).decrypted(vault.kept[token]) == MAIL.encode()


def test_what_is_encrypted_is_the_same_each_time_and_opens_with_the_key_alone() -> None:
    sealing = redactor(by(Strategy.ENCRYPT))
    assert sealing.text(MAIL) == sealing.text(MAIL)
    assert Tokens(KEY).decrypted(sealing.text(MAIL)) == MAIL.encode()
    with pytest.raises(NotOurs):
        Tokens(OTHER_KEY).decrypted(sealing.text(MAIL))
    with pytest.raises(NotOurs):
        Tokens(KEY).decrypted(sealing.text(MAIL)[:-2] + "zz")
    with pytest.raises(NotOurs):
        Tokens(RedactionKey("k2", KEY.secret)).decrypted(sealing.text(MAIL))


def test_a_key_tells_nothing_of_itself_and_has_its_size() -> None:
    assert repr(KEY) == "RedactionKey(id='k1')"
    with pytest.raises(ValueError, match="32 bytes"):
        RedactionKey("k1", b"short")
    with pytest.raises(ValueError, match="letters"):
        RedactionKey("k 1", bytes(32))


class FullVault:
    def keep(self, token: str, sealed: str) -> None:
        raise OSError("no space left")


def test_what_fails_is_removed_and_counted() -> None:
    failing = redactor(by(Strategy.TOKENIZE), vault=FullVault())
    sent = request(a_span(name=f"mail {MAIL}", trace_state="a=1"))
    value, counts = failing.record(sent.SerializeToString())
    (span,) = decode_spans(value)
    assert span.name == "mail [REDACTED]"
    assert (counts.failures, counts.by_kind) == (1, {kinds.EMAIL: 1})


def test_numbers_go_where_their_name_tells_and_stay_elsewhere() -> None:
    number = AnyValue(int_value=4111111111111111)
    assert attribute_after("card.number", number).string_value.startswith("tok:k1:")
    assert attribute_after("order.number", number) == number
    assert attribute_after("user.latitude", AnyValue(double_value=48.85)).double_value == 48.0
    assert attribute_after("email", AnyValue(bool_value=True)).bool_value is True
    bucket = redactor(Policy(keys={"amount": Strategy.GENERALIZE}))
    assert attribute_after("amount", AnyValue(int_value=1234), bucket).int_value == 1000
    assert attribute_after("amount", AnyValue(double_value=-0.37), bucket).double_value == -0.3


LOGINS = """
when   { login as l }
always { audit.where(user.email == l.user.email) after l }
never  { transfer.where(to.email == l.user.email) after l }
"""


def span(name: str, start: int, **attributes: str) -> Span:
    made = a_span(name=name, attributes=[])
    made.name = name
    made.span_id = start.to_bytes(8, "big")
    made.parent_span_id = b"" if start == 1 else (1).to_bytes(8, "big")
    made.start_time_unix_nano = start * 1_000
    for key, value in attributes.items():
        made.attributes.add(key=key.replace("__", "."), value=string(value))
    return made


@pytest.mark.parametrize("strategy", [Strategy.HASH, Strategy.TOKENIZE, Strategy.ENCRYPT])
@pytest.mark.parametrize("audited", [MAIL, "eve@example.com"])
@pytest.mark.parametrize("paid_to", [MAIL, "bob@example.com"])
def test_a_rule_that_joins_judges_the_same_on_redacted_spans(
    strategy: Strategy, audited: str, paid_to: str
) -> None:
    assert strategy.keeps_equality
    raw = request(
        span("login", 1, user__email=MAIL),
        span("audit", 2, user__email=audited),
        span("transfer", 3, to__email=paid_to),
    ).SerializeToString()
    value, counts = redactor(by(strategy)).record(raw)
    checked = dsl.check(LOGINS)
    assert checked.rule is not None
    before = dsl.judge_spans(checked.rule, decode_spans(raw))
    after = dsl.judge_spans(checked.rule, decode_spans(value))
    assert counts.by_kind == {kinds.EMAIL: 3}
    assert after.verdict == before.verdict
    expected = "satisfied" if audited == MAIL != paid_to else "violated"
    assert str(before.verdict.value) == expected


def test_a_literal_of_a_rule_is_compared_with_what_its_attribute_became() -> None:
    ours = redactor()
    value = attribute_after("user.email", MAIL, ours).string_value
    checked = dsl.check(
        f'when {{ any.where(user.email == "{ours.attribute("user.email", MAIL)}") }} '
        "never { any }"
    )
    assert checked.rule is not None
    spans = decode_spans(request(span("login", 1, user__email=value)).SerializeToString())
    assert str(dsl.judge_spans(checked.rule, spans).verdict.value) == "violated"
