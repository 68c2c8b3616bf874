"""Records: one form, and everything else is refused. Payloads apart. Customers' own spans."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl import Verdict
from tests.support.evidence import CONTROL, RULE, TENANT, a_log, verdict
from udfs.evidence.canonical import MAX_INT, Json, canonical_plain
from udfs.evidence.commitments import Payload, commit
from udfs.evidence.compliance import Compliance, control_name, read_compliance
from udfs.evidence.malformed import Malformed
from udfs.evidence.record_codec import MAX_RECORD_BYTES, decode_record, encode_record
from udfs.evidence.records import (
    Act,
    Body,
    ComplianceSpan,
    Coverage,
    KeyChange,
    KeyEvent,
    Outcome,
    Record,
    RuleRef,
    RuleVerdict,
)

counts = st.integers(0, MAX_INT)
texts = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
labels = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
rules = st.builds(RuleRef, names, counts, st.binary(min_size=32, max_size=32).map(bytes.hex))
hex16 = st.binary(min_size=16, max_size=16).map(bytes.hex)
sorted_labels = st.lists(labels, max_size=4, unique=True).map(sorted).map(tuple)

bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        ComplianceSpan,
        texts,
        texts,
        st.sampled_from(Outcome),
        texts,
        hex16,
        st.binary(min_size=8, max_size=8).map(bytes.hex),
    ),
    st.builds(
        RuleVerdict,
        rules,
        st.sampled_from(Verdict),
        hex16,
        counts,
        st.just("") | hex16,
        st.booleans(),
        sorted_labels,
    ),
    st.builds(
        lambda rule, from_ms, length_ms, counted, begins, ends: Coverage(
            rule, from_ms, from_ms + length_ms, sum(counted[:3]), *counted, begins, ends
        ),
        rules,
        st.integers(0, 2**52),
        st.integers(1, 2**40),
        st.lists(st.integers(0, 2**50), min_size=5, max_size=5),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Act, names, texts, texts, st.sampled_from(Outcome)),
    st.builds(KeyChange, st.sampled_from(KeyEvent), names, texts, counts, texts),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw a record of any kind."""
    body = draw(bodies)
    controls, time_ms = draw(sorted_labels), draw(counts)
    if isinstance(body, Coverage):
        controls, time_ms = (CONTROL,), body.from_ms
    return Record(
        seq=draw(counts),
        tenant=TENANT,
        id=draw(names),
        time_ms=time_ms,
        controls=controls,
        body=body,
        policy=draw(counts),
        commitment=draw(st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex)),
    )


@given(records())
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_the_bytes_of_a_record_never_change() -> None:
    record = Record(7, TENANT, "id-7", 1_795_000_000_000, (CONTROL,), verdict(7), policy=2)
    assert encode_record(record).decode() == (
        '{"body":{"incomplete":false,"reasons":[],"revision":7,'
        f'"rule":{{"id":"pii-needs-audit","sha256":"{RULE.sha256}","version":3}},'
        '"signal":"00000000000000000000000000000007","trace_id":"00000000000000000000000000000007",'
        '"verdict":"violated"},"commitment":"","controls":["soc2.CC7.2"],"id":"id-7",'
        '"kind":"verdict","policy":2,"schema":"betrace.compliance/1","seq":7,'
        f'"tenant":"{TENANT}","time_ms":1795000000000}}'
    )


def _changed(**changes: Any) -> bytes:
    record = json.loads(encode_record(a_log().records[2]))
    for path, value in changes.items():
        target, *rest = path.split("__")
        if rest:
            record[target] = record[target] | {rest[0]: value}
        else:
            record[target] = value
    return canonical_plain(record)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": "betrace.compliance/2"}, "the schema is not betrace.compliance/1"),
        ({"more": 1}, "exactly body, commitment, controls"),
        ({"seq": -1}, "seq: a whole number"),
        ({"seq": True}, "seq: a whole number"),
        ({"seq": "2"}, "seq: a whole number"),
        ({"tenant": TENANT.upper()}, "tenant: UUID was expected"),
        ({"kind": "signal"}, "one of span, verdict"),
        ({"kind": "act"}, "the body of a act"),
        ({"commitment": "00"}, "commitment: SHA-256 in hex"),
        ({"controls": ["b", "a"]}, "controls: the texts are not sorted"),
        ({"controls": ["a", "a"]}, "controls: the texts are not sorted"),
        ({"controls": ["a b"]}, "controls: 1 to 100 printable"),
        ({"id": ""}, "id: it is empty"),
        ({"id": "x" * 1_001}, "id: a text of at most"),
        ({"body__verdict": "guilty"}, "verdict: one of violated"),
        ({"body__rule": {"id": "a"}}, "rule: a rule has exactly"),
        ({"body__trace_id": "0" * 31}, "trace_id: 32 hex digits"),
        ({"body__incomplete": 0}, "incomplete: true or false"),
        ({"body__reasons": "late"}, "reasons: a list"),
        ({"body__user": "ada"}, "the body of a verdict has exactly"),
    ],
)
def test_what_is_no_record_is_refused(changes: dict[str, Any], says: str) -> None:
    refused = decode_record(_changed(**changes))
    assert isinstance(refused, Malformed)
    assert says in str(refused)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"policy":0', '"policy": 0'),
        ('"policy":0', '"policy":0.0'),
        ('"policy":0', '"policy":0,"policy":0'),
        ('"policy":0', '"policy":9007199254740992'),
        ('"id":"', '"id":"\\u0030'),
        ("}", "} "),
        ("{", "[" * 20_000),
    ],
)
def test_another_spelling_of_a_record_is_refused(old: str, new: str) -> None:
    line = encode_record(a_log().records[2]).decode()
    assert isinstance(decode_record(line.replace(old, new, 1).encode()), Malformed)


