"""Keys are rotated, revoked and out of reach while signals flow: nothing is left unsigned unseen.

Everything is real: a worker as a process, Kafka, Postgres, the API, an operator at the command
line, and AWS KMS by moto's server behind a door that can be shut.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import pytest
from confluent_kafka import Producer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.command.app import app as betrace
from api.database import open_pool
from api.kafka.topics import TopicNames
from api.keyring.rotation import rotate_due
from api.keyring.wiring import open_keys
from api.main import create_app
from api.settings import Settings
from tests.integration.worker.running import wait_until
from tests.integration.worker.test_process import RunningWorker, worker
from tests.integration.worker.world import NOON_MS, TENANT, a_signal, rows
from tests.support.attack_table import PROPERTY, attack_row
from tests.support.evidence import EvidenceLog
from tests.support.evidence_opened import Opened
from tests.support.evidence_verifiers import Case, assert_javascript_says, python_says
from tests.support.gate import gate_before
from tests.support.kafka import Broker
from tests.support.kms import reachable_kms
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.sealing import assert_sound, heads_that_do_not_count, stored_log
from tests.support.tenants import PEPPER, make_key, scope_of
from udfs.evidence.records import RuleVerdict
from udfs.keysource.aws import open_kms

pytestmark = pytest.mark.integration

REGION: Final = "eu-central-1"
EVERY_S: Final = 0.05


class Record(Protocol):
    """What notes a property of a test."""

    def __call__(self, name: str, value: object) -> None:
        """Note it."""


@pytest.fixture
def kms() -> Iterator[str]:
    """The address of a key service."""
    with reachable_kms() as url:
        yield url


@dataclass
class Flow:
    """Signals of a rule that serves a control, one after the other, until it is stopped."""

    kafka: str
    topic: str
    sent: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send, and again."""
        producer = Producer({"bootstrap.servers": self.kafka, "acks": "all", "linger.ms": 5})
        while not self._stop.wait(EVERY_S):
            number = len(self.sent)
            at_ms = time.time_ns() // 1_000_000 - NOON_MS
            signal = a_signal(number, at_ms=at_ms, last_offset=20)
            producer.produce(self.topic, key=signal.id, value=signal.SerializeToString())
            producer.poll(0)
            self.sent.append(signal.id.hex())
        assert producer.flush(30) == 0

    def stop(self) -> None:
        """Let what is under way be the last."""
        self._stop.set()


@contextmanager
def flowing(broker: Broker, topics: TopicNames) -> Iterator[Flow]:
    flow = Flow(broker.address, topics.signals)
    thread = threading.Thread(target=flow.run)
    thread.start()
    try:
        yield flow
    finally:
        flow.stop()
        thread.join()


