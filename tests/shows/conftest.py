"""The product as its users meet it: addresses and a key, nothing else.

With the variables of a stack's demo.env loaded these tests run against that stack; without them
they start one of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.shows.customer import Customer

NEEDED = ("BETRACE_URL", "BETRACE_OTLP_HTTP", "BETRACE_OTLP_GRPC", "BETRACE_API_KEY")


@pytest.fixture(scope="session")
def customer(request: pytest.FixtureRequest) -> Iterator[Customer]:
    """Somebody with a key."""
    variables = dict(os.environ)
    if not all(variables.get(name) for name in NEEDED):
        variables = request.getfixturevalue("stack").environment()
    with Customer.of(variables) as found:
        yield found
