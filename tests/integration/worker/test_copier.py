"""Traces copied from a real spans log, and explained."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, TopicPartition
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.kafka.topics import POLICY_HEADER, TopicNames
from api.redaction.redactors import RedactionUnavailable
from api.worker.copier import Copier
from api.worker.database import connect
from api.worker.metrics import Metrics
from api.worker.signals import SignalWriter
from api.worker.spans_log import LogUnavailable, SpansLog
from tests.integration.worker.running import a_copier, sample, wait_until
from tests.integration.worker.world import (
    NOT_APPLICABLE,
    OTHER_TENANT,
    SATISFIED,
    TENANT,
    VIOLATED,
    a_signal,
    add_rule,
    rows,
    told,
    trace_id,
)
from tests.support.engine import key_value
from tests.support.kafka import Broker
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

PARTITION = 5
START_NS = 1_799_999_995_000_000_000


def a_span(
    number: int, name: str, span_id: bytes, parent: bytes = b"", *, after_ms: int = 0, **values: Any
) -> Span:
    """Return a span of the n-th trace."""
    return Span(
        trace_id=trace_id(number),
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=START_NS + after_ms * 1_000_000,
        end_time_unix_nano=START_NS + (after_ms + 1) * 1_000_000,
        attributes=[key_value(key, value) for key, value in values.items()],
    )


def a_request(*spans: Span, service: str = "shop") -> bytes:
    """Return an OTLP export request of one service."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.append(key_value("service.name", service))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "test"
    scope_spans.spans.extend(spans)
    return request.SerializeToString()


ROOT, CHARGE, CHECK, LATE = b"root----", b"charge--", b"check---", b"late----"


class Log:
    """Writes to one partition of a spans topic."""

    def __init__(self, broker: Broker, topics: TopicNames) -> None:
        self._producer = Producer({"bootstrap.servers": broker.address, "acks": "all"})
        self._topic = topics.spans
        self.end = 0

    def append(self, payload: bytes, *, tenant: str = TENANT, policy: str = "") -> int:
        """Write one record and return its offset. policy: of redaction, as `ingest` names it."""
        headers = [("tenant", tenant.encode()), ("v", b"1")] if payload else [("hb", b"1")]
        headers += [(POLICY_HEADER, policy.encode())] if policy else []
        self._producer.produce(self._topic, payload, partition=PARTITION, headers=headers)
        assert self._producer.flush(30) == 0
        self.end += 1
        return self.end - 1


@pytest.fixture
def log(broker: Broker, topics: TopicNames) -> Log:
    return Log(broker, topics)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def copier(
    broker: Broker, topics: TopicNames, seeded: Database, metrics: Metrics
) -> Iterator[Copier]:
    """A copier that is told when to make a round."""
    spans = SpansLog(broker.address, topics.spans)
    yield a_copier(spans, seeded, metrics=metrics)
    spans.close()


def raise_signals(database: Database, *signals: wire.Signal) -> None:
    with connect(database.worker, name="test") as connection, connection.transaction():
        SignalWriter().write(connection, told(*signals))


def signal_of(number: int, first: int, last: int, **changed: Any) -> wire.Signal:
    return a_signal(number, partition=PARTITION, first_offset=first, last_offset=last, **changed)


def spans_of(database: Database, number: int, *, tenant: str = TENANT) -> list[dict[str, Any]]:
    return rows(
        database.admin,
        "select * from trace_spans where trace_id = %s and tenant_id = %s order by ordinal",
        trace_id(number),
        tenant,
    )


def names(spans: Sequence[dict[str, Any]]) -> list[str]:
    return [span["name"] for span in spans]


def signal_row(database: Database, number: int) -> dict[str, Any]:
    [row] = rows(
        database.admin,
        "select trace_state, trace_problem, explanation, explain_mismatch, explained_revision,"
        " services, group_values, group_fingerprint from signals"
        " where trace_id = %s and tenant_id = %s",
        trace_id(number),
        TENANT,
    )
    return row