@dataclass(frozen=True)
class Office:
    """Whoever looks at the log over REST and at its page, and looks after its keys."""

    client: TestClient
    settings: Settings
    environment: dict[str, str]

    def log(self) -> dict[str, Any]:
        """Return what the log is like now."""
        found: dict[str, Any] = self._told("/api/v1/evidence/log")
        return found

    def record(self, seq: int) -> dict[str, Any]:
        """Return a record with its proof."""
        found: dict[str, Any] = self._told(f"/api/v1/evidence/records/{seq}")
        return found

    def badge(self, seq: int) -> str:
        """Return what verifying a record finds just now."""
        found: str = self._told(f"/api/v1/evidence/records/{seq}/verification")["verification"][
            "badge"
        ]
        return found

    def page(self) -> str:
        """Return the list of evidence as people see it."""
        response = self.client.get("/evidence", headers={"Accept": "text/html"})
        assert response.status_code == 200, response.text
        return response.text

    def pack(self) -> bytes:
        """Export everything."""
        response = self.client.post("/api/v1/evidence/export", json={})
        assert response.status_code == 200, response.text
        return response.content

    def keyring(self, *arguments: str) -> Any:
        """Run `betrace keyring`."""
        told = CliRunner().invoke(
            betrace, ["keyring", *arguments, "--tenant", TENANT, "--json"], env=self.environment
        )
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    def signing_key(self) -> str:
        """Return the id of the key that signs now."""
        [active] = [
            key
            for key in self.keyring("list")["keys"]
            if (key["purpose"], key["state"]) == ("signing", "active")
        ]
        found: str = active["id"]
        return found

    def wait_until_signed_by(self, key_id: str) -> None:
        """Return once the newest checkpoint is signed by a key."""
        wait_until(lambda: self.log()["newest"]["key_id"] == key_id, what=f"signed by {key_id}")

    def _told(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def office(database: Database, keys: dict[str, str]) -> Iterator[Office]:
    """Run the API for an administrator of the tenant."""
    environment = {
        "DATABASE_URL": database.app,
        "BETRACE_SECRET_KEY": PEPPER.decode(),
        **keys,
    }
    settings = Settings.model_validate(
        {
            "database_url": database.app,
            "secret_key": PEPPER.decode(),
            "kafka": "127.0.0.1:1",
            **{name.removeprefix("BETRACE_").lower(): value for name, value in keys.items()},
        }
    )
    key = asyncio.run(an_administrators_key(database))
    app = create_app(settings, rules_log=MemoryRulesLog())
    with TestClient(app, "http://betrace.test", headers={"X-API-Key": key}) as client:
        yield Office(client, settings, environment)


async def an_administrators_key(database: Database) -> str:
    async with open_pool(database.app, size=1) as pool:
        return await make_key(pool, scope_of(UUID(TENANT)))


async def rotate_by_schedule(database: Database, settings: Settings) -> None:
    """Do what each process does once an hour, on a day when every key is too old."""
    async with open_pool(database.app, size=2) as pool:
        keys = open_keys(settings.keys, pool)
        assert keys is not None
        in_a_year = datetime.now(UTC) + timedelta(days=365)
        assert await rotate_due(pool, keys, older_than=timedelta(days=90), now=in_a_year) > 0


def test_keys_are_rotated_revoked_and_away_while_signals_flow(
    broker: Broker,
    topics: TopicNames,
    seeded: Database,
    kms: str,
    tmp_path: Path,
    record_property: Record,
) -> None:
    with gate_before(kms) as gate:
        keys = {
            "BETRACE_KEYS_PROVIDER": "aws",
            "BETRACE_KEYS_AWS_KEY": str(open_kms(REGION, kms).create_key()["KeyMetadata"]["Arn"]),
            "BETRACE_KEYS_AWS_REGION": REGION,
            "BETRACE_KEYS_AWS_ENDPOINT": gate.url,
        }
        sealing = {
            **keys,
            "BETRACE_EVIDENCE_CHECKPOINT_S": "1",
            "BETRACE_EVIDENCE_NAME": "betrace.example",
        }
        with office(seeded, keys) as at, flowing(broker, topics) as flow:
            with worker(broker, topics, seeded, **sealing) as first:
                wait_until(lambda: has_signed(at, 20), what="the first checkpoint")
                before, known = at.pack(), at.log()["verifier_keys"]
                by_hand = at.keyring("rotate", "signing")["id"]
                at.wait_until_signed_by(by_hand)
                asyncio.run(rotate_by_schedule(seeded, at.settings))
                stolen = at.signing_key()
                assert stolen != by_hand
                at.wait_until_signed_by(stolen)
                since = datetime.now(UTC).replace(microsecond=0)
                number = at.log()["newest"]["number"]
                wait_until(
                    lambda: at.log()["newest"]["number"] >= number + 2,
                    what="checkpoints that whoever has stolen the key may have signed",
                )
                gate.shut()
                assert first.stop() == 0
            with worker(broker, topics, seeded, **sealing) as second:
                wait_until(lambda: at.log()["outage"] is not None, what="the outage is told of")
                at.keyring(
                    *("revoke", stolen, "--reason", "it was stolen"),
                    *("--since", f"{since:%Y-%m-%dT%H:%M:%S}"),
                )
                flagged = flagged_as_pending(at, second, since)
                gate.open()
                wait_until(lambda: at.log()["outage"] is None, what="the outage is over")
                flow.stop()
                wait_until(lambda: all_is_signed(at, seeded, flow), what="all is sealed and signed")
                log = at.log()
                assert second.metric("betrace_evidence_checkpoints_late_total") == log["late"] == 1
                late_records = second.metric("betrace_evidence_records_signed_late_total")
                assert second.metric("betrace_evidence_unsigned_total") >= 1
                wait_until(
                    lambda: second.metric("betrace_evidence_pending_records") == 0,
                    what="nothing is counted as pending",
                )
                after = at.pack()
                assert second.stop() == 0
            [outage] = log["outages"]
            assert late_records == outage["to_size"] - outage["from_size"] >= flagged
            assert outage["ended_ms"] - outage["began_ms"] > 0
            assert at.badge(outage["to_size"] - 1) == "valid"
    read = stored_log(seeded, UUID(TENANT), like=EvidenceLog())
    assert_sound(read)
    sealed = [one.body.signal for one in read.records if isinstance(one.body, RuleVerdict)]
    assert sorted(sealed) == sorted(flow.sent)
    not_counting = heads_that_do_not_count(read)
    assert len(not_counting) >= 2
    newest = [log["verifier_keys"][-1]]
    untrusted = ["key_untrusted", "manifest_forged"]
    forged = with_checkpoint(read, after, read.checkpoints[not_counting[-1]].note)
    cases = [
        Case("a pack from before", before, known, b"", [], []),
        Case("a pack from after", after, newest, b"", [], []),
        Case("whoever knows a key from before the theft", after, known, b"", untrusted, []),
        Case("a head by a stolen key", forged, newest, b"", ["key_revoked", "manifest_forged"], []),
    ]
    told = {case.name: python_says(case) for case in cases}
    assert told == {case.name: (case.failures, case.warnings) for case in cases}
    javascript = assert_javascript_says(cases, tmp_path)
    for case in cases:
        row = attack_row("keys in use", case.name, told[case.name][0], javascript[case.name])
        record_property(PROPERTY, row)


def has_signed(at: Office, records: int) -> bool:
    """Tell whether so many records are under a checkpoint."""
    newest = at.log()["newest"]
    return newest is not None and newest["size"] > records


def flagged_as_pending(at: Office, running: RunningWorker, since: datetime) -> int:
    """See everybody told that records are unsigned; return how many at least are.

    That are all from the theft on: what the stolen key signed since then counts no more.
    """
    since_ms = int(since.timestamp() * 1000)
    wait_until(
        lambda: at.log()["newest"]["time_ms"] < since_ms,
        what="checkpoints of the stolen key count no more, though none follows",
    )
    size = at.log()["size"]
    wait_until(lambda: at.log()["size"] > size, what="records are sealed all the same")
    log = at.log()
    assert log["pending"] == log["size"] - log["newest"]["size"] > 0
    assert "KMS does not answer" in log["outage"]["cause"]
    stolen, last = at.record(log["newest"]["size"]), at.record(log["size"] - 1)
    assert (stolen["pending"], stolen["checkpoint"]) == (True, None)
    assert (last["pending"], last["checkpoint"]) == (True, None)
    assert at.badge(log["size"] - 1) == "unsigned"
    assert at.badge(log["newest"]["size"]) == "unsigned"
    assert at.badge(log["newest"]["size"] - 1) == "valid"
    assert "No key signs since" in at.page()
    wait_until(
        lambda: running.metric("betrace_evidence_pending_records") >= log["pending"],
        what="what is pending is counted",
    )
    pending: int = log["pending"]
    return pending


def all_is_signed(at: Office, database: Database, flow: Flow) -> bool:
    """Tell whether every signal that was sent is in the log and under a checkpoint."""
    [row] = rows(
        database.admin, "select count(*) as count from evidence_records where kind = 'verdict'"
    )
    return row["count"] == len(flow.sent) and at.log()["pending"] == 0


def with_checkpoint(read: EvidenceLog, pack: bytes, note: bytes) -> bytes:
    """Return a pack with one more checkpoint, made by somebody who cannot sign its manifest."""
    opened = Opened.of(read, pack)
    number = sum(name.startswith("checkpoints/") for name in opened.files) + 1
    opened.files[f"checkpoints/{number:06}.note"] = note
    return opened.close(signed=False)
