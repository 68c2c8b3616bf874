"""The steps of the door are its own, and add up to what a request costs."""

from __future__ import annotations

import pytest

from api.auth.addresses import Address
from api.bench.door import DoorFigures
from api.bench.door_client import KAFKA, DoorClientSettings
from api.bench.door_run import TRANSPORT, DoorSettings, step_rows
from api.bench.door_steps import (
    AUTH,
    COMPRESS,
    GATHER,
    PARSE,
    PRODUCE,
    REDACT,
    REST,
    SPLIT,
    VALIDATE,
    DoorSteps,
    Servers,
    StepCost,
    StepFailed,
    measure_steps,
)
from api.bench.phases import Delays
from api.ingest.credentials import Sender
from api.kafka.producer import DeliveryFailed, Done, Headers

SPANS = 16


class OneKey:
    def knows(self, key: str) -> bool:
        return key == "good"

    async def sender(self, key: str, *, address: Address | None = None) -> Sender | None:
        return Sender("00000000-0000-4000-8000-0000000bec42") if key == "good" else None


class Listed:
    """A Kafka of one list, which acknowledges or fails."""

    healthy = True

    def __init__(self, error: DeliveryFailed | None = None) -> None:
        self.records: list[bytes] = []
        self._error = error

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        self.records.append(value)
        done(self._error)


async def measured(protocol: str, *, kafka: Listed) -> DoorSteps:
    servers = Servers(OneKey(), "good", kafka, "bench.spans")
    return await measure_steps(protocol, SPANS, servers=servers, repeats=1, least_s=0.001)


@pytest.mark.parametrize(("protocol", "reading"), [("http", (PARSE, VALIDATE)), ("json", (PARSE,))])
async def test_every_step_costs_something(protocol: str, reading: tuple[str, ...]) -> None:
    kafka = Listed()
    found = await measured(protocol, kafka=kafka)
    writing = (SPLIT, REDACT, GATHER, COMPRESS, PRODUCE)
    assert [each.step for each in found.steps] == [AUTH, *reading, *writing]
    assert all(each.us_per_request > 0 for each in found.steps)
    assert [row["step"] for row in found.rows()][-1] == REST
    assert kafka.records


async def test_a_kafka_that_fails_is_told() -> None:
    with pytest.raises(StepFailed, match="did not acknowledge"):
        await measured("http", kafka=Listed(DeliveryFailed("gone")))


def test_the_transport_is_what_ingest_used_over_its_steps() -> None:
    costs = (StepCost(PARSE, 100.0), StepCost(SPLIT, 40.0), StepCost(PRODUCE, 60.0))
    steps = DoorSteps("http", 20, 7_000, costs, taken_us=200.0)
    figures = DoorFigures("http", 1, 1.0, 1.0, Delays.of([1.0]), {}, {"ingest": 15.0})
    rows = {row["step"]: row for row in step_rows(figures, steps)}
    assert rows[REST] == {"step": REST, "us_per_request": 60.0, "us_per_span": 3.0}
    assert rows[TRANSPORT] == {"step": TRANSPORT, "us_per_request": 40.0, "us_per_span": 2.0}
    assert rows["all of ingest"]["us_per_request"] == 300.0


async def test_without_redaction_it_costs_nothing() -> None:
    found = await measure_steps("http", SPANS, redacts=False, repeats=1, least_s=0.001)
    assert REDACT not in [each.step for each in found.steps]


def test_a_row_of_the_door_is_known_by_path_size_and_redaction() -> None:
    settings = DoorSettings(seconds=5, sizes=(20, 512), paths=("http", KAFKA))
    rows = [
        settings.which("http", 20, "on"),
        settings.which("http", 20, "off"),
        settings.which("http", 512, "on"),
        settings.which(KAFKA, 512, "on"),
    ]
    assert all(row not in rows[:number] for number, row in enumerate(rows))
    assert DoorClientSettings(KAFKA, "k:9092", "", 1.0, 1).topic == ""


def test_what_is_written_to_kafka_directly_is_measured_once() -> None:
    settings = DoorSettings(seconds=5, sizes=(20,), paths=("http", KAFKA), redaction=("on", "off"))
    cells = [cell for redaction in settings.redaction for cell in settings.cells(redaction)]
    assert cells == [("http", 20, "on"), (KAFKA, 20, "on"), ("http", 20, "off")]


def test_small_requests_get_more_connections_up_to_a_bound() -> None:
    settings = DoorSettings(seconds=5, sizes=(), paths=())
    assert [settings.connections_for(size) for size in (20, 512, 10_000)] == [128, 32, 8]
    assert DoorSettings(seconds=5, sizes=(), paths=(), connections=3).connections_for(20) == 3
