"""Secrets sent by every way in: afterwards nothing that is kept anywhere holds one.

OTLP over HTTP (protobuf and JSON), over gRPC, and by a topic of a Collector; in every place of a
span, in several encodings, in spans that are refused, in rules that break by them. Looked through
are all tables of Postgres, all topics but the one they came by, the folders of checkpoints, all
logs, the export of the tenant, and the pages that show the traces.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event
from typing import Any
from uuid import uuid4

import grpc
import httpx
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from playwright.sync_api import Browser
from psycopg import sql

from deploy.embedded.stack import Stack
from tests.e2e.browser import sign_in
from tests.support import personal_data
from tests.support.kafka import free_port
from tests.support.redaction import PLACES
from udfs.payload import expand_readable

pytestmark = pytest.mark.e2e

PLANTED = 200
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Planted:
    """One secret: what it is, the texts by which it would be known, and a request that holds it."""

    kind: str
    marks: tuple[bytes, ...]
    request: ExportTraceServiceRequest
    trace_id: bytes


def planted(number: int) -> Planted:
    rng = Random(number)
    kinds = (*personal_data.MAKERS, *personal_data.IN_CONTEXT)
    kind = kinds[number % len(kinds)]
    if kind in personal_data.IN_CONTEXT:
        secret = personal_data.password(rng)
        texts = personal_data.IN_CONTEXT[kind]
        text = texts[number // len(kinds) % len(texts)].format(secret)
    else:
        secret = personal_data.MAKERS[kind](rng)
        text = rng.choice(personal_data.AROUND).format(secret)
    forms = personal_data.encodings(text)
    written = forms["plain"] if number % 2 else list(forms.values())[number // 2 % len(forms)]
    place = list(PLACES)[number % len(PLACES)]
    request = PLACES[place](written if written == text else f"({written})")
    trace_id = rng.randbytes(16)
    for span in _spans(request):
        span.trace_id, span.span_id, span.parent_span_id = trace_id, rng.randbytes(8), b""
        span.attributes.append(KeyValue(key="leak.test", value=AnyValue(bool_value=True)))
    marks = {*personal_data.encodings(secret).values(), json.dumps(secret)[1:-1]}
    return Planted(kind, tuple(mark.encode() for mark in marks), request, trace_id)


def _spans(request: ExportTraceServiceRequest) -> Iterator[Any]:
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield from of_scope.spans


@pytest.mark.xfail(run=False, reason="it does not come to its end yet, and nobody has seen why")
def test_no_secret_is_left_anywhere(stack: Stack, browser: Browser) -> None:
    env = stack.environment()
    secrets = [planted(number) for number in range(PLANTED)]
    rule_id = _save_rule(env)
    with _ingest_from_kafka(stack, env) as raw_topic:
        ways: Sequence[Callable[[ExportTraceServiceRequest], None]] = (
            lambda request: _over_http(env, request),
            lambda request: _over_http_json(env, request),
            lambda request: _over_grpc(env, request),
            lambda request: _over_kafka(env, raw_topic, request),
        )
        for number, secret in enumerate(secrets):
            ways[number % len(ways)](secret.request)
        refused = _send_what_is_refused(env, secrets)
        _wait_for_signals(env, rule_id, {secret.trace_id.hex() for secret in secrets})
    assert refused
    _note_a_secret(env, rule_id, secrets[0])
    found = {
        **_in_postgres(env, secrets),
        **_in_topics(env, secrets, past=raw_topic),
        **_in_files(stack.settings.home / "flink", secrets),
        **_in_files(stack.layout.log, secrets),
        **_in_export(env, secrets),
        **_in_pages(env, browser, secrets, rule_id),
    }
    assert {where: kinds for where, kinds in found.items() if kinds} == {}
    assert {where.split(":")[0] for where in found} >= {"table", "topic", "file", "export", "page"}


def _look(where: str, content: bytes, secrets: Sequence[Planted]) -> dict[str, list[str]]:
    """Return which kinds of secrets some bytes hold."""
    return {where: [s.kind for s in secrets if any(mark in content for mark in s.marks)]}


# -- ways in ---------------------------------------------------------------------------------------


def _headers(env: dict[str, str], kind: str) -> dict[str, str]:
    return {"x-api-key": env["BETRACE_API_KEY"], "content-type": kind}


def _over_http(env: dict[str, str], request: ExportTraceServiceRequest) -> None:
    url, headers = f"{env['BETRACE_OTLP_HTTP']}/v1/traces", _headers(env, "application/x-protobuf")
    httpx.post(url, content=request.SerializeToString(), headers=headers).raise_for_status()


def _over_http_json(env: dict[str, str], request: ExportTraceServiceRequest) -> None:
    url, headers = f"{env['BETRACE_OTLP_HTTP']}/v1/traces", _headers(env, "application/json")
    httpx.post(url, json=_as_json(request), headers=headers).raise_for_status()


def _as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Return a request as OTLP/JSON has it: ids in hex."""
    body = MessageToDict(request, use_integers_for_enums=True)
    for of_resource, source in zip(body["resourceSpans"], request.resource_spans, strict=True):
        for of_scope, from_scope in zip(of_resource["scopeSpans"], source.scope_spans, strict=True):
            for span, message in zip(of_scope["spans"], from_scope.spans, strict=True):
                span["traceId"], span["spanId"] = message.trace_id.hex(), message.span_id.hex()
                for link in span.get("links", ()):
                    link.pop("traceId", None), link.pop("spanId", None)
    return body