def tasks(database: Database) -> int:
    [row] = rows(database.admin, "select count(*) from trace_tasks")
    return int(row["count"])


def test_what_came_past_ingest_is_redacted_before_it_is_stored(
    log: Log, copier: Copier, seeded: Database
) -> None:
    secret = "ada@example.com"
    past = log.append(a_request(a_span(1, f"mail to {secret}", ROOT, note=secret)))
    by_ingest = log.append(a_request(a_span(2, "mail", ROOT, note=secret)), policy="3")
    raise_signals(seeded, signal_of(1, past, past), signal_of(2, by_ingest, by_ingest))
    assert copier.round() == 2
    [redacted], [as_it_was] = spans_of(seeded, 1), spans_of(seeded, 2)
    assert (redacted["name"], redacted["attributes"]) == (
        "mail to [REDACTED]",
        {"note": "[REDACTED]"},
    )
    assert as_it_was["attributes"] == {"note": secret}
    [stored] = rows(
        seeded.admin, "select root_name from trace_copies where trace_id = %s", trace_id(1)
    )
    assert stored == {"root_name": "mail to [REDACTED]"}


def test_what_cannot_be_redacted_is_not_stored(
    broker: Broker, topics: TopicNames, log: Log, seeded: Database, metrics: Metrics
) -> None:
    def away(tenant: str, request: bytes) -> bytes:
        raise RedactionUnavailable("the test says so")

    at = log.append(a_request(a_span(1, "POST /pay", ROOT)))
    raise_signals(seeded, signal_of(1, at, at))
    spans = SpansLog(broker.address, topics.spans)
    copier = a_copier(spans, seeded, metrics=metrics, redact=away)
    with pytest.raises(RedactionUnavailable):
        copier.round()
    spans.close()
    assert (spans_of(seeded, 1), tasks(seeded)) == ([], 1)


def test_the_copy_of_a_trace_equals_what_was_sent(
    log: Log, copier: Copier, seeded: Database
) -> None:
    values = {
        "amount": 2**62,
        "rate": 0.5,
        "paid": True,
        "note": "a\0b \\u0000",
        "raw": b"\x01\xff",
        "items": ["a", 1, {"deep": [False]}],
        "odd": float("nan"),
    }
    charge = a_span(1, "payment.charge", CHARGE, ROOT, after_ms=1, **values)
    event = charge.events.add(name="retry", time_unix_nano=START_NS + 5)
    event.attributes.append(key_value("attempt", 2))
    charge.links.add(trace_id=trace_id(9), span_id=b"linked--")
    charge.status.code = 2
    charge.status.message = "declined"
    charge.dropped_attributes_count = 4
    first = log.append(a_request(a_span(1, "POST /pay", ROOT), a_span(2, "other", ROOT)))
    log.append(b"")
    last = log.append(a_request(charge, service="bank"))
    raise_signals(seeded, signal_of(1, first, last))
    assert copier.round() == 1
    root, copied = spans_of(seeded, 1)
    assert (root["name"], root["parent_span_id"], root["service"]) == ("POST /pay", None, "shop")
    assert copied == {
        "tenant_id": root["tenant_id"],
        "trace_id": trace_id(1),
        "ordinal": 1,
        "span_id": CHARGE,
        "parent_span_id": ROOT,
        "name": "payment.charge",
        "service": "bank",
        "kind": "server",
        "status": "error",
        "status_message": "declined",
        "start_ns": START_NS + 1_000_000,
        "end_ns": START_NS + 2_000_000,
        "attributes": {
            "amount": 2**62,
            "rate": 0.5,
            "paid": True,
            "note": "a\ufffdb \\u0000",
            "raw": "01ff",
            "items": ["a", 1, {"deep": [False]}],
            "odd": "NaN",
        },
        "resource": {"service.name": "bank"},
        "scope": {"name": "test", "version": "", "attributes": {}},
        "events": [{"name": "retry", "time_ns": START_NS + 5, "attributes": {"attempt": 2}}],
        "links": [{"trace_id": trace_id(9).hex(), "span_id": b"linked--".hex(), "attributes": {}}],
        "dropped_attributes_count": 4,
    }
    [copy] = rows(seeded.admin, "select * from trace_copies")
    assert (copy["root_name"], copy["root_service"], copy["services"]) == (
        "POST /pay", "shop", ["bank", "shop"],
    )  # fmt: skip
    assert (copy["span_count"], copy["whole"]) == (2, True)
    assert (copy["log_first_offset"], copy["log_last_offset"]) == (first, last)
    assert tasks(seeded) == 0


