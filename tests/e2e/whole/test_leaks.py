"""Secrets sent by every way in: afterwards nothing that is kept or shown anywhere holds one.

OTLP over HTTP (protobuf and JSON), over gRPC, and by a topic of a Collector; in every place of a
span, in several encodings, in spans that are refused, in compliance spans, in rules that break by
them, in what people write. Looked through are all tables of Postgres, all topics but the one they
came by, the state of the job, all logs and other files, every answer of the REST API, every page,
and the archives, packs and tables that can be taken along. Canaries tell that a place was read.
"""

from __future__ import annotations

import html
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import grpc
import httpx
import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from playwright.sync_api import Browser
from psycopg import sql

from api.auth.access import route_access
from api.main import create_app
from api.settings import Settings
from deploy.embedded.flink_rest import FlinkRest
from deploy.embedded.stack import Stack
from tests.e2e.browser import sign_in
from tests.support.kafka import free_port
from tests.support.planted import WAYS, Planted, Search, planted, says_compliance, spans_of
from udfs.payload import expand_readable

pytestmark = pytest.mark.e2e

PLANTED: Final = 200
REFUSED: Final = 60
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_PATIENCE_S: Final = 300.0
_QUIET_S: Final = 1.0
"""So long nothing comes on a stream, and it is taken for told."""
_SHOWN: Final = 12
"""Signals, traces and letters whose own pages are looked at."""
_ALL: Final = set(range(PLANTED))

KEPT_WHOLE: Final = {
    "table: public.trace_spans": _ALL,
    "table: public.signals": _ALL,
    "table: public.evidence_payloads": {n for n in _ALL if says_compliance(n)},
    "topic: spans": _ALL,
    "topic: evidence": {n for n in _ALL if says_compliance(n)},
    "topic: signals": _ALL,
    "state: savepoint": _ALL,
    "export: tenant": _ALL,
    "export: pack": {n for n in _ALL if says_compliance(n)},
}
"""Where every canary is found, as nothing is left out there."""
SHOWN: Final = ("rest", "stream", "page", "browser", "file: flink")
"""Where some canary is found. In checkpoints it is one in four: RocksDB compresses its files, so
that of what resembles something before only the difference is written."""


@dataclass
class Findings:
    """What was found where. leaks: place → secrets. canaries: place → numbers.

    unread: answers that were refused, so that nothing was looked at.
    """

    search: Search
    leaks: dict[str, list[str]] = field(default_factory=dict)
    canaries: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    unread: list[str] = field(default_factory=list)

    def look(self, where: str, content: bytes) -> None:
        """Look through some bytes. where: `kind: place`, perhaps with more behind another colon."""
        if found := self.search.secrets_in(content):
            self.leaks[where] = found
        kind, _, place = where.partition(": ")
        numbers = self.search.canaries_in(content)
        self.canaries[kind] |= numbers
        self.canaries[f"{kind}: {place.partition(':')[0]}"] |= numbers


@dataclass(frozen=True)
class Site:
    """The stack as its users reach it. api: with a key; person: with a session."""

    env: Mapping[str, str]
    api: httpx.Client
    person: httpx.Client
    tenant: str

    @classmethod
    @contextmanager
    def of(cls, env: Mapping[str, str]) -> Iterator[Site]:
        """Sign in."""
        url, key = env["BETRACE_URL"], {"X-API-Key": env["BETRACE_API_KEY"]}
        with (
            httpx.Client(base_url=url, headers=key, timeout=60) as api,
            httpx.Client(base_url=url, timeout=60) as person,
        ):
            login = {"email": env["BETRACE_LOGIN"], "password": env["BETRACE_PASSWORD"]}
            person.post("/api/v1/session", json=login).raise_for_status()
            yield cls(env, api, person, api.get("/api/v1/tenant").json()["id"])

    def count(self, query: str, *values: object) -> int:
        """Return the one number that a query of the database's owner gives."""
        with psycopg.connect(self.env["BETRACE_DATABASE_ADMIN_URL"]) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return int(row[0])