def test_bytes_that_are_no_text_and_endless_ones_are_refused() -> None:
    assert isinstance(decode_record(b"\xff"), Malformed)
    assert isinstance(decode_record(b" " * (MAX_RECORD_BYTES + 1)), Malformed)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": -1},
        {"controls": ("b", "a")},
        {"time_ms": MAX_INT + 1},
        {"id": "\ud800"},
        {"body": replace(verdict(1), signal="xyz")},
        {"body": Coverage(RULE, 0, 1, *[0] * 6), "time_ms": 0},
        {"body": Coverage(RULE, 0, 1, *[0] * 6), "controls": (CONTROL,)},
        {"body": Coverage(RULE, 5, 5, *[0] * 6), "controls": (CONTROL,), "time_ms": 5},
        {"body": Coverage(RULE, 0, 1, 1, 1, 1, 0, 0, 0), "controls": (CONTROL,), "time_ms": 0},
        {"body": replace(verdict(1), reasons=tuple(f"{n:0100}" for n in range(100)))}
        | {"controls": tuple(f"{n:0100}" for n in range(100))},
    ],
)
def test_what_would_not_be_read_is_not_written(changes: dict[str, Any]) -> None:
    record = replace(a_log().records[2], **{"controls": ()} | changes)
    with pytest.raises(
        ValueError, match=r"was expected|are the most|surrogates|of one control|not sorted|coverage"
    ):
        encode_record(record)


# payloads


def test_a_commitment_needs_salt_and_payload() -> None:
    payload = commit({"user": "ada@example.com", "ratio": 0.1}, salt=b"s" * 32)
    assert payload.text == '{"ratio":0.1,"user":"ada@example.com"}'
    others = [Payload(payload.text, b"t" * 32), Payload(payload.text + " ", payload.salt)]
    assert payload.commitment not in {other.commitment for other in others}
    assert payload == commit({"ratio": 0.1, "user": "ada@example.com"}, salt=b"s" * 32)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a salt has 32 bytes, not 16"):
        commit({}, salt=b"s" * 16)


# customers' own spans


@pytest.mark.parametrize(
    "attributes",
    [
        {"betrace.compliance.framework": "soc2", "betrace.compliance.control": "CC6.1"},
        {"compliance.framework": "SOC2", "compliance.control": "CC6_1"},
        {"betrace.compliance.framework": "SOC 2", "compliance.control": " CC6.1 "},
        {"compliance.framework": "soc-2", "compliance.controls": ["CC6.1", "CC6_1"]},
    ],
)
def test_a_control_has_one_name_however_it_is_spelled(attributes: dict[str, Json]) -> None:
    read = read_compliance(attributes)
    assert isinstance(read, Compliance)
    assert read.controls == ("soc2.CC6.1",)


def test_the_longer_prefix_wins_and_the_rest_is_personal() -> None:
    read = read_compliance(
        {
            "betrace.compliance.framework": "hipaa",
            "compliance.framework": "soc2",
            "compliance.control": ["164.312(b)", "164.312(a)"],
            "compliance.evidence.type": "audit_trail",
            "compliance.operation": "read",
            "compliance.status": "PASS",
            "compliance.user": "ada@example.com",
            "http.route": "/patients",
        }
    )
    assert read == Compliance(
        controls=("hipaa.164.312(a)", "hipaa.164.312(b)"),
        evidence_type="audit_trail",
        operation="read",
        outcome=Outcome.SUCCESS,
        personal={"user": "ada@example.com"},
    )


def test_a_span_without_compliance_is_none_and_half_of_it_is_malformed() -> None:
    assert read_compliance({"http.route": "/patients", "compliances.framework": "x"}) is None
    assert isinstance(read_compliance({"compliance.framework": "soc2"}), Malformed)
    assert isinstance(read_compliance({"compliance.control": "CC6.1"}), Malformed)
    assert isinstance(
        read_compliance({"compliance.framework": 1, "compliance.control": 2}), Malformed
    )


@pytest.mark.parametrize(
    ("spelled", "name"),
    [("CC6_1", "CC6.1"), ("164.312(a)", "164.312(a)"), ("AU_2", "AU_2"), ("A.5.1", "A.5.1")],
)
def test_controls_are_spelled_as_catalogues_spell_them(spelled: str, name: str) -> None:
    assert control_name(spelled) == name