def test_a_copy_is_found_by_what_it_holds_and_by_no_more_once_it_is_made_anew(
    log: Log, copier: Copier, seeded: Database
) -> None:
    def found(kind: str, key: str, value: str) -> int:
        [row] = rows(
            seeded.admin,
            "select count(*) from trace_search where terms @> array[trace_term(%s, %s, %s, %s)]",
            TENANT, kind, key, value,
        )  # fmt: skip
        count: int = row["count"]
        return count

    first = log.append(a_request(a_span(1, "POST /pay", ROOT, order="4711")))
    raise_signals(seeded, signal_of(1, first, first))
    copier.round()
    assert found("attribute", "order", "4711") == found("service", "", "shop") == 1
    assert found("service", "", "bank") == found("error", "", "") == 0
    charge = a_span(1, "payment.charge", CHARGE, ROOT, after_ms=8, amount=12.50)
    charge.status.code = 2
    last = log.append(a_request(charge, service="bank"))
    raise_signals(seeded, signal_of(1, first, last, at_ms=1_000))
    copier.round()
    assert found("attribute", "order", "4711") == found("attribute", "amount", "12.500") == 1
    assert found("operation", "bank", "payment.charge") == found("error", "", "") == 1
    [row] = rows(seeded.admin, "select * from trace_search")
    assert (row["duration_ns"], row["error_count"]) == (9_000_000, 1)
    assert (row["services"], row["operations"]) == (
        ["bank", "shop"], ["POST /pay", "payment.charge"],
    )  # fmt: skip


def test_a_signal_is_explained_by_the_evaluator_on_its_spans(
    log: Log, copier: Copier, seeded: Database, metrics: Metrics
) -> None:
    at = log.append(
        a_request(a_span(1, "POST /pay", ROOT), a_span(1, "payment.charge", CHARGE, ROOT))
    )
    signal = signal_of(1, at, at)
    raise_signals(seeded, signal)
    copier.round()
    row = signal_row(seeded, 1)
    assert row["explanation"]["verdict"] == "violated"
    assert [clause["clause"] for clause in row["explanation"]["clauses"]] == ["when", "always"]
    assert (row["trace_state"], row["explain_mismatch"]) == ("copied", False)
    assert row["explained_revision"] == signal.revision
    assert row["services"] == ["shop"]
    assert sample(metrics, "betrace_worker_explain_mismatch_total") == 0


def test_a_verdict_that_the_spans_do_not_bear_out_is_counted_and_marked(
    log: Log, copier: Copier, seeded: Database, metrics: Metrics
) -> None:
    at = log.append(
        a_request(a_span(1, "payment.charge", CHARGE), a_span(1, "fraud.check", CHECK, CHARGE))
    )
    raise_signals(seeded, signal_of(1, at, at))
    copier.round()
    row = signal_row(seeded, 1)
    assert (row["explanation"]["verdict"], row["explain_mismatch"]) == ("satisfied", True)
    assert sample(metrics, "betrace_worker_explain_mismatch_total") == 1


def test_a_span_sent_twice_is_copied_once_and_a_shared_id_is_not_a_repetition(
    log: Log, copier: Copier, seeded: Database
) -> None:
    charge = a_span(1, "payment.charge", CHARGE, ROOT, note="first")
    again = a_span(1, "payment.charge", CHARGE, ROOT, note="second")
    shared = a_span(1, "handler", CHARGE, ROOT)
    first = log.append(a_request(a_span(1, "POST /pay", ROOT), charge))
    last = log.append(a_request(again, shared))
    raise_signals(seeded, signal_of(1, first, last))
    copier.round()
    spans = spans_of(seeded, 1)
    assert sorted(names(spans)) == ["POST /pay", "handler", "payment.charge"]
    assert [s["attributes"] for s in spans if s["name"] == "payment.charge"] == [{"note": "first"}]


