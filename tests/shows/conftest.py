"""The product as its users meet it: addresses and a key, nothing else.

With the variables of a stack's demo.env loaded these tests run against that stack; without them
they start one of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.shows.customer import Customer
from tests.support.stack import running_stack

NEEDED = ("BETRACE_URL", "BETRACE_OTLP_HTTP", "BETRACE_OTLP_GRPC", "BETRACE_API_KEY")


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The whole product on real servers."""
    with running_stack((*SERVERS, *APPS)) as stack:
        yield stack


@pytest.fixture(scope="package")
def customer(request: pytest.FixtureRequest) -> Iterator[Customer]:
    """Somebody with a key."""
    variables = dict(os.environ)
    if not all(variables.get(name) for name in NEEDED):
        variables = request.getfixturevalue("stack").environment()
    with Customer.of(variables) as found:
        yield found