def _over_grpc(env: dict[str, str], request: ExportTraceServiceRequest) -> None:
    address = env["BETRACE_OTLP_GRPC"].removeprefix("http://")
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(_EXPORT)
        call(
            request.SerializeToString(),
            metadata=(("x-api-key", env["BETRACE_API_KEY"]),),
            timeout=30,
        )


def _over_kafka(env: dict[str, str], topic: str, request: ExportTraceServiceRequest) -> None:
    producer = Producer({"bootstrap.servers": env["BETRACE_KAFKA"], "log_level": 0})
    producer.produce(topic, request.SerializeToString())
    assert producer.flush(30) == 0


@contextmanager
def _ingest_from_kafka(stack: Stack, env: dict[str, str]) -> Iterator[str]:
    """Run one more ingest that reads the raw topic of the tenant; yield its name."""
    tenant = httpx.get(
        f"{env['BETRACE_URL']}/api/v1/tenant", headers={"X-API-Key": env["BETRACE_API_KEY"]}
    ).json()["id"]
    topic = f"{env['BETRACE_TOPIC_PREFIX']}.raw.{tenant}"
    admin = AdminClient({"bootstrap.servers": env["BETRACE_KAFKA"], "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    log = (stack.layout.log / "ingest-from-kafka.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.command import main; main()", "ingest", "--from-kafka"],
        env={
            **os.environ,
            **env,
            "BETRACE_OTLP_HTTP_PORT": str(free_port()),
            "BETRACE_OTLP_GRPC_PORT": str(free_port()),
            "BETRACE_METRICS_PORT": "0",
        },
        stderr=log,
    )
    try:
        yield topic
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def _send_what_is_refused(env: dict[str, str], secrets: Sequence[Planted]) -> int:
    """Send spans and bodies that become dead letters; return how many were refused."""
    refused = 0
    for number, secret in enumerate(secrets[:60]):
        request = ExportTraceServiceRequest()
        request.CopyFrom(secret.request)
        if number % 3 == 0:
            for span in _spans(request):
                span.trace_id = b"short"
            _over_http(env, request)
        elif number % 3 == 1:
            body = b"\xff\xff" + request.SerializeToString()
            headers = _headers(env, "application/x-protobuf")
            httpx.post(f"{env['BETRACE_OTLP_HTTP']}/v1/traces", content=body, headers=headers)
        else:
            text = json.dumps(_as_json(request))[:-1].encode()
            headers = _headers(env, "application/json")
            httpx.post(f"{env['BETRACE_OTLP_HTTP']}/v1/traces", content=text, headers=headers)
        refused += 1
    return refused


# -- what comes of it ------------------------------------------------------------------------------


def _save_rule(env: dict[str, str]) -> str:
    """Save a rule that every one of the traces breaks, and wait until it judges."""
    rule_id = f"leak-{uuid4().hex[:8]}"
    url, headers = f"{env['BETRACE_URL']}/api/v1/rules/{rule_id}", _api(env)
    text = 'when { any.where("leak.test") } never { any.where("leak.test" == true) }'
    body = {"name": "Leaks", "severity": "low", "rule": text, "group_by": ["name", "service"]}
    httpx.put(url, json=body, headers=headers).raise_for_status()
    _until(lambda: bool(httpx.get(url, headers=headers).json()["active_since"]), "the rule judges")
    return rule_id


def _api(env: dict[str, str]) -> dict[str, str]:
    return {"X-API-Key": env["BETRACE_API_KEY"]}


def _wait_for_signals(env: dict[str, str], rule_id: str, trace_ids: set[str]) -> None:
    """Wait until Postgres has the copy of every trace."""

    def missing() -> int:
        with psycopg.connect(env["BETRACE_DATABASE_ADMIN_URL"]) as connection:
            rows = connection.execute(
                "select encode(c.trace_id, 'hex') from trace_copies c join signals s"
                " using (tenant_id, trace_id) where s.rule_id = %s and s.trace_state = 'copied'",
                [rule_id],
            ).fetchall()
        return len(trace_ids - {row[0] for row in rows})

    _until(lambda: missing() == 0, "all traces are copied")


def _until(condition: Callable[[], bool], what: str) -> None:
    pause = Event()
    for _ in range(int(_PATIENCE_S / 0.2)):
        if condition():
            return
        pause.wait(0.2)
    pytest.fail(f"{what}: not within {_PATIENCE_S} s")


def _note_a_secret(env: dict[str, str], rule_id: str, secret: Planted) -> None:
    url, headers = f"{env['BETRACE_URL']}/api/v1/signals", _api(env)
    [signal, *_] = httpx.get(url, params={"rule_id": rule_id}, headers=headers).json()["items"]
    reason = f"Seen: {min(secret.marks, key=len).decode()}"
    httpx.patch(
        f"{url}/{signal['id']}",
        json={"status": "false_positive", "reason": reason},
        headers=headers,
    ).raise_for_status()


# -- where it is looked for ------------------------------------------------------------------------


def _in_postgres(env: dict[str, str], secrets: Sequence[Planted]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with psycopg.connect(env["BETRACE_DATABASE_ADMIN_URL"]) as connection:
        tables = connection.execute(
            "select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace"
            " and c.relkind in ('r', 'p') order by 1"
        ).fetchall()
        for (table,) in tables:
            query = sql.SQL("select row_to_json(t)::text, t::text from {} t")
            rows = connection.execute(query.format(sql.Identifier(table))).fetchall()
            text = "\n".join(part for row in rows for part in row).encode()
            # bytea is shown in hex
            raw = b"".join(_bytes_of(connection, table))
            found |= _look(f"table: {table}", text + raw, secrets)
    return found


def _bytes_of(connection: psycopg.Connection[Any], table: str) -> Iterator[bytes]:
    columns = connection.execute(
        "select column_name from information_schema.columns where table_schema = 'public'"
        " and table_name = %s and data_type = 'bytea'",
        [table],
    ).fetchall()
    for (column,) in columns:
        query = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier(table))
        for (value,) in connection.execute(query):
            yield value or b""


def _in_topics(
    env: dict[str, str], secrets: Sequence[Planted], *, past: str
) -> dict[str, list[str]]:
    consumer = Consumer(
        {
            "bootstrap.servers": env["BETRACE_KAFKA"],
            "group.id": "leaks",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    found: dict[str, list[str]] = {}
    try:
        topics = consumer.list_topics(timeout=30).topics
        for topic, about in topics.items():
            if topic == past:
                continue
            consumer.assign([TopicPartition(topic, number, 0) for number in about.partitions])
            ended: set[int] = set()
            content: list[bytes] = []
            # Heartbeats go on coming, so a partition ends more than once.
            while len(ended) < len(about.partitions):
                for message in consumer.consume(500, 5):
                    if message.error() is not None:
                        ended.add(message.partition())
                        continue
                    value = message.value() or b""
                    content += [value, expand_readable(value), message.key() or b""]
                    content += [part for _, part in message.headers() or () if part]
            found |= _look(f"topic: {topic}", b"\0".join(content), secrets)
    finally:
        consumer.close()
    return found


def _in_files(folder: Path, secrets: Sequence[Planted]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found |= _look(f"file: {path.relative_to(folder.parent)}", path.read_bytes(), secrets)
    return found


def _in_export(env: dict[str, str], secrets: Sequence[Planted]) -> dict[str, list[str]]:
    url = f"{env['BETRACE_URL']}/api/v1/tenant/export"
    archive = httpx.get(url, headers=_api(env), timeout=120).raise_for_status().content
    found: dict[str, list[str]] = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        for name in files.namelist():
            found |= _look(f"export: {name}", files.read(name), secrets)
    return found


def _in_pages(
    env: dict[str, str], browser: Browser, secrets: Sequence[Planted], rule_id: str
) -> dict[str, list[str]]:
    """Look at lists, and at some signals and traces, as a person does."""
    url = env["BETRACE_URL"]
    items = httpx.get(
        f"{url}/api/v1/signals", params={"rule_id": rule_id, "limit": 20}, headers=_api(env)
    ).json()["items"]
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, url, email=env["BETRACE_LOGIN"], password=env["BETRACE_PASSWORD"])
    found: dict[str, list[str]] = {}
    for path in (
        f"/signals?rule_id={rule_id}",
        "/traces",
        "/dead-letters",
        "/notices",
        "/audit",
        "/settings/redaction",
        *(f"/signals/{item['id']}" for item in items[:8]),
        *(f"/traces/{secret.trace_id.hex()}" for secret in secrets[:16]),
    ):
        page.goto(url + path)
        found |= _look(f"page: {path}", page.content().encode(), secrets)
    context.close()
    return found