def test_overlapping_traces_are_read_once(
    log: Log, copier: Copier, seeded: Database, metrics: Metrics
) -> None:
    payloads = [
        a_request(*(a_span(n, f"part {part}", bytes([part] * 8)) for n in range(20)))
        for part in range(1, 6)
    ]
    offsets = [log.append(payload) for payload in payloads]
    raise_signals(seeded, *(signal_of(n, offsets[n % 3], offsets[-1]) for n in range(20)))
    assert copier.round() == 20
    assert sample(metrics, "betrace_worker_copier_read_bytes_total") == sum(map(len, payloads))
    assert [len(spans_of(seeded, n)) for n in range(4)] == [5, 4, 3, 5]


def test_another_tenants_spans_with_the_same_trace_id_are_left_out(
    log: Log, copier: Copier, seeded: Database
) -> None:
    first = log.append(a_request(a_span(1, "ours", ROOT)))
    last = log.append(a_request(a_span(1, "theirs", CHARGE)), tenant=OTHER_TENANT)
    raise_signals(seeded, signal_of(1, first, last), signal_of(1, first, last, tenant=OTHER_TENANT))
    copier.round()
    assert names(spans_of(seeded, 1)) == ["ours"]
    assert names(spans_of(seeded, 1, tenant=OTHER_TENANT)) == ["theirs"]
    with psycopg.connect(seeded.app) as app:
        app.execute("select set_config('app.tenant_id', %s, true)", [OTHER_TENANT])
        assert app.execute("select name from trace_spans").fetchall() == [("theirs",)]


def test_a_missing_parent_is_looked_for_outside_the_range(
    log: Log, copier: Copier, seeded: Database
) -> None:
    log.append(a_request(a_span(1, "POST /pay", ROOT)))
    at = log.append(a_request(a_span(1, "payment.charge", CHARGE, ROOT)))
    log.append(a_request(a_span(1, "afterwards", LATE, CHARGE, after_ms=9)))
    raise_signals(seeded, signal_of(1, at, at, first_span_ms=now_ms(), last_span_ms=now_ms()))
    copier.round()
    assert sorted(names(spans_of(seeded, 1))) == ["POST /pay", "afterwards", "payment.charge"]
    assert signal_row(seeded, 1)["explanation"]["verdict"] == "violated"


def now_ms() -> int:
    """Return the broker's clock, which is ours."""
    return int(time.time() * 1000)


def test_a_trace_still_open_is_copied_at_once_and_again(
    log: Log, copier: Copier, seeded: Database
) -> None:
    at = log.append(a_request(a_span(1, "payment.charge", CHARGE)))
    raise_signals(
        seeded, signal_of(1, at, at, closed_ms=0, first_span_ms=now_ms(), last_span_ms=now_ms())
    )
    copier.round()
    assert names(spans_of(seeded, 1)) == ["payment.charge"]
    [task] = rows(seeded.admin, "select refreshed, due_at > now() as later from trace_tasks")
    assert task == {"refreshed": 1, "later": True}
    log.append(a_request(a_span(1, "receipt.sent", LATE, CHARGE, after_ms=50)))
    with psycopg.connect(seeded.admin) as connection:
        connection.execute("update signals set root_name = '', root_service = ''")
        connection.execute("update trace_tasks set due_at = now()")
    copier.round()
    assert names(spans_of(seeded, 1)) == ["payment.charge", "receipt.sent"]
    [signal] = rows(seeded.admin, "select root_name, root_service from signals")
    assert signal == {"root_name": "payment.charge", "root_service": "shop"}


