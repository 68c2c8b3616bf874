"""The whole product on real servers, which wants both cores for itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.support.stack import running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The whole product on real servers; addresses and API key are in `stack.environment()`.

    Evidence is under a checkpoint within seconds, and one person may look at everything at once.
    """
    environment = {
        "BETRACE_EVIDENCE_CHECKPOINT_S": "5",
        "BETRACE_LIMIT_PERSON_PER_MIN": "6000",
        "BETRACE_LIMIT_KEY_PER_MIN": "6000",
        "BETRACE_LIMIT_TENANT_PER_MIN": "6000",
    }
    with running_stack((*SERVERS, *APPS), environment=environment) as stack:
        yield stack
