"""Secrets planted in spans, every form by which one would be known again, and the search for them.

Each span also carries a canary, which nothing takes out: where canaries are found, a secret would
have been found.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import quote, quote_plus

import re2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support import personal_data
from tests.support.redaction import PLACES, strings_of
from udfs.redaction import kinds
from udfs.redaction.detectors import latin1

_LETTERS: Final = string.ascii_letters + string.digits
WAYS: Final = ("http", "json", "grpc", "kafka")
"""OTLP/HTTP with protobuf and with JSON, OTLP/gRPC, a topic that a Collector writes to."""
CANARY_KEY: Final = "leak.canary"
_PLAIN: Final = 0.4
_STRIDE: Final = 16
_LEAST_BYTES: Final = 7
"""Of a form: shorter ones are found by chance."""
_FRAGMENT: Final = 16
_RE2_BYTES: Final = 1 << 28


@dataclass(frozen=True)
class Planted:
    """One secret in one request of one span.

    way: by which it is sent. text: in which it stands, as people write it. place: of the span.
    """

    number: int
    kind: str
    secret: str
    text: str
    place: str
    way: str
    canary: str
    trace_id: bytes
    request: ExportTraceServiceRequest

    def __str__(self) -> str:
        return f"{self.number}: {self.kind} in {self.place} over {self.way}"


def planted(number: int, *, run: str, at_ns: int) -> Planted:
    """Make the secret of a number: its kind, its place, how it is written, and its way go round.

    run: tells canaries and traces of one run from those of others. at_ns: when the span began: one
    of long ago would come too late to be judged.
    """
    rng = Random(number)
    every_kind = (*personal_data.MAKERS, *personal_data.IN_CONTEXT)
    kind = every_kind[number % len(every_kind)]
    if kind in personal_data.IN_CONTEXT:
        secret = personal_data.password(rng)
        contexts = personal_data.IN_CONTEXT[kind]
        text = contexts[number // len(every_kind) % len(contexts)].format(secret)
    else:
        secret = personal_data.MAKERS[kind](rng)
        text = rng.choice(personal_data.AROUND).format(secret)
    encoded = rng.choice(list(personal_data.encodings(text).values()))
    written = text if rng.random() < _PLAIN else f"({encoded})"
    # Each kind comes to another place every time it comes round.
    place = list(PLACES)[(number + _STRIDE * (number // len(every_kind))) % len(PLACES)]
    way = rng.choice(WAYS)
    canary = _canary(number, run=run)
    request = PLACES[place](written)
    trace_id = Random(f"{run} {number}").randbytes(16)
    for span in spans_of(request):
        span.trace_id, span.span_id, span.parent_span_id = trace_id, rng.randbytes(8), b""
        span.start_time_unix_nano, span.end_time_unix_nano = at_ns, at_ns + 1_000_000
        span.name = f"{span.name} {canary}"
        span.attributes.extend([_text("leak.way", way), _text(CANARY_KEY, canary)])
        if says_compliance(number):
            span.attributes.extend(_compliance(written, canary))
    return Planted(number, kind, secret, text, place, way, canary, trace_id, request)


def _canary(number: int, *, run: str) -> str:
    """Return a text that has nothing in common with others, which compression would take out.

    Of many letters: texts of sixteen digits share strings of four with whatever is near.
    """
    letters = Random(f"canary {run} {number}").choices(_LETTERS, k=16)
    return f"c{''.join(letters)}"


def says_compliance(number: int) -> bool:
    """Whether the span of a number is evidence as well, with the secret in what it says."""
    return number % 5 == 0


def _compliance(text: str, canary: str) -> list[KeyValue]:
    said = {"framework": "soc2", "control": "CC6.1", "evidence_type": "access", "outcome": "ok"}
    said |= {"seen": text, "canary": canary, f"of {text}": "1"}
    return [_text(f"betrace.compliance.{name}", value) for name, value in said.items()]


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield the spans of a request."""
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield from of_scope.spans


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


# -- forms -----------------------------------------------------------------------------------------


def forms(one: Planted) -> set[bytes]:
    """Return the bytes by which a secret, or a part of it that is as bad, would be known."""
    return {form for part in _parts(one.kind, one.secret) for form in _forms(part)}


def _parts(kind: str, secret: str) -> Iterator[str]:
    yield secret
    match kind:
        case kinds.JWT:
            yield from secret.split(".")[1:]
        case kinds.PRIVATE_KEY:
            yield from secret.splitlines()[1:-1]
        case kinds.API_KEY:
            yield secret[-_FRAGMENT:]


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw
    in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
    texts = {
        in_json,
        json.dumps(in_json, ensure_ascii=False)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        "".join(f"%{byte:02x}" for byte in raw),
        "".join(f"\\u{ord(c):04x}" if not c.isalnum() else c for c in secret),
        raw.hex(),
    }
    for within in _within_base64(raw):
        texts |= {within, within.translate(_URL_SAFE), quote(within, safe="")}
    yield from (text.encode() for text in texts if len(text) >= _LEAST_BYTES)


_URL_SAFE: Final = str.maketrans("+/", "-_")


def _within_base64(raw: bytes) -> Iterator[str]:
    """Yield what is in base64 of any bytes with these in them, wherever they begin."""
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        yield encoded[skipped : (before + len(raw)) * 8 // 6]


# -- search ----------------------------------------------------------------------------------------


def _any_of(texts: set[bytes]) -> Any:
    """Return a pattern that finds any of some thousands of texts in one pass."""
    options = latin1()
    options.max_mem = _RE2_BYTES
    return re2.compile(b"|".join(map(re2.escape, sorted(texts))), options=options)


class Search:
    """Looks for all secrets at once."""

    def __init__(self, secrets: Sequence[Planted]) -> None:
        self._forms = [(one, forms(one)) for one in secrets]
        self._secret = _any_of({form for _, of_one in self._forms for form in of_one})
        self._numbers = {one.canary.encode(): one.number for one in secrets}
        self._canary = _any_of(set(self._numbers))

    def secrets_in(self, content: bytes) -> list[str]:
        """Return which secrets some bytes hold."""
        if self._secret.search(content) is None:
            return []
        return [str(one) for one, of_one in self._forms if any(form in content for form in of_one)]

    def canaries_in(self, content: bytes) -> set[int]:
        """Return the numbers of the canaries that some bytes hold."""
        return {self._numbers[canary] for canary in self._canary.findall(content)}

    def is_planted(self, one: Planted) -> bool:
        """Whether a secret is found in what is sent."""
        return str(one) in self.secrets_in(b"\0".join(strings_of(one.request)))
