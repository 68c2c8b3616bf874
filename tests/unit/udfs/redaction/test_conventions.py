"""OpenTelemetry's own attributes: what they say passes whole, but for what is somebody's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv._incubating import attributes as incubating

from tests.support.redaction import a_span, redactor, request
from udfs.otlp import key_values
from udfs.redaction.counts import Counts
from udfs.redaction.policy import Policy
from udfs.redaction.rulings import Rulings

REDACTOR = redactor()
RULINGS = Rulings(Policy())

MEANT_TO_GO = {
    "aws.iam.access_key.id",
    "enduser.id",
    "geo.location.lat",
    "geo.location.lon",
    "geo.postal_code",
    "user.email",
    "user.full_name",
    "user.name",
}
"""What the conventions themselves call personal (decision 0042)."""


def registry() -> Iterator[str]:
    """Yield the keys of all attributes that the conventions name."""
    for package in (stable, incubating):
        for file in sorted(Path(next(iter(package.__path__))).glob("*_attributes.py")):
            module = import_module(f"{package.__name__}.{file.stem}")
            yield from (
                value
                for name, value in vars(module).items()
                if name.isupper() and "." in str(value)
            )


KEYS = sorted(set(registry()))


def test_the_registry_is_there() -> None:
    assert len(KEYS) > 500
    assert {"http.request.method", "db.query.text", "client.address"} <= set(KEYS)


def test_no_name_of_the_conventions_is_taken_for_personal_but_those_that_are() -> None:
    told = {key for key in KEYS if RULINGS.of(key, path=key).whole is not None}
    assert told == MEANT_TO_GO & set(KEYS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("http.request.method", "GET"),
        ("http.response.status_code", "404"),
        ("http.route", "/users/{id}/orders"),
        ("url.path", "/orders/4512345678901234/items/17"),
        ("url.path", "/v1/accounts/8829304410/statements/2026-11"),
        ("url.full", "https://shop.example/orders/99887766?page=2&sort=desc&utm_source=mail"),
        ("url.query", "page=2&limit=100&cursor=17642529831234"),
        ("service.version", "1.2.3.4"),
        ("telemetry.sdk.version", "8.8.8.8"),
        ("app.version", "101.22.33.44"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0 Safari/537.36"),
        ("user_agent.original", "curl/8.8.8.8 20.30.40.50"),
        ("server.address", "93.184.216.34"),
        ("host.ip", "93.184.216.34"),
        ("network.peer.address", "10.1.2.3"),
        ("client.address", "10.1.2.3"),
        ("client.address", "/var/run/shop.sock"),
        ("trace_id", "41111111111111111111111111111111"),
        ("span_id", "4111111111111111"),
        ("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09"),
        ("container.id", "4111111111111111"),
        ("db.query.text", "SELECT id, total FROM orders WHERE id = $1 AND state = ?"),
        ("db.namespace", "customers"),
        ("db.collection.name", "credit_cards"),
        ("db.system.name", "postgresql"),
        ("messaging.destination.name", "user.email.changed"),
        ("messaging.message.id", "4111111111111111"),
        ("messaging.kafka.offset", "4111111111111111"),
        ("rpc.method", "example.AuthService/RefreshToken"),
        ("code.function.name", "com.example.Password.reset"),
        ("exception.type", "java.lang.ClassNotFoundException"),
        ("error.type", "timeout"),
        ("feature_flag.key", "new-address-form"),
        ("gen_ai.token.type", "input"),
        ("gen_ai.usage.input_tokens", "180"),
        ("k8s.pod.name", "shop-7d9c5bf6f4-8xk2p"),
        ("aws.secretsmanager.secret.arn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"),
        ("cloud.account.id", "411111111111"),
        (
            "tls.server.hash.sha256",
            "0687F666A054EF17A08E2F2162EAB4CBC0D265E1D7875BE74BF3C712CA92DAF0",
        ),
        ("http.request.body.size", "3495"),
        ("session.id", "00112233-4455-6677-8899-aabbccddeeff"),
        ("user.id", "u198"),
        ("user.roles", "admin"),
    ],
)
def test_what_agents_send_passes_whole(key: str, value: str) -> None:
    assert REDACTOR.attribute(key, value) == value


@pytest.mark.parametrize(
    ("key", "value", "after"),
    [
        ("client.address", "8.8.4.4", "8.8.4.0/24"),
        ("client.address", "2001:4860:4860::8888", "2001:4860:4860::/48"),
        ("network.peer.address", "145.12.13.14", "145.12.13.0/24"),
        ("url.full", "https://ada:pw1234@shop.example/x", "https://[REDACTED]@shop.example/x"),
        ("url.full", "https://a.example/?sig=abc&p=1", "https://a.example/?sig=[REDACTED]&p=1"),
        ("url.query", "X-Amz-Signature=a1b2&x=1", "X-Amz-Signature=[REDACTED]&x=1"),
        ("db.query.text", "update t set b = 'Ada', n = 3", "update t set b = ?, n = 3"),
        ("db.statement", "insert into t values ('it''s', '')", "insert into t values (??, ?)"),
        ("process.command_line", "app --password=hunter2 -p 8", "app --password=[REDACTED] -p 8"),
        ("http.request.header.authorization", "Basic YWRhOnB3", "[REDACTED]"),
    ],
)  # fmt: skip
def test_what_is_somebodys_goes_and_the_rest_stays(key: str, value: str, after: str) -> None:
    assert REDACTOR.attribute(key, value) == after


def test_a_record_with_every_attribute_of_the_conventions_goes_on_as_it_came() -> None:
    spans = [
        a_span(attributes=key_values(dict.fromkeys((k for k in KEYS if k not in MEANT_TO_GO), v)))
        for v in ("main", 3, True, 0.5, ["a", "b"])
    ]
    record = request(*spans, resource=Resource(attributes=spans[0].attributes)).SerializeToString()
    after, counts = REDACTOR.record(record)
    assert after is record
    assert counts == Counts(policy_version=0)


def test_ids_of_the_user_are_hashed_where_the_conventions_call_them_so() -> None:
    assert REDACTOR.attribute("enduser.id", "ada").startswith("hash:k1:")
    assert REDACTOR.attribute("user.name", "ada") == REDACTOR.attribute("enduser.id", "ada")


def test_hex_ids_are_no_cards_and_no_phones() -> None:
    rng = Random(7)
    for _ in range(2_000):
        value = rng.randbytes(16).hex()
        assert REDACTOR.attribute("app.correlation", value) == value


def test_without_the_conventions_only_names_and_looks_count() -> None:
    plain = redactor(Policy(conventions=False))
    assert plain.attribute("service.version", "101.22.33.44") == "101.22.33.0/24"
    assert plain.attribute("enduser.id", "ada") == "ada"