def test_late_evidence_brings_the_late_span_into_copy_and_explanation(
    log: Log, copier: Copier, seeded: Database
) -> None:
    first = log.append(a_request(a_span(1, "payment.charge", CHARGE)))
    raise_signals(seeded, signal_of(1, first, first))
    copier.round()
    last = log.append(a_request(a_span(1, "fraud.check", LATE, CHARGE, after_ms=5)))
    raise_signals(seeded, signal_of(1, first, last, at_ms=1000, verdict=SATISFIED, was=VIOLATED))
    copier.round()
    assert names(spans_of(seeded, 1)) == ["payment.charge", "fraud.check"]
    row = signal_row(seeded, 1)
    assert (row["explanation"]["verdict"], row["explain_mismatch"]) == ("satisfied", False)


def test_doing_a_task_twice_leaves_the_same_rows(
    log: Log, copier: Copier, seeded: Database
) -> None:
    at = log.append(a_request(a_span(1, "payment.charge", CHARGE)))
    raise_signals(seeded, signal_of(1, at, at))
    copier.round()
    once = spans_of(seeded, 1), signal_row(seeded, 1)
    with psycopg.connect(seeded.admin) as connection:
        connection.execute(
            "insert into trace_tasks (tenant_id, signal_id, urgency)"
            " select tenant_id, id, 0 from signals"
        )
    copier.round()
    assert (spans_of(seeded, 1), signal_row(seeded, 1)) == once


def test_signals_of_two_rules_share_one_copy_and_each_is_explained(
    log: Log, copier: Copier, seeded: Database
) -> None:
    add_rule(
        seeded.admin,
        rule_id="no-bypass",
        text="when { payment.charge } never { payment.bypass }",
        group_by=["service", "card"],
    )
    first = log.append(a_request(a_span(1, "payment.charge", CHARGE, card="visa")))
    last = log.append(a_request(a_span(1, "payment.bypass", LATE, CHARGE)))
    raise_signals(seeded, signal_of(1, first, last), signal_of(1, first, last, rule_id="no-bypass"))
    assert copier.round() == 2
    assert len(spans_of(seeded, 1)) == 2
    told_of = rows(
        seeded.admin,
        "select rule_id, explanation->>'verdict' as verdict, group_values,"
        " length(group_fingerprint) as size from signals order by rule_id",
    )
    assert [tuple(row.values()) for row in told_of] == [
        ("charge-is-checked", "violated", {}, 16),
        ("no-bypass", "violated", {"service": "shop", "card": "visa"}, 16),
    ]


def test_a_range_the_log_has_lost_is_marked_and_explained(
    broker: Broker, topics: TopicNames, log: Log, copier: Copier, seeded: Database
) -> None:
    first = log.append(a_request(a_span(1, "POST /pay", ROOT)))
    last = log.append(a_request(a_span(1, "payment.charge", CHARGE, ROOT)))
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(topics.spans, PARTITION): first + 1})
    admin.close()
    raise_signals(seeded, signal_of(1, first, last))
    copier.round()
    row = signal_row(seeded, 1)
    assert row["trace_state"] == "lost"
    assert row["trace_problem"] == (
        "The spans log keeps partition 5 from offset 1 on; the trace began at offset 0. "
        "Longer retention keeps more."
    )
    assert names(spans_of(seeded, 1)) == ["payment.charge"]
    assert rows(seeded.admin, "select whole from trace_copies") == [{"whole": False}]
    assert tasks(seeded) == 0


def test_a_range_without_the_trace_is_read_again_before_it_is_given_up(
    log: Log, copier: Copier, seeded: Database
) -> None:
    at = log.append(a_request(a_span(2, "payment.charge", CHARGE)))
    raise_signals(seeded, signal_of(1, at, at))
    assert copier.round() == 1
    assert signal_row(seeded, 1)["trace_state"] == "waiting"
    assert rows(
        seeded.admin, "select attempts, due_at > now() as later, last_error from trace_tasks"
    ) == [
        {
            "attempts": 1,
            "later": True,
            "last_error": "No span of the trace was found in partition 5 of the spans log, "
            "offsets 0 to 0.",
        }
    ]


