"""Show 7, with Kafka away: the door says so, and takes spans again when Kafka is back."""

from __future__ import annotations

import os

import pytest

from tests.shows.conftest import NEEDED
from tests.shows.customer import Customer, eventually
from tests.shows.test_door import request as spans_request
from tests.shows.test_door import span
from tests.support.stack import paused

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.fault,
    pytest.mark.skipif(
        all(os.environ.get(name) for name in NEEDED),
        reason="stops Kafka: only on a stack of the tests' own",
    ),
]


def test_without_kafka_the_door_asks_to_try_again_and_recovers(
    customer: Customer, request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue("stack").pid("kafka")

    def send() -> int:
        return customer.post_spans(body()).status_code

    with paused(broker):
        refused = customer.post_spans(body())
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert eventually(lambda: send() == 200, within_s=60)
    assert customer.api.get("/health/live").status_code == 200


def body() -> bytes:
    return spans_request(span(trace_id=os.urandom(16)))