def test_no_secret_is_left_anywhere(stack: Stack, browser: Browser, tmp_path: Path) -> None:
    run = uuid4().hex[:8]
    secrets = [planted(number, run=run, at_ns=time.time_ns()) for number in range(PLANTED)]
    found = Findings(Search(secrets))
    assert [str(one) for one in secrets if not found.search.is_planted(one)] == []
    with Site.of(stack.environment()) as site:
        begun = datetime.now(UTC)
        rules = _save_rules(site, run, secrets)
        place = _place_of_the_feed(site)
        with _ingest_from_kafka(stack, site) as raw_topic:
            _send(site, raw_topic, secrets)
            _wait_for_copies(site, rules, secrets)
            refused = _send_what_is_refused(site, raw_topic, secrets)
            _wait_for_letters(site, refused, since=begun)
        _wait_for_evidence(site, secrets)
        _keep_the_state(stack, plain=tmp_path)
        _look_at_state(tmp_path, found)
        _look_at_files(stack, found)
        _write_down(site, rules, secrets)
        backtest_id = _backtest(site, rules, since=begun)
        _look_at_tables(site, found)
        _look_at_topics(site, found, past=raw_topic)
        _look_at_files(stack, found)
        ids = _ids_of(site, rules, secrets, backtest_id=backtest_id)
        _look_at_answers(site, found, ids, place=place)
        _look_at_exports(site, found)
        _look_at_metrics(stack, found)
        _look_in_the_browser(site, browser, found, ids)
        for rule_id in rules:
            site.api.delete(f"/api/v1/rules/{rule_id}").raise_for_status()
    assert (found.leaks, found.unread) == ({}, [])
    assert {where: whole - found.canaries[where] for where, whole in KEPT_WHOLE.items()} == {
        where: set() for where in KEPT_WHOLE
    }
    assert [where for where in SHOWN if not found.canaries[where]] == []


def _until(condition: Callable[[], bool], what: str) -> None:
    pause = Event()
    for _ in range(int(_PATIENCE_S / 0.2)):
        if condition():
            return
        pause.wait(0.2)
    pytest.fail(f"{what}: not within {_PATIENCE_S} s")


# -- ways in ---------------------------------------------------------------------------------------


def _send(site: Site, raw_topic: str, secrets: Sequence[Planted]) -> None:
    with _ways(site, raw_topic) as ways:
        for one in secrets:
            ways[one.way](one.request)


@contextmanager
def _ways(
    site: Site, raw_topic: str
) -> Iterator[dict[str, Callable[[ExportTraceServiceRequest], None]]]:
    """Yield what sends a request by each way; a refusal fails."""
    key = site.env["BETRACE_API_KEY"]
    producer = Producer({"bootstrap.servers": site.env["BETRACE_KAFKA"], "log_level": 0})
    with (
        httpx.Client(
            base_url=site.env["BETRACE_OTLP_HTTP"], headers={"X-API-Key": key}, timeout=60
        ) as http,
        grpc.insecure_channel(site.env["BETRACE_OTLP_GRPC"].removeprefix("http://")) as channel,
    ):
        call = channel.unary_unary(_EXPORT)

        def over_grpc(request: ExportTraceServiceRequest) -> None:
            call(request.SerializeToString(), metadata=(("x-api-key", key),), timeout=30)

        yield {
            "http": lambda request: _post(http, request.SerializeToString()),
            "json": lambda request: _post(http, json.dumps(_as_json(request)).encode(), "json"),
            "grpc": over_grpc,
            "kafka": lambda request: producer.produce(raw_topic, request.SerializeToString()),
        }
        assert producer.flush(30) == 0


def _post(http: httpx.Client, body: bytes, kind: str = "x-protobuf", *, status: int = 200) -> None:
    answer = http.post("/v1/traces", content=body, headers={"content-type": f"application/{kind}"})
    assert answer.status_code == status, answer.text