def test_tasks_are_given_back_when_the_log_does_not_answer(
    topics: TopicNames, seeded: Database, metrics: Metrics
) -> None:
    nowhere = SpansLog("127.0.0.1:1", topics.spans, timeout_s=1)
    copier = a_copier(nowhere, seeded, metrics=metrics)
    raise_signals(seeded, signal_of(1, 0, 0))
    with pytest.raises(LogUnavailable):
        copier.round()
    nowhere.close()
    [task] = rows(
        seeded.admin,
        "select attempts, due_at - now() < interval '10 seconds' as soon from trace_tasks",
    )
    assert task == {"attempts": 0, "soon": True}


def test_what_is_over_the_budget_waits_until_there_is_nothing_else(
    broker: Broker, topics: TopicNames, log: Log, seeded: Database, metrics: Metrics
) -> None:
    at = log.append(a_request(*(a_span(n, "payment.charge", CHARGE) for n in range(3))))
    with connect(seeded.worker, name="test") as connection, connection.transaction():
        signals = [signal_of(n, at, at) for n in range(3)]
        SignalWriter(copied_at_once=1).write(connection, told(*signals))
    idle = False
    spans = SpansLog(broker.address, topics.spans)
    copier = a_copier(spans, seeded, metrics=metrics, may_idle=lambda: idle)
    done = [copier.round(), copier.round()]
    idle = True
    done.append(copier.round())
    spans.close()
    assert done == [1, 0, 2]


class Pauses(threading.Event):
    """Notes the first pause that is asked for, and ends with it."""

    def __init__(self) -> None:
        super().__init__()
        self.first_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """Pause for no time at all."""
        if not self.is_set():
            self.first_s = timeout or 0.0
        self.set()
        return True


def test_what_postgres_takes_for_a_copy_counts_as_the_copiers_own_work(
    log: Log, broker: Broker, topics: TopicNames, seeded: Database, metrics: Metrics
) -> None:
    at = log.append(a_request(a_span(1, "payment.charge", ROOT)))
    raise_signals(seeded, signal_of(1, at, at))
    pauses = Pauses()
    copier = a_copier(
        SpansLog(broker.address, topics.spans), seeded, metrics=metrics, stop=pauses, share=0.2
    )
    running = threading.Thread(target=copier.run)
    with psycopg.connect(seeded.admin) as busy:
        busy.execute("lock table trace_copies in share mode")
        running.start()
        wait_until(lambda: is_waiting(seeded), what="the copier waits to write")
        begun_s = time.monotonic()
        busy.execute("select pg_sleep(0.2)")
        held_s = time.monotonic() - begun_s
    running.join(30)
    assert not running.is_alive()
    assert len(spans_of(seeded, 1)) == 1
    assert pauses.first_s >= 4 * held_s


def is_waiting(database: Database) -> bool:
    """Tell whether somebody waits for a lock."""
    query = "select count(*) from pg_locks where not granted"
    return bool(rows(database.admin, query)[0]["count"])


def test_a_signal_that_cannot_be_explained_keeps_its_trace_and_is_given_up_after_a_while(
    log: Log, copier: Copier, seeded: Database
) -> None:
    add_rule(seeded.admin, rule_id="broken", text="when {")
    at = log.append(a_request(a_span(1, "payment.charge", CHARGE)))
    raise_signals(seeded, signal_of(1, at, at, rule_id="broken"))
    for _ in range(5):
        assert copier.round() == 1
        with psycopg.connect(seeded.admin) as connection:
            connection.execute("update trace_tasks set due_at = now()")
    assert copier.round() == 0
    row = signal_row(seeded, 1)
    assert row["trace_state"] == "failed"
    assert row["trace_problem"].startswith("a stored rule does not check")
    assert names(spans_of(seeded, 1)) == ["payment.charge"]


@pytest.mark.parametrize("verdict", [SATISFIED, NOT_APPLICABLE])
def test_a_signal_never_raised_wants_no_copy(seeded: Database, verdict: int) -> None:
    raise_signals(seeded, signal_of(1, 0, 0, verdict=verdict))
    assert tasks(seeded) == 0
