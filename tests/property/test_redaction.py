"""Laws of redaction, on messages made of secrets, of what looks so, and of anything else.

The scan over raw bytes is a shortcut: whatever it lets pass, looking at every string finds nothing
in. Redacting twice changes nothing. Any bytes give bytes.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support import personal_data
from tests.support.redaction import KEY, PLACES, a_map, a_span, array, redactor, request
from udfs.redaction.keys import PHRASES
from udfs.redaction.policy import AllowList, CustomDetector, Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.searching import GateFailed
from udfs.redaction.strategies import Strategy

CUSTOM = Policy(
    custom=(
        CustomDetector("badge", r"(?:^|\b)EMP-\d{4}\b", Strategy.HASH),
        CustomDetector("ending", r"[^a-z]ßx*$", Strategy.MASK),
    ),
    keys={"customer.tier": Strategy.HASH, "debug.*": Strategy.REMOVE, "app.raw": Strategy.ALLOW},
)
LISTED = Policy(allow_list=AllowList(("app.*", "http.route"), Strategy.HASH))
POLICIES = (
    Policy(),
    CUSTOM,
    LISTED,
    *(Policy(strategies=dict.fromkeys(personal_data.MAKERS, s)) for s in Strategy),
)
REDACTORS = [redactor(policy) for policy in POLICIES]


class _Unknowing:
    """Gates that can tell nothing, so that every string is looked at by every detector."""

    def matching(self, _raw: bytes) -> Sequence[int]:
        raise GateFailed("of a test")


def ungated(policy: Policy) -> Redactor:
    """Return a redactor that looks at every string, without any scan before it."""
    made = Redactor(policy, KEY)
    made._scanner._own = _Unknowing()  # type: ignore[assignment]
    return made


UNGATED = [ungated(policy) for policy in POLICIES]


@st.composite
def secrets(draw: st.DrawFn) -> str:
    rng = Random(draw(st.integers(0, 10_000)))
    kind = draw(st.sampled_from(sorted((*personal_data.MAKERS, *personal_data.IN_CONTEXT))))
    if kind in personal_data.IN_CONTEXT:
        secret = personal_data.password(rng)
        text = draw(st.sampled_from(personal_data.IN_CONTEXT[kind])).format(secret)
    else:
        text = personal_data.MAKERS[kind](rng)
    forms = ["plain", "plain", "plain", "percent", "base64", "JSON escapes"]
    written = draw(st.sampled_from(forms))
    return personal_data.encodings(text)[written]


@st.composite
def members(draw: st.DrawFn) -> str:
    json, escaped = '{{"{}":"{}"}}', '\\"{}\\" : \\"{}\\"'
    form = draw(st.sampled_from([json, escaped, "{}={}&", "{{'{}': '{}'}}"]))
    return form.format(draw(keys()), draw(st.sampled_from(["Ada King", "12", "x y", "é"])))


PIECES = st.one_of(
    secrets(),
    st.deferred(members),
    st.builds(lambda seed: personal_data.look_alikes(Random(seed))[seed % 30], st.integers(0, 300)),
    st.text(max_size=12),
    st.text(string.digits + " -.+", max_size=20),
    st.sampled_from(["'", '"', "EMP-1234", "ß", "Aßx", " ", "/", ":", "=", "%", "@", "hash:k1:"]),
    st.builds(lambda c, n: c * n, st.sampled_from("a1 .Z"), st.integers(0, 90)),
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)


@st.composite
def keys(draw: st.DrawFn) -> str:
    """Keys as people write them: words with any sign between, in any case."""
    phrase = draw(st.sampled_from(PHRASES)).phrase
    words = [w for w in "".join(c if c.isalpha() else " " for c in phrase).split() if len(w) > 1]
    words = [*draw(st.lists(st.sampled_from(["app", "user", "x", "db"]), max_size=2)), *words]
    sign = draw(st.sampled_from([".", "_", "-", "", " "]))
    style = draw(st.sampled_from(["lower", "upper", "camel"]))
    if style == "camel":
        return "".join(word.capitalize() if at else word for at, word in enumerate(words))
    key = sign.join(words) + draw(st.sampled_from(["", "", sign]))
    return key.upper() if style == "upper" else key


KEYS = st.one_of(
    keys(),
    st.sampled_from(
        [
            *("db.query.text", "db.statement", "url.path", "http.route", "service.version"),
            *("customer.tier", "debug.a", "debug", "app.raw", "enduser.id", "name", "user"),
            *("db.query.parameter.0", "user.name", "a" * 50, "ssn" + "x" * 60),
        ]
    ),
    st.text(max_size=60),
    TEXTS,
)
VALUES = st.recursive(
    st.one_of(
        TEXTS.map(lambda text: AnyValue(string_value=text)),
        TEXTS.map(lambda text: AnyValue(bytes_value=b"\xff" + text.encode())),
        st.integers(-(2**63), 2**63 - 1).map(lambda n: AnyValue(int_value=n)),
        st.floats().map(lambda n: AnyValue(double_value=n)),
        st.booleans().map(lambda b: AnyValue(bool_value=b)),
        st.just(AnyValue()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: array(*values)),
        st.dictionaries(KEYS, inner, max_size=2).map(lambda entries: a_map(**entries)),
    ),
    max_leaves=4,
)
ATTRIBUTES = st.lists(
    st.builds(lambda key, value: KeyValue(key=key, value=value), KEYS, VALUES), max_size=3
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    sent = request(
        a_span(
            name=draw(TEXTS),
            trace_state=draw(TEXTS),
            attributes=draw(ATTRIBUTES),
            status=Status(code=2, message=draw(TEXTS)),
            events=[Span.Event(time_unix_nano=1, name=draw(TEXTS), attributes=draw(ATTRIBUTES))],
        )
    )
    sent.MergeFrom(PLACES[draw(st.sampled_from(sorted(PLACES)))](draw(TEXTS)))
    return sent


@given(requests(), st.integers(0, len(POLICIES) - 1))
def test_what_the_scan_over_raw_bytes_lets_pass_holds_nothing(
    sent: ExportTraceServiceRequest, policy: int
) -> None:
    raw = sent.SerializeToString()
    by_scan, counts = REDACTORS[policy].record(raw)
    by_looking, expected = UNGATED[policy].record(raw)
    assert by_scan == by_looking
    assert counts == expected


@given(requests(), st.integers(0, len(POLICIES) - 1))
def test_redacting_twice_changes_nothing(sent: ExportTraceServiceRequest, policy: int) -> None:
    once, _ = REDACTORS[policy].record(sent.SerializeToString())
    twice, counts = REDACTORS[policy].record(once)
    assert twice is once
    assert counts.total == 0


@given(TEXTS, st.integers(0, len(POLICIES) - 1))
def test_redacting_a_text_twice_changes_nothing(text: str, policy: int) -> None:
    once = REDACTORS[policy].text(text)
    assert REDACTORS[policy].text(once) == once


@given(st.binary(max_size=300))
def test_any_bytes_give_bytes(raw: bytes) -> None:
    value, counts = REDACTORS[0].record(raw)
    assert value == raw or counts.total or counts.unreadable or counts.unknown_fields


@given(st.binary(max_size=300), st.integers(0, 300))
def test_damaged_records_give_no_secret(noise: bytes, at: int) -> None:
    sent = PLACES["attribute"]("ada@example.com").SerializeToString()
    value, _ = REDACTORS[0].record(sent[:at] + noise + sent[at:])
    assert b"ada@example.com" not in value