def _as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Return a request as OTLP/JSON has it: ids in hex."""
    body: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for of_resource, source in zip(body["resourceSpans"], request.resource_spans, strict=True):
        for of_scope, from_scope in zip(of_resource["scopeSpans"], source.scope_spans, strict=True):
            for span, message in zip(of_scope["spans"], from_scope.spans, strict=True):
                span["traceId"], span["spanId"] = message.trace_id.hex(), message.span_id.hex()
    return body


@contextmanager
def _ingest_from_kafka(stack: Stack, site: Site) -> Iterator[str]:
    """Run one more ingest that reads the raw topic of the tenant; yield the topic's name."""
    topic = f"{site.env['BETRACE_TOPIC_PREFIX']}.raw.{site.tenant}"
    admin = AdminClient({"bootstrap.servers": site.env["BETRACE_KAFKA"], "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    with (stack.layout.log / "ingest-from-kafka.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from api.command import main; main()",
                "ingest",
                "--from-kafka",
            ],
            env={
                **os.environ,
                **site.env,
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


def _send_what_is_refused(site: Site, raw_topic: str, secrets: Sequence[Planted]) -> int:
    """Send spans and bodies that become dead letters; return how many were refused."""
    headers = {"X-API-Key": site.env["BETRACE_API_KEY"]}
    broken: dict[str, Callable[[ExportTraceServiceRequest], None]] = {}
    with (
        _ways(site, raw_topic) as ways,
        httpx.Client(base_url=site.env["BETRACE_OTLP_HTTP"], headers=headers, timeout=60) as http,
    ):
        producer = Producer({"bootstrap.servers": site.env["BETRACE_KAFKA"], "log_level": 0})
        broken["http"] = lambda request: _post(
            http, b"\xff\xff" + request.SerializeToString(), status=400
        )
        broken["json"] = lambda request: _post(
            http, json.dumps(_as_json(request))[:-1].encode(), "json", status=400
        )
        broken["kafka"] = lambda request: producer.produce(
            raw_topic, b"\xff\xff" + request.SerializeToString()
        )
        for number, one in enumerate(secrets[:REFUSED]):
            request = ExportTraceServiceRequest()
            request.CopyFrom(one.request)
            way = WAYS[number % len(WAYS)]
            if number // len(WAYS) % 2 and way in broken:
                broken[way](request)
                continue
            for span in spans_of(request):
                span.trace_id = b"short"
            ways[way](request)
        assert producer.flush(30) == 0
    return REFUSED


# -- what comes of it ------------------------------------------------------------------------------


def _save_rules(site: Site, run: str, secrets: Sequence[Planted]) -> list[str]:
    """Save a rule for each way, which all of its traces break, and wait until they judge.

    What they compare is kept in the state of the job until a trace is forgotten.
    """
    rules = [f"leak-{run}-{way}" for way in WAYS]
    for rule_id, way, one in zip(rules, WAYS, secrets, strict=False):
        body = {
            "name": f"Leaks over {way}",
            "severity": "low",
            "controls": ["soc2.CC6.1"],
            "group_by": ["service", "name", "app.note", "leak.canary"],
            "rule": f'when {{ any.where("leak.way" == {way}) as q }} never {{ any.where('
            "leak.canary == q.leak.canary or app.note == q.app.note or name == q.name"
            " or status_message == q.status_message) }",
            "tests": [
                {
                    "name": "a trace that somebody pasted",
                    "trace": [{"name": "a", "attributes": {"app.note": one.text}}],
                    "expect": "not_applicable",
                }
            ],
        }
        site.api.put(f"/api/v1/rules/{rule_id}", json=body).raise_for_status()

    def judge() -> bool:
        answers = (site.api.get(f"/api/v1/rules/{rule_id}").json() for rule_id in rules)
        return all(answer["active_since"] for answer in answers)

    _until(judge, "the rules judge")
    return rules


def _wait_for_copies(site: Site, rules: Sequence[str], secrets: Sequence[Planted]) -> None:
    """Wait until Postgres has the copy of every trace, with its explanation."""
    ids = [one.trace_id for one in secrets]
    _until(
        lambda: (
            site.count(
                "select count(distinct s.trace_id) from trace_copies c join signals s"
                " using (tenant_id, trace_id) where s.rule_id = any(%s) and s.trace_id = any(%s)"
                " and s.trace_state = 'copied'",
                list(rules),
                ids,
            )
            == len(ids)
        ),
        "all traces are copied",
    )


def _wait_for_letters(site: Site, count: int, *, since: datetime) -> None:
    query = "select count(*) from dead_letters where source = 'ingest' and at >= %s"
    _until(lambda: site.count(query, since) >= count, "all that was refused is kept")


def _wait_for_evidence(site: Site, secrets: Sequence[Planted]) -> None:
    """Wait until every compliance span is sealed under a checkpoint."""
    ids = [one.trace_id.hex() for one in secrets if says_compliance(one.number)]
    _until(
        lambda: (
            site.count(
                "select count(*) from evidence_records r where kind = 'span'"
                " and split_part(id, '/', 1) = any(%s) and exists (select from"
                " evidence_checkpoints c where c.tenant_id = r.tenant_id and c.size > r.seq)",
                ids,
            )
            == len(ids)
        ),
        "all compliance spans are sealed",
    )


def _keep_the_state(stack: Stack, *, plain: Path) -> None:
    """Have the whole state of the job written down, with all that is in memory.

    Once as checkpoints are, and once, in a folder of its own, key by key and not compressed.
    """
    flink = stack.settings.flink
    job = next(job for job in FlinkRest(flink).jobs() if job.running)
    path = f"{flink}/jobs/{job.id}"
    savepoint = {"target-directory": plain.as_uri(), "formatType": "CANONICAL"}
    _write_state(f"{path}/checkpoints", {"checkpointType": "FULL"})
    _write_state(f"{path}/savepoints", {**savepoint, "cancel-job": False})


def _write_state(path: str, order: dict[str, object]) -> None:
    trigger = httpx.post(path, json=order).raise_for_status().json()["request-id"]

    def written() -> bool:
        answer = httpx.get(f"{path}/{trigger}").raise_for_status().json()
        assert "failureCause" not in (answer["operation"] or {}), answer
        return bool(answer["status"]["id"] == "COMPLETED")

    _until(written, f"{path} is complete")


def _write_down(site: Site, rules: Sequence[str], secrets: Sequence[Planted]) -> None:
    """Write and ask as people do, with secrets in it."""
    items = _signals(site, rules[0])
    for one, signal in zip(secrets, items, strict=False):
        path = f"/api/v1/signals/{signal['id']}"
        reason = {"status": "investigating", "reason": f"Seen: {one.text}"}
        site.api.patch(path, json=reason).raise_for_status()
        site.api.post(f"{path}/notes", json={"text": f"It was {one.text}"}).raise_for_status()
    letters = site.api.get("/api/v1/dead-letters", params={"limit": _SHOWN}).json()["items"]
    for one, letter in zip(secrets[_SHOWN:], letters, strict=False):
        path = f"/api/v1/dead-letters/{letter['id']}"
        site.api.post(f"{path}/replay")
        site.api.post(f"{path}/discard", json={"note": f"Is of {one.text}"})
    for one in secrets[:_SHOWN]:
        site.api.get("/api/v1/signals", params={"rule_id": one.secret})
        site.person.get("/traces", params={"q": one.secret})
        site.api.get(f"/api/v1/rules/{quote(one.secret, safe='')}")
        site.api.post("/api/v1/rules/validate", json={"rule": one.text})


def _signals(site: Site, rule_id: str) -> list[dict[str, Any]]:
    answer = site.api.get("/api/v1/signals", params={"rule_id": rule_id, "limit": _SHOWN})
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return items


def _backtest(site: Site, rules: Sequence[str], *, since: datetime) -> str:
    """Run the rules once more over what was sent; return the id of the backtest."""
    order = {"rules": [{"id": rule_id} for rule_id in rules], "from": since.isoformat()}
    answer = site.api.post("/api/v1/backtests", json=order).raise_for_status().json()

    def over() -> bool:
        return bool(site.api.get(f"/api/v1/backtests/{answer['id']}").json()["finished_at"])

    _until(over, "the backtest is over")
    return str(answer["id"])


def _place_of_the_feed(site: Site) -> str:
    """Return from where the stream of signals tells all that comes."""
    xact = site.count("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return f"{xact}-0-{int(datetime.now(UTC).timestamp())}"


# -- where it is looked for ------------------------------------------------------------------------


def _look_at_tables(site: Site, found: Findings) -> None:
    """Look through every column of every table, as it is behind its compression and its quotes."""
    with psycopg.connect(site.env["BETRACE_DATABASE_ADMIN_URL"]) as connection:
        tables = connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid ="
            " c.relnamespace where c.relkind in ('r', 'p', 'm') and not c.relispartition"
            " and c.relpersistence <> 't'"
            " and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2"
        ).fetchall()
        for name in tables:
            query = sql.SQL("copy (select * from {}) to stdout (format binary)")
            with connection.cursor().copy(query.format(sql.Identifier(*name))) as copy:
                fields = [value for row in copy.rows() for value in row if value]
            opened = (expand_readable(value) for value in fields)
            found.look(f"table: {'.'.join(name)}", b"\0".join([*fields, *opened]))


def _look_at_topics(site: Site, found: Findings, *, past: str) -> None:
    """Look through every topic but one, up to where it ends now."""
    settings = {
        "bootstrap.servers": site.env["BETRACE_KAFKA"],
        "group.id": "leaks",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    try:
        topics = consumer.list_topics(timeout=30).topics
        prefix = f"{site.env['BETRACE_TOPIC_PREFIX']}."
        for topic, about in topics.items():
            if topic != past:
                content = b"\0".join(_records(consumer, topic, about.partitions))
                found.look(f"topic: {topic.removeprefix(prefix)}", content)
    finally:
        consumer.close()


def _records(consumer: Consumer, topic: str, partitions: Mapping[int, object]) -> Iterator[bytes]:
    """Yield keys, values, opened values and headers of a topic."""
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
        for number in partitions
    }
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    # Heartbeats go on coming: a partition is over at its end of before, or where it ends now.
    open_ones = {number for number, end in ends.items() if end}
    while open_ones:
        for message in consumer.consume(2_000, 0.2):
            error, number = message.error(), message.partition()
            if message.topic() != topic:
                continue  # the end of one that was read before
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                open_ones.discard(number)
                continue
            value = message.value() or b""
            yield from (value, expand_readable(value), message.key() or b"")
            yield from (part for _, part in message.headers() or () if part)
            if message.offset() + 1 >= ends[number]:
                open_ones.discard(number)


def _look_at_files(stack: Stack, found: Findings) -> None:
    """Look through logs, checkpoints and all else that lies below the stack's folder.

    What servers keep of tables and topics is looked at through them.
    """
    home = stack.settings.home
    for folder in sorted(home.iterdir()):
        if folder.name in ("kafka", "postgres"):
            continue
        for path in _files(folder):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # a file of before
            found.look(f"file: {folder.name}:{path.relative_to(home)}", content)


def _look_at_state(folder: Path, found: Findings) -> None:
    """Look through a savepoint that is not compressed."""
    for path in _files(folder):
        found.look(f"state: savepoint:{path.relative_to(folder)}", path.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


# -- what is shown ---------------------------------------------------------------------------------

STREAMS: Final = {"/api/v1/signals/stream": "since", "/live/signals": "after"}
"""What does not end, and by which parameter it is told from where."""
DEAR: Final = {
    "/api/v1/tenant/export",
    "/settings/data/export",
}
"""Looked at as archives."""
UNREAD: Final = {401, 403, 405, 409, 422, 429}
"""Answers by which nothing was looked at."""
STRANGERS: Final = ("/operator", "/api/v1/operator")
"""Beginning of what is for operators alone, who see no tenant's data."""


def _ids_of(
    site: Site, rules: Sequence[str], secrets: Sequence[Planted], *, backtest_id: str
) -> dict[str, list[str]]:
    """Return what the parameters of routes may be."""
    signals = [signal["id"] for rule_id in rules for signal in _signals(site, rule_id)[:3]]
    letters = site.api.get("/api/v1/dead-letters", params={"limit": _SHOWN}).json()["items"]
    records = site.api.get("/api/v1/evidence/records", params={"kind": "span", "limit": _SHOWN})
    keys = site.api.get("/api/v1/keys").json()["items"]
    members = site.api.get("/api/v1/members").json()["items"]
    nobody = ["00000000-0000-4000-8000-000000000000"]
    traces = [one.trace_id.hex() for one in secrets[:_SHOWN]]
    seqs = [item["seq"] for item in records.json()["items"]]
    sample_id, run_id = _held_to_a_trace(site, rules[0], traces)
    verified = site.api.post("/api/v1/evidence/verifications", json={"records": seqs})
    return {
        "signal_id": signals,
        "trace_id": traces,
        "sample_id": [sample_id],
        "run_id": [run_id],
        "verification_id": [verified.raise_for_status().json()["id"]],
        "rule_id": list(rules[:2]),
        "letter_id": [letter["id"] for letter in letters],
        "seq": [str(seq) for seq in seqs],
        "backtest_id": [backtest_id],
        "key_id": [keys[0]["id"]],
        "member_id": [members[0]["id"]],
        "control_id": ["soc2.CC6.1"],
        "version": ["1"],
        "number": ["1"],
        "ordinal": ["0"],
        "target_id": nobody,
        "anchor_id": nobody,
        "token": ["nobodys"],
    }


def _held_to_a_trace(site: Site, rule_id: str, traces: Sequence[str]) -> tuple[str, str]:
    """Keep a stored trace as a sample and hold a rule to it; return ids of the sample and a run."""
    stored = next(one for one in traces if site.api.get(f"/api/v1/traces/{one}").is_success)
    sample = site.api.post("/api/v1/samples", json={"name": "One of them", "trace_id": stored})
    sample_id: str = sample.raise_for_status().json()["id"]
    case = {"sample": sample_id, "expect": "violated"}
    site.api.post(f"/api/v1/rules/{rule_id}/cases", json=case).raise_for_status()
    run = site.api.post(f"/api/v1/rules/{rule_id}/test-runs", json={})
    return sample_id, run.raise_for_status().json()["id"]


def _look_at_answers(
    site: Site, found: Findings, ids: Mapping[str, list[str]], *, place: str
) -> None:
    """Ask every route that may be read, as a person who is signed in."""
    queries: dict[str, dict[str, str]] = {
        "/backtests/{backtest_id}/traces": {"rule_id": ids["rule_id"][0], "now": "violated"},
        "/api/v1/signals/{signal_id}/rows/search": {"q": "canary"},
        "/api/v1/traces/{trace_id}/rows/search": {"q": "canary"},
        "/api/v1/evidence/consistency": {"from": "1", "to": "2"},
        "/evidence/control": {"id": "soc2.CC6.1"},
    }
    for path in _readable_routes():
        kind = "rest" if path.startswith("/api/") else "page"
        if path in STREAMS:
            _look_at_stream(site.person, path, {STREAMS[path]: place}, found)
            continue
        for filled in _filled(path, ids):
            answer = site.person.get(filled, params=queries.get(path))
            if answer.status_code in UNREAD or answer.status_code >= 500:
                found.unread.append(f"{filled}: {answer.status_code} {answer.text[:200]}")
            found.look(f"{kind}: {path}:{filled}", _plain(answer.content))


def _readable_routes() -> list[str]:
    settings = {"database_url": "postgresql://betrace_app@127.0.0.1:1/x", "secret_key": "s" * 32}
    app = create_app(Settings.model_validate(settings))
    return [
        route.path
        for route in route_access(app)
        if "GET" in route.methods
        and not route.path.startswith((*STRANGERS, "/static"))
        and route.path not in DEAR
    ]


def _filled(path: str, ids: Mapping[str, list[str]]) -> list[str]:
    """Return the addresses of a route. A parameter that nobody names here fails."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if not names:
        return [path]
    first, *others = names
    fixed = {name: ids[name][0] for name in others}
    return [path.format(**fixed, **{first: value}) for value in ids[first]]


def _look_at_stream(
    client: httpx.Client, path: str, query: Mapping[str, str], found: Findings
) -> None:
    """Look at all that a stream tells until it is quiet."""
    heard = bytearray()
    timeout = httpx.Timeout(30, read=_QUIET_S)
    try:
        with client.stream("GET", path, params=query, timeout=timeout) as response:
            for piece in response.iter_raw():
                heard += piece
    except httpx.ReadTimeout:
        pass
    found.look(f"stream: {path}", _plain(bytes(heard)))


def _plain(content: bytes) -> bytes:
    """Return an answer, and what a browser makes of its entities."""
    return content + b"\0" + html.unescape(content.decode(errors="replace")).encode()


def _look_at_exports(site: Site, found: Findings) -> None:
    archive = site.api.get("/api/v1/tenant/export", timeout=120).raise_for_status()
    _look_into_archive("export: tenant", archive.content, found)
    pack = site.api.post("/api/v1/evidence/export", json={}, timeout=120).raise_for_status()
    _look_into_archive("export: pack", pack.content, found)


def _look_into_archive(where: str, archive: bytes, found: Findings) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        for name in files.namelist():
            found.look(f"{where}:{name}", files.read(name))


def _look_at_metrics(stack: Stack, found: Findings) -> None:
    ports = stack.settings.ports
    for port in (ports.ingest_metrics, ports.worker_metrics):
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status()
        found.look(f"metrics: {port}", answer.content)


def _look_in_the_browser(
    site: Site, browser: Browser, found: Findings, ids: Mapping[str, list[str]]
) -> None:
    """Look at some pages after their scripts have run, as a person does."""
    url = site.env["BETRACE_URL"]
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, url, email=site.env["BETRACE_LOGIN"], password=site.env["BETRACE_PASSWORD"])
    for path in (
        f"/signals?rule_id={ids['rule_id'][0]}",
        f"/signals/{ids['signal_id'][0]}",
        f"/traces/{ids['trace_id'][0]}",
        "/dead-letters",
        f"/evidence/records/{ids['seq'][0]}",
        "/audit",
    ):
        page.goto(url + path)
        found.look(f"browser: {path}", _plain(page.content().encode()))
        found.look(f"browser: {path}", page.locator("body").inner_text().encode())
    context.close()
