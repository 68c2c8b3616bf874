"""Whatever dies while spans flow: every planted violation is one signal, and no other exists.

What `make test` runs of the faults; `make test-faults` tries each by itself, and many more.
"""

from __future__ import annotations

import time

import pytest

from deploy.embedded.stack import Stack
from tests.fault.installation import RECOVERY_S, Installation, kill
from tests.support.flow import CLOSED_S, Flow, Flowing
from tests.support.job import wait_for

pytestmark = pytest.mark.fault

RATE = 1_000


def test_every_planted_violation_is_one_signal_whatever_dies(stack: Stack) -> None:
    at = Installation(stack)
    flow = Flow(at.tenant.id, rate=RATE)
    at.post_rules(flow)
    flowing = Flowing(flow, at.send)
    at.recovers_from(lambda: None)
    at.recovers_from(lambda: kill(*stack.worker_pids()))
    at.recovers_from(lambda: kill(stack.pid("taskmanager")))
    at.recovers_from(lambda: kill(stack.pid("kafka")))
    at.recovers_from(lambda: kill(stack.pid("jobmanager"), stack.pid("taskmanager")))
    planted = flowing.finish()
    wait_for(
        lambda: set(at.violated_rows()) == planted,
        "exactly the planted violations in the database",
        timeout_s=RECOVERY_S,
    )
    time.sleep(CLOSED_S)
    assert sorted(at.violated_rows()) == sorted(planted)
    assert sorted(at.violated_on_topic()) == sorted(planted)
